"""Records as Kafka's clients return them, and batches of records."""

from __future__ import annotations

from typing import TypeAlias

from aiokafka.structs import ConsumerRecord

#: Header of a record of a source topic: the format of its message, where the sender knows it.
FORMAT = "stream-app-format"
#: Bytes of keys and values in one batch, unless a single record is larger.
BATCH_BYTES = 1 << 20

Record: TypeAlias = ConsumerRecord[bytes | None, bytes | None]
Records = list[Record]


class Batch:
    """Records of one partition in offset order, fetched together."""

    __slots__ = ("done", "records")

    def __init__(self, records: Records) -> None:
        self.records = records
        #: Set when every effect of the batch is in Kafka; without it, acknowledging the batch has no effect.
        self.done = False

    @property
    def end(self) -> int:
        """The offset after the last record."""
        last: int = self.records[-1].offset
        return last + 1


def split(records: Records, limit_bytes: int = BATCH_BYTES) -> list[Batch]:
    """Splits records into batches of bounded size.

    Parameters
    ----------
    records
        In offset order.
    limit_bytes
        Bytes of keys and values in a batch; a larger record is a batch of its own.
    """
    batches: list[Batch] = []
    taken: Records = []
    size = 0
    for record in records:
        record_size = len(record.key or b"") + len(record.value or b"")
        if taken and size + record_size > limit_bytes:
            batches.append(Batch(taken))
            taken, size = [], 0
        taken.append(record)
        size += record_size
    if taken:
        batches.append(Batch(taken))
    return batches
