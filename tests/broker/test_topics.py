"""`topics apply` and `topics check` on a real broker."""

from __future__ import annotations

import pytest
from kafka.admin import KafkaAdminClient

from stream_app.errors import OptionsError
from stream_app.kafka.clients.topics import Names, Topic, apply, catalogue, check, find
from tests.broker.conftest import MakeTopic


@pytest.fixture
def wanted(prefix: str) -> list[Topic]:
    return catalogue(Names(prefix, (f"{prefix}-source",)), partitions=3, replication=1)


def test_missing_topics_are_told_and_made(admin: KafkaAdminClient, wanted: list[Topic]) -> None:
    """Each missing topic is a line that says what to do; doing it leaves nothing to say."""
    before = check(admin, wanted)
    done = apply(admin, wanted, partitions=2, replication=1)

    assert before == [f"topic {topic.name} does not exist: run `stream-app topics apply`" for topic in wanted]
    assert done == [f"created {topic.name} with {topic.partitions or 2} partitions" for topic in wanted]
    assert check(admin, wanted) == []
    assert apply(admin, wanted, partitions=2, replication=1) == []


def test_settings_that_differ_are_told_and_set(admin: KafkaAdminClient, wanted: list[Topic], topic: MakeTopic) -> None:
    """A changelog that deletes would lose state; its policy is put right, other settings are left alone."""
    changelog = topic("state-changelog", partitions=3, **{"cleanup.policy": "delete", "segment.ms": "12345678"})
    apply(admin, [t for t in wanted if t.name != changelog], partitions=2, replication=1)
    problems = check(admin, wanted)

    assert f"topic {changelog} has cleanup.policy=delete, needs compact: run `stream-app topics apply`" in problems
    assert all(changelog in problem for problem in problems)
    (done,) = apply(admin, wanted, partitions=2, replication=1)
    assert "cleanup.policy=compact" in done
    assert check(admin, wanted) == []
    assert find(admin, [changelog])[changelog].config["segment.ms"] == "12345678"


def test_another_number_of_partitions_is_refused(
    admin: KafkaAdminClient, wanted: list[Topic], topic: MakeTopic
) -> None:
    """Pipelines would move away from their state, so nothing is changed and the way out is named."""
    events = topic("events", partitions=5)

    with pytest.raises(OptionsError, match=r"has 5 partitions, needs 3: .* set kafka.partitions to 5"):
        apply(admin, wanted, partitions=2, replication=1)
    assert find(admin, [t.name for t in wanted]).keys() == {events}
    assert any("needs 3" in problem for problem in check(admin, wanted))
