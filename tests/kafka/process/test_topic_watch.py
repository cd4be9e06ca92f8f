"""What a worker does about topics that were deleted or made anew."""

from __future__ import annotations

import asyncio
import logging

import pytest

from stream_app.errors import StateError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.flow import worker_flow
from stream_app.kafka.clients.topics import Names, Seen
from stream_app.kafka.process.topic_watch import TopicWatch

FLOW = worker_flow(Names("g", ("a", "b")))
#: The ids of the topics when the worker began.
IDS = {name: f"{name}-1" for name in ("a", "b", "g-events", "g-state-changelog", "g-examples", "g-alerts")}


class Watched:
    """A watch, what it reports, and the topics that it lets begin again."""

    def __init__(self) -> None:
        self.reported: list[str] = []
        self.renewed: list[str] = []
        self.watch = TopicWatch(Connection("localhost:1"), FLOW, IDS, 6, self.reported.append, self._begin_again)

    async def _begin_again(self, topic: str) -> None:
        self.renewed.append(topic)

    def see(self, *without: str, **ids: str) -> None:
        """Looks at the topics, of which some are missing and some have other ids."""
        seen = {**IDS, **ids}
        self.compare({name: Seen(seen[name], 6) for name in seen if name not in without})

    def compare(self, seen: dict[str, Seen]) -> None:
        asyncio.run(self.watch.compare(seen))


def test_missing_topics_are_reported_each_time_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    for without in ((), ("a",), ("a",), ()):
        watched.see(*without)

    text = "topics were deleted: a: make them anew with `stream-app topics apply`"
    assert watched.reported == ["", text, text, ""]
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        f"{text}; reading goes on when they are there"
    ]


def test_a_source_topic_that_was_made_anew_begins_again_once() -> None:
    """Each time that it was; Kafka may not always tell the id."""
    watched = Watched()
    for topic_id in ("a-2", "a-2", "", "a-2", "a-3"):
        watched.see(a=topic_id)

    assert watched.renewed == ["a", "a"]


@pytest.mark.parametrize("topic", ["g-events", "g-state-changelog", "g-examples"])
def test_a_topic_that_state_depends_on_ends_the_worker(topic: str) -> None:
    """It starts again with the topics as they are."""
    with pytest.raises(StateError, match=f"topic {topic} was deleted and made anew"):
        Watched().see(**{topic: "other"})


def test_an_output_topic_that_was_made_anew_is_written_to() -> None:
    """Only its name counts."""
    watched = Watched()
    watched.see(**{"g-alerts": "other"})

    assert (watched.reported, watched.renewed) == ([""], [])


@pytest.mark.parametrize("topic", ["g-events", "g-state-changelog"])
def test_partitions_that_were_added_to_a_topic_of_state_are_told_at_once(topic: str) -> None:
    """Nobody reads them, and pipelines would part from their state."""
    with pytest.raises(StateError, match=f"topic {topic} has 7 partitions instead of 6: partitions were added"):
        Watched().compare({topic: Seen(f"{topic}-1", 7)})


def test_a_source_topic_may_have_more_partitions() -> None:
    """Sources are partitioned in any way."""
    Watched().compare({"a": Seen("a-1", 12)})


def test_what_is_not_taken_is_reported_each_time_and_logged_when_it_begins_and_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """However the replicas that are missing change meanwhile."""
    caplog.set_level(logging.INFO)
    watched = Watched()
    seen = {name: Seen(IDS[name], 6) for name in IDS}
    for unwritable in ("", "g-events has 1", "g-events has 0", "", ""):
        asyncio.run(watched.watch.compare(seen, unwritable))

    waits = "Kafka does not take what is written: g-events has "
    assert watched.reported == ["", f"{waits}1", f"{waits}0", "", ""]
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", f"{waits}1; the worker waits, and is not ready"),
        ("INFO", "Kafka takes what is written again"),
    ]


def test_a_refused_login_is_reported_each_time_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched()
    for _ in range(3):
        watched.watch.refuse("it refused 'worker'")

    assert watched.reported == ["it refused 'worker'"] * 3
    assert [record.message for record in caplog.records] == ["it refused 'worker'; the worker waits, and is not ready"]
