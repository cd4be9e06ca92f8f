"""Records as Kafka's clients hand them over, and batches of them."""

from __future__ import annotations

from typing import TypeAlias

from aiokafka.structs import ConsumerRecord

#: Bytes of keys and values in one batch, unless a single record is larger.
BATCH_BYTES = 1 << 20

Record: TypeAlias = ConsumerRecord[bytes | None, bytes | None]
Records = list[Record]


class Batch:
    """Records of one partition in offset order, fetched together."""

    __slots__ = ("done", "records")

    def __init__(self, records: Records) -> None:
        self.records = records
        #: Set when every effect of the batch is in Kafka; only then does acknowledging it count.
        self.done = False

    @property
    def end(self) -> int:
        """The offset after the last record."""
        last: int = self.records[-1].offset
        return last + 1


def split(records: Records, most_bytes: int = BATCH_BYTES) -> list[Batch]:
    """Cut `records` into batches of at most `most_bytes` of keys and values; a larger record stands alone."""
    batches: list[Batch] = []
    taken: Records = []
    size = 0
    for record in records:
        record_size = len(record.key or b"") + len(record.value or b"")
        if taken and size + record_size > most_bytes:
            batches.append(Batch(taken))
            taken, size = [], 0
        taken.append(record)
        size += record_size
    if taken:
        batches.append(Batch(taken))
    return batches
