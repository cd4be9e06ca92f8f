"""Where a consumer group begins that has never read a topic."""

from __future__ import annotations

import logging

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient, OffsetSpec
from kafka.errors import NoError
from kafka.structs import OffsetAndMetadata

log = logging.getLogger(__name__)


def begin_at_end(admin: KafkaAdminClient, group: str, topic: str, partitions: int) -> None:
    """Lets a group that has never read a topic begin at its end: what was said before is not news.

    Parameters
    ----------
    admin
        A connected client.
    group
        The consumer group.
    topic
        The topic.
    partitions
        How many partitions it has.

    Raises
    ------
    KafkaError
        The cluster does not answer.
    """
    known = admin.list_group_offsets([group])[group]
    if any(at.topic == topic and getattr(offset, "offset", -1) >= 0 for at, offset in known.items()):
        return
    parts = [TopicPartition(topic, number) for number in range(partitions)]
    ends = admin.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.LATEST))
    done = admin.alter_group_offsets(group, {at: OffsetAndMetadata(ends[at].offset, "", None) for at in parts})
    refused = sorted({error.__name__ for error in done.values() if error is not NoError})
    if refused:
        # Another process of the group has begun at the same moment, and has done this.
        log.info("the group %s has begun already: %s", group, ", ".join(refused))
