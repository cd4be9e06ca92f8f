"""Topics: their names, and how they are created and checked; `topic_catalogue` has those of a deployment."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from stream_app.errors import OptionsError, StreamAppError

#: Bytes of the largest record batch: what a group of changed rows and a dead letter fit into.
MAX_MESSAGE_BYTES = 8 << 20
#: Codes of errors of a topic: that there is none; and none, or that a partition has no leader at the moment.
_UNKNOWN_TOPIC, _KNOWN_TOPIC = 3, (0, 5)
#: How long brokers may take to learn from their controller what was changed.
_PROPAGATION_SECONDS = 15.0
#: What to do where partitions were added to a topic.
MOVE = (
    "partitions were added: what is in them is not read. To have more partitions replay the sources into another group "
    "(kafka.group) that has them from the beginning"
)


class TooFewBrokersError(StreamAppError):
    """Topics cannot have as many copies as they are to have; nothing was changed. Exit code 1."""


class MissingTopicsError(StreamAppError):
    """Topics do not exist yet; the message says which, and how to create them. Exit code 1."""


@dataclass(frozen=True)
class Names:
    """The names of a deployment's topics."""

    #: The prefix of the names, and the consumer group.

    group: str = "stream-app"
    #: Topics to read native or OpenLineage events from, partitioned in any way.
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
    def graphlets(self) -> str:
        return f"{self.group}-graphlets"

    @property
    def analysis(self) -> str:
        return f"{self.group}-analysis"

    @property
    def alerts(self) -> str:
        return f"{self.group}-alerts"

    @property
    def dead_letters(self) -> str:
        return f"{self.group}-dead-letters"

    @property
    def outputs(self) -> tuple[str, ...]:
        """The topics that others read."""
        return (self.verdicts, self.examples, self.graphlets, self.alerts, self.dead_letters)

    @property
    def changelog(self) -> str:
        return f"{self.group}-state-changelog"

    @property
    def directory(self) -> str:
        return f"{self.group}-directory"

    @property
    def subscriptions(self) -> str:
        return f"{self.group}-subscriptions"

    @property
    def deliveries(self) -> str:
        return f"{self.group}-deliveries"

    @property
    def deliveries_changelog(self) -> str:
        return f"{self.group}-deliveries-changelog"

    @property
    def alert_log(self) -> str:
        return f"{self.group}-alert-log"


@dataclass(frozen=True)
class Topic:
    """The settings that a topic must have."""

    name: str
    #: None: any number.
    partitions: int | None
    config: Mapping[str, str] = field(default_factory=dict)
    #: Copies of each partition; None: any number.
    copies: int | None = None


@dataclass(frozen=True)
class Found:
    """A topic that exists."""

    topic_id: str
    partitions: int
    config: Mapping[str, str]
    #: Copies of the partition that has the fewest.
    copies: int


def find(admin: KafkaAdminClient, names: list[str]) -> dict[str, Found]:
    """The topics that exist, by name.

    A topic without any setting was just deleted: its broker has not learned of it when it names the topics, and has
    when it is asked for the settings.
    """
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
            min(len(partition["replica_nodes"]) for partition in topic["partitions"]),
        )
        for topic in described
        if configs[topic["name"]]
    }


class Seen(NamedTuple):
    """What tells a topic from others under its name: its id, "" where Kafka does not tell, and its partitions."""

    topic_id: str
    partitions: int


def find_seen(admin: KafkaAdminClient, names: list[str]) -> dict[str, Seen]:
    """The topics that exist, by name. A topic made anew has another id."""
    return {
        topic["name"]: Seen(
            str(topic["topic_id"]) if topic["error_code"] in _KNOWN_TOPIC else "", len(topic["partitions"])
        )
        for topic in admin.describe_topics(names)
        if topic["error_code"] != _UNKNOWN_TOPIC
    }


def check(admin: KafkaAdminClient, topics: list[Topic]) -> list[str]:
    """What is wrong with the topics: a line for each fault that says what to do."""
    found = find(admin, [topic.name for topic in topics])
    missing = [
        f"topic {topic.name} does not exist: run `stream-app topics apply`"
        for topic in topics
        if topic.name not in found
    ]
    return missing + _wrong(topics, found)


