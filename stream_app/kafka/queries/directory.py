"""The directory: which worker opened a partition last, as records of a compacted topic, by partition.

An entry may be out of date: whoever asks there is told so. Latest wins.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from typing import NamedTuple

import orjson

from stream_app.kafka.records import Record
from stream_app.times import time_to_text

log = logging.getLogger(__name__)

_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]{1,255}):[0-9]{1,5}")
_PARTITIONS_MAX = 100_000


class Place(NamedTuple):
    """Where a worker answers questions.

    Parameters
    ----------
    address
        As `host:port`.
    instance
        Tells this life of the worker from others.
    """

    address: str
    instance: str


def write_entry(place: Place, opened_ms: int, partitions: int) -> bytes:
    """The value of the record of a partition, whose key is its number.

    Parameters
    ----------
    place
        Where the worker that opened it answers.
    opened_ms
        When it did, in ms since 1970 UTC.
    partitions
        Partitions of all workers.
    """
    return orjson.dumps({**place._asdict(), "opened_at": time_to_text(opened_ms), "partitions": partitions})


def read_entry(key: bytes | None, value: bytes) -> tuple[int, Place, int] | None:
    """The partition of a record, the place, and the number of partitions; None where it is no entry."""
    try:
        number = int((key or b"").decode("ascii"))
        found = orjson.loads(value)
        place, partitions = Place(found["address"], found["instance"]), found["partitions"]
    except (ValueError, KeyError, TypeError):
        return None
    valid = all(isinstance(each, str) for each in place) and _ADDRESS.fullmatch(place.address) is not None
    valid = valid and type(partitions) is int and 0 <= number < partitions <= _PARTITIONS_MAX
    return (number, place, partitions) if valid else None


class Directory:
    """The entries of the directory: a fold over its records."""

    def __init__(self) -> None:
        self._places: dict[int, Place] = {}
        self._waiting: set[asyncio.Future[None]] = set()
        #: Partitions of all workers; 0 while no worker has told.
        self.partitions = 0

    def take(self, records: Sequence[Record]) -> None:
        """Takes further records, in order."""
        for record in records:
            self._take(record)
        if records:
            for each in self._waiting:
                if not each.done():
                    each.set_result(None)

    def _take(self, record: Record) -> None:
        if record.value is None:
            key = record.key or b""
            self._places.pop(int(key) if key.isdigit() and len(key) < 10 else -1, None)
            return
        found = read_entry(record.key, record.value)
        if found is None:
            log.warning("the record at offset %d of %s is no entry of the directory", record.offset, record.topic)
            return
        number, place, self.partitions = found
        self._places[number] = place

    def place(self, number: int) -> Place | None:
        """Where the worker answers that opened a partition last; None where that is not known."""
        return self._places.get(number)

    async def changed(self) -> None:
        """Returns when further records were taken."""
        waiting = asyncio.get_running_loop().create_future()
        self._waiting.add(waiting)
        try:
            await waiting
        finally:  # whoever gives up waiting leaves nothing, however long no record comes
            self._waiting.discard(waiting)
