"""Whether Kafka takes what is written: how many replicas have a partition, and how many must have it.

A topic with `min.insync.replicas` refuses records while fewer replicas than that are in sync. Producers repeat them and
consumers read on, so nothing fails: nothing comes out, either.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient
from kafka.errors import KafkaError

from stream_app.errors import StreamAppError
from stream_app.kafka.clients.connection import Connection, UnreachableError

#: The topic in which the coordinators of groups keep offsets, and members of groups.
OFFSETS = "__consumer_offsets"
_NEEDED = "min.insync.replicas"
_NO_LEADER = -1


def find_unwritable(admin: KafkaAdminClient, names: Iterable[str], group: str | None = None) -> str:
    """What of some topics Kafka does not take at the moment.

    Parameters
    ----------
    admin
        A connected client.
    names
        Topics that are written to; those that do not exist are left out.
    group
        A consumer group that commits offsets.

    Returns
    -------
    str
        A topic, how many replicas are in sync and how many must be, for each such topic; "" when there is none. What
        Kafka does not let us ask about is left out.
    """
    asked = [*names, *([OFFSETS] if group is not None else [])]
    described = {topic["name"]: topic["partitions"] for topic in admin.describe_topics(asked) if topic["partitions"]}
    needed = _needed(admin, list(described))
    leaderless, few = [], dict[tuple[int, int], list[str]]()
    for name, partitions in described.items():
        home = None if name != OFFSETS or group is None else _home(group, len(partitions))
        used = [each for each in partitions if home is None or each["partition_index"] == home]
        headless = [each for each in used if each["leader_id"] == _NO_LEADER]
        least = needed.get(name, 1)
        weak = [each for each in used if len(each["isr_nodes"]) < least]
        if headless:
            leaderless.append(_shown(name, headless, len(partitions)))
        elif weak:
            in_sync = min(len(each["isr_nodes"]) for each in weak)
            few.setdefault((least, in_sync), []).append(_shown(name, weak, len(partitions)))
    return "; ".join(
        [
            *(["no broker leads " + ", ".join(leaderless)] if leaderless else []),
            *(_explain(names, least, in_sync) for (least, in_sync), names in few.items()),
        ]
    )


def _explain(names: list[str], needed: int, in_sync: int) -> str:
    need, have = ("needs", "has") if len(names) == 1 else ("need", "have")
    return f"{', '.join(names)} {need} {needed} replicas in sync (min.insync.replicas) and {have} {in_sync}"


def _shown(name: str, partitions: list[dict[str, Any]], of: int) -> str:
    """A topic, with the numbers of the partitions unless they are all."""
    numbers = ", ".join(map(str, sorted(each["partition_index"] for each in partitions)))
    return name if len(partitions) == of else f"{name}[{numbers}]"


def check_writable(connection: Connection, admin: KafkaAdminClient, topic: str) -> None:
    """Checks that a topic takes records.

    Parameters
    ----------
    connection
        How Kafka is reached.
    admin
        A connected client.
    topic
        The topic.

    Raises
    ------
    UnreachableError
        It does not; the message says why.
    """
    unwritable = find_unwritable(admin, [topic])
    if unwritable:
        raise UnreachableError(f"Kafka at {connection.bootstrap_servers} takes no records: {unwritable}")


class WriteWatch:
    """Looks, again and again, whether a topic takes records; it keeps its connection.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The topic.
    """

    def __init__(self, connection: Connection, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._admin: KafkaAdminClient | None = None

    def look(self) -> str:
        """Why the topic takes no records; "" where it does, and while Kafka cannot be asked, which others report."""
        try:
            if self._admin is None:
                self._admin = self._connection.admin()
            unwritable = find_unwritable(self._admin, [self._topic])
        except (KafkaError, StreamAppError):
            self.close()
            return ""
        return f"Kafka takes no records: {unwritable}" if unwritable else ""

    def close(self) -> None:
        """Closes the connection."""
        if self._admin is not None:
            self._admin.close()
            self._admin = None


def _needed(admin: KafkaAdminClient, names: list[str]) -> dict[str, int]:
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, {_NEEDED: None}) for name in names]
    if not resources:
        return {}
    described = admin.describe_configs(resources, config_filter="all")["topic"]
    return {name: int(config[_NEEDED]["value"]) for name, config in described.items() if _NEEDED in config}


def _home(group: str, partitions: int) -> int:
    """The partition of `__consumer_offsets` that has a group: Java's hash of its name."""
    hashed = 0
    utf16 = group.encode("utf-16-be")
    for at in range(0, len(utf16), 2):
        hashed = (31 * hashed + int.from_bytes(utf16[at : at + 2], "big")) & 0xFFFFFFFF
    return (hashed & 0x7FFFFFFF) % partitions
