"""`topics apply` and `topics check` on a real broker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time

import pytest
from kafka.admin import KafkaAdminClient

from stream_app.errors import OptionsError
from stream_app.kafka.clients.topic_catalogue import catalogue
from stream_app.kafka.clients.topics import (
    Names,
    TooFewBrokersError,
    Topic,
    apply,
    check,
    find,
    required,
)
from tests.broker.broker import Broker
from tests.broker.conftest import MakeTopic
from tests.broker.deleting import delete_topics


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


def test_a_topic_that_was_just_deleted_is_made_anew(
    admin: KafkaAdminClient, wanted: list[Topic], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its broker may still name it in one answer, and have no settings of it in the next."""
    apply(admin, wanted, partitions=2, replication=1)
    before = admin.describe_topics([topic.name for topic in wanted])
    changelog = wanted[2].name
    delete_topics(admin, [changelog])
    answers = [before]
    describe = admin.describe_topics
    monkeypatch.setattr(admin, "describe_topics", lambda topics: answers.pop() if answers else describe(topics))

    assert apply(admin, wanted, partitions=2, replication=1) == [f"created {changelog} with 3 partitions"]
    assert check(admin, wanted) == []


def test_another_number_of_partitions_is_refused(
    admin: KafkaAdminClient, wanted: list[Topic], topic: MakeTopic
) -> None:
    """Pipelines would move away from their state, so nothing is changed and the way out is named."""
    events = topic("events", partitions=5)

    with pytest.raises(OptionsError, match=r"has 5 partitions, needs 3: .* set kafka.partitions to 5"):
        apply(admin, wanted, partitions=2, replication=1)
    assert find(admin, [t.name for t in wanted]).keys() == {events}
    assert any("needs 3" in problem for problem in check(admin, wanted))


def test_added_partitions_are_named_without_advice_that_parts_pipelines_from_their_state(
    admin: KafkaAdminClient, wanted: list[Topic], prefix: str
) -> None:
    """Somebody gave the topic of events more of them; the changelog has what it had."""
    apply(admin, wanted, partitions=2, replication=1)
    events = Names(prefix).events
    admin.create_partitions({events: 4})
    end = time.monotonic() + 30
    while find(admin, [events])[events].partitions != 4:  # until brokers have learned of it
        assert time.monotonic() < end
    (problem,) = check(admin, wanted)

    assert "has 4 partitions, needs 3" in problem
    assert "partitions were added: what is in them is not read" in problem
    assert "set kafka.partitions" not in problem


def test_more_copies_than_brokers_are_refused_before_anything_is_made(admin: KafkaAdminClient, prefix: str) -> None:
    """The default is 3, and the first cluster that somebody tries has one broker."""
    wanted = catalogue(Names(prefix, (f"{prefix}-source",)), partitions=3, replication=3)

    with pytest.raises(TooFewBrokersError) as refused:
        apply(admin, wanted, partitions=2, replication=3)

    assert str(refused.value) == (
        "kafka.replication is 3, but the cluster has 1 broker: set `kafka.replication = 1` (`--replication 1`)"
    )
    assert find(admin, [topic.name for topic in wanted]) == {}


def test_fewer_copies_than_are_wanted_are_told_in_one_line(admin: KafkaAdminClient, prefix: str) -> None:
    """How they are mended is in it; nothing is changed, and the source is left to whoever made it."""
    names = Names(prefix, (f"{prefix}-source",))
    apply(admin, catalogue(names, partitions=3, replication=1), partitions=2, replication=1)
    wanted = catalogue(names, partitions=3, replication=3)

    [problem] = check(admin, wanted)
    with pytest.raises(OptionsError, match=re.escape(problem)):
        apply(admin, wanted, partitions=2, replication=3)
    with pytest.raises(OptionsError, match=re.escape(problem)):
        required(admin, wanted)

    assert problem.startswith(f"kafka.replication is 3, but there is only 1 copy of {names.events}, ")
    assert problem.endswith(
        "set `kafka.replication = 1` (`--replication 1`), or add copies with Kafka's kafka-reassign-partitions.sh"
    )
    assert names.sources[0] not in problem
    assert check(admin, catalogue(names, partitions=3, replication=1)) == []


def test_the_command_says_in_one_line_how_one_broker_is_enough(broker: Broker, prefix: str) -> None:
    """Exit code 1, no traceback, no topic; with the flag it works, and so does the check."""

    def topics(*arguments: str) -> tuple[int, str]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("STREAM_APP_")}
        ran = subprocess.run(
            [sys.executable, "-m", "stream_app", "topics", *arguments, "--bootstrap-servers", broker.bootstrap],
            capture_output=True,
            text=True,
            env=environment | {"STREAM_APP_KAFKA_GROUP": prefix, "STREAM_APP_KAFKA_SOURCES": f'["{prefix}-source"]'},
        )
        return ran.returncode, ran.stdout + ran.stderr

    code, said = topics("apply")
    assert (code, said.count("\n"), "`--replication 1`" in said) == (1, 1, True)
    assert "created" in topics("apply", "--replication", "1")[1]
    assert topics("check", "--replication", "1") == (0, "all topics are as they should be\n")
    code, said = topics("check")
    assert (code, said.count("\n"), "only 1 copy" in said) == (1, 1, True)
