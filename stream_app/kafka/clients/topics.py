"""The topics: their names, what each must be like, and the two commands that make and check them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from stream_app.errors import OptionsError, StreamAppError

#: Bytes of the largest record batch: what a group of changed rows and a dead letter fit into.
MAX_MESSAGE_BYTES = 8 << 20
_DAY_MS = 86_400_000
_UNKNOWN_TOPIC = 3
#: How long brokers may take to hear from their controller what was done.
_SEEN_SECONDS = 15.0


class MissingTopicsError(StreamAppError):
    """Topics do not exist yet; the message says which and what to do. Exit code 1."""


@dataclass(frozen=True)
class Names:
    """What the topics of a deployment are called.

    Parameters: `group` is also the consumer group; `sources` are topics to read native or OpenLineage events
    from, in any partitioning.
    """

    group: str = "stream-app"
    sources: tuple[str, ...] = ("provenance",)

    @property
    def events(self) -> str:
        return f"{self.group}-events"

    @property
    def verdicts(self) -> str:
        return f"{self.group}-verdicts"

    @property
    def examples(self) -> str:
        return f"{self.group}-examples"

    @property
    def alerts(self) -> str:
        return f"{self.group}-alerts"

    @property
    def dead_letters(self) -> str:
        return f"{self.group}-dead-letters"

    @property
    def changelog(self) -> str:
        return f"{self.group}-state-changelog"


@dataclass(frozen=True)
class Topic:
    """What a topic must be like."""

    name: str
    #: None: any number will do.
    partitions: int | None
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Found:
    """A topic as it is."""

    topic_id: str
    partitions: int
    config: Mapping[str, str]


def catalogue(names: Names, partitions: int, replication: int) -> list[Topic]:
    """All topics of a deployment.

    Parameters: `partitions` bounds the number of workers and cannot be changed later: pipelines would move to
    other partitions than their state. `replication` is the number of copies; from 3 on, two must be in sync.
    """
    durable = {"min.insync.replicas": "2" if replication >= 3 else "1"}
    large = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
    keep = {"cleanup.policy": "delete"}
    changelog = {
        "cleanup.policy": "compact",
        "min.compaction.lag.ms": "3600000",  # what a zombie overwrote must still be there to be read
        "delete.retention.ms": str(7 * _DAY_MS),
        "min.cleanable.dirty.ratio": "0.3",
        "segment.bytes": str(64 << 20),
    }
    events = {"retention.ms": str(7 * _DAY_MS), "message.timestamp.type": "LogAppendTime"}
    return [
        *(Topic(source, None) for source in names.sources),
        Topic(names.events, partitions, {**keep, **durable, **large, **events}),
        Topic(names.changelog, partitions, {**changelog, **durable, **large}),
        Topic(names.verdicts, None, {"cleanup.policy": "compact", **durable}),
        Topic(names.examples, 1, {**keep, **durable, **large, "retention.ms": "-1"}),
        Topic(names.alerts, None, {**keep, **durable, "retention.ms": str(7 * _DAY_MS)}),
        Topic(names.dead_letters, None, {**keep, **durable, **large, "retention.ms": str(30 * _DAY_MS)}),
    ]


def find(admin: KafkaAdminClient, names: list[str]) -> dict[str, Found]:
    """Those of the topics that exist."""
    described = [topic for topic in admin.describe_topics(names) if topic["error_code"] != _UNKNOWN_TOPIC]
    if not described:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic["name"]) for topic in described]
    configs: dict[str, dict[str, Any]] = admin.describe_configs(resources, config_filter="all")["topic"]
    return {
        topic["name"]: Found(
            str(topic["topic_id"]),
            len(topic["partitions"]),
            {key: str(entry["value"]) for key, entry in configs[topic["name"]].items()},
        )
        for topic in described
    }


def check(admin: KafkaAdminClient, topics: list[Topic]) -> list[str]:
    """What is wrong with the topics, each a line that says what to do; an empty list when all is well."""
    found = find(admin, [topic.name for topic in topics])
    missing = [
        f"topic {topic.name} does not exist: run `stream-app topics apply`"
        for topic in topics
        if topic.name not in found
    ]
    return missing + _wrong(topics, found)


def required(admin: KafkaAdminClient, topics: list[Topic]) -> dict[str, Found]:
    """The topics as they are, by name.

    Raises OptionsError when one would lose state, MissingTopicsError when all that is wrong is that some do not exist.
    """
    found = find(admin, [topic.name for topic in topics])
    wrong = _wrong(topics, found)
    if wrong:
        raise OptionsError("; ".join(wrong))
    missing = [topic.name for topic in topics if topic.name not in found]
    if missing:
        raise MissingTopicsError(f"no such topics: {', '.join(missing)}: run `stream-app topics apply`")
    return found


def _wrong(topics: list[Topic], found: Mapping[str, Found]) -> list[str]:
    """What is wrong with topics that exist."""
    problems = []
    for topic in topics:
        there = found.get(topic.name)
        if there is None:
            continue
        if topic.partitions not in (None, there.partitions):
            problems.append(_wrong_partitions(topic, there))
        problems += [
            f"topic {topic.name} has {key}={there.config.get(key)}, needs {value}: run `stream-app topics apply`"
            for key, value in topic.config.items()
            if there.config.get(key) != value
        ]
    return problems


def apply(admin: KafkaAdminClient, topics: list[Topic], partitions: int, replication: int) -> list[str]:
    """Make what is missing and set what differs; a second time nothing is left to do.

    Parameters: `partitions` is for new topics that may have any number.

    Returns a line for each thing done, when brokers have heard of it: a worker started next must not refuse.

    Raises OptionsError when a topic exists with another number of partitions; nothing is changed then.
    """
    found = find(admin, [topic.name for topic in topics])
    for topic in topics:
        there = found.get(topic.name)
        if there is not None and topic.partitions not in (None, there.partitions):
            raise OptionsError(_wrong_partitions(topic, there))
    missing = [topic for topic in topics if topic.name not in found]
    done = []
    if missing:
        new = {
            topic.name: {
                "num_partitions": topic.partitions or partitions,
                "replication_factor": replication,
                "configs": dict(topic.config),
            }
            for topic in missing
        }
        admin.create_topics(new, wait_for_metadata=True)
        done = [f"made {name} with {made['num_partitions']} partitions" for name, made in new.items()]
    for topic in topics:
        there = found.get(topic.name)
        differing = {} if there is None else _differing(topic, there)
        if differing:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, differing)])
            done.append(f"set {', '.join(f'{k}={v}' for k, v in differing.items())} on {topic.name}")
    end = time.monotonic() + _SEEN_SECONDS
    while done and check(admin, topics) and time.monotonic() < end:
        time.sleep(0.1)
    return done


def _differing(topic: Topic, there: Found) -> dict[str, str]:
    return {key: value for key, value in topic.config.items() if there.config.get(key) != value}


def _wrong_partitions(topic: Topic, there: Found) -> str:
    return (
        f"topic {topic.name} has {there.partitions} partitions, needs {topic.partitions}: state lies in partitions, "
        f"so their number is fixed; set kafka.partitions to {there.partitions}, or start anew with another kafka.group"
    )