def required(admin: KafkaAdminClient, topics: list[Topic]) -> dict[str, Found]:
    """The topics by name, if all of them exist with their settings.

    Raises
    ------
    OptionsError
        A topic has other settings, with which state could be lost.
    MissingTopicsError
        Some topics do not exist, and the others are as they must be.
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
    """Faults of the topics that exist."""
    problems = _too_few_copies(topics, found)
    if problems:
        return problems  # the settings that are to be depend on the number of copies
    for topic in topics:
        there = found.get(topic.name)
        if there is None:
            continue
        if topic.partitions not in (None, there.partitions):
            problems.append(_wrong_partitions(topic, there, _counts(topics, found, topic.partitions)))
        problems += [
            f"topic {topic.name} has {key}={there.config.get(key)}, needs {value}: run `stream-app topics apply`"
            for key, value in topic.config.items()
            if there.config.get(key) != value
        ]
    return problems


def apply(admin: KafkaAdminClient, topics: list[Topic], partitions: int, replication: int) -> list[str]:
    """Creates the topics that are missing and corrects settings; a second call finds nothing to do.

    Parameters
    ----------
    admin
        A connected client.
    topics
        The topics with their settings.
    partitions
        For new topics that may have any number.
    replication
        Replicas of new topics.

    Returns
    -------
    list[str]
        A line for each change, once brokers have learned of it, so that a worker started next finds it.

    Raises
    ------
    OptionsError
        A topic exists with another number of partitions, or with fewer copies; nothing is changed.
    TooFewBrokersError
        There are fewer brokers than replicas; nothing is changed.
    """
    found = find(admin, [topic.name for topic in topics])
    few = _too_few_copies(topics, found)
    if few:
        raise OptionsError("; ".join(few))
    for topic in topics:
        there = found.get(topic.name)
        if there is not None and topic.partitions not in (None, there.partitions):
            raise OptionsError(_wrong_partitions(topic, there, _counts(topics, found, topic.partitions)))
    missing = [topic for topic in topics if topic.name not in found]
    done = []
    if missing:
        _check_brokers(admin, replication)
        new = {
            topic.name: {
                "num_partitions": topic.partitions or partitions,
                "replication_factor": replication,
                "configs": dict(topic.config),
            }
            for topic in missing
        }
        admin.create_topics(new, wait_for_metadata=True)
        done = [f"created {name} with {made['num_partitions']} partitions" for name, made in new.items()]
    for topic in topics:
        there = found.get(topic.name)
        differing = {} if there is None else _differing(topic, there)
        if differing:
            admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic.name, differing)])
            done.append(f"set {', '.join(f'{k}={v}' for k, v in differing.items())} on {topic.name}")
    end = time.monotonic() + _PROPAGATION_SECONDS
    while done and check(admin, topics) and time.monotonic() < end:
        time.sleep(0.1)
    return done


def _check_brokers(admin: KafkaAdminClient, replication: int) -> None:
    """Raises TooFewBrokersError."""
    brokers = sum(not broker.get("is_fenced") for broker in admin.describe_cluster()["brokers"])
    if replication > brokers:
        raise TooFewBrokersError(
            f"kafka.replication is {replication}, but the cluster has {_count(brokers, 'broker')}: "
            f"{_set_replication(brokers)}"
        )


def _too_few_copies(topics: list[Topic], found: Mapping[str, Found]) -> list[str]:
    """A line for each number of copies that is too small."""
    names: dict[tuple[int, int], list[str]] = {}
    for topic in topics:
        there = found.get(topic.name)
        if there is not None and topic.copies is not None and there.copies < topic.copies:
            names.setdefault((there.copies, topic.copies), []).append(topic.name)
    return [
        f"kafka.replication is {wanted}, but there is only {_count(copies, 'copy', 'copies')} of {', '.join(topics_)}: "
        f"{_set_replication(copies)}, or add copies with Kafka's kafka-reassign-partitions.sh"
        for (copies, wanted), topics_ in names.items()
    ]


def _set_replication(number: int) -> str:
    return f"set `kafka.replication = {number}` (`--replication {number}`)"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def _differing(topic: Topic, there: Found) -> dict[str, str]:
    return {key: value for key, value in topic.config.items() if there.config.get(key) != value}


def _counts(topics: list[Topic], found: Mapping[str, Found], wanted: int | None) -> set[int]:
    """The numbers of partitions of the topics that must have one and the same."""
    return {found[topic.name].partitions for topic in topics if topic.partitions == wanted and topic.name in found}


def _wrong_partitions(topic: Topic, there: Found, counts: set[int]) -> str:
    what = f"topic {topic.name} has {there.partitions} partitions, needs {topic.partitions}: state lies in partitions"
    if len(counts) == 1:
        return (
            f"{what}, so their number is fixed; set kafka.partitions to {there.partitions}, or start anew with another "
            "kafka.group"
        )
    # Another setting would part pipelines from their state.
    return f"{what}, and {MOVE}"
