"""Records with header names that are no UTF-8, which every sender can write and neither client library can read.

Without this one such record stops its partition for ever: each fetch of it fails, at each start again. The libraries
read batches of records by classes of theirs, whose names in their fetchers are replaced here. A batch that cannot be
read is read once more by the library's own Python code, over bytes that decode to text whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import aiokafka.consumer.fetcher
import kafka.consumer.fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import _MemoryRecordsPy
from kafka.errors import CorruptRecordError
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords

#: Where a batch has the version of its format, and from which version on its records have headers.
_VERSION_AT, _WITH_HEADERS = 16, 2


class _Text(bytearray):
    """Bytes whose parts decode to text, with escapes for what is no UTF-8."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Text(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", _: str = "") -> str:
        return super().decode(encoding, "backslashreplace")


class _AiokafkaBatch(_DefaultRecordBatchPy):  # type: ignore[misc]  # final for type checkers alone
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Text(self._buffer)


class _KafkaPythonBatch(DefaultRecordBatch):  # type: ignore[misc]
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Text(self._buffer)


class _Batch:
    """A batch of a library, which is read by another class where its own fails."""

    def __init__(self, batch: Any, content: memoryview, tolerant: type) -> None:
        self._batch = batch
        self._content = content
        self._tolerant = tolerant

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except (ValueError, CorruptRecordException, CorruptRecordError):
            return iter(list(self._tolerant(self._content)))  # what is damaged otherwise fails again


class AiokafkaRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch of aiokafka; its own class for them differs by the language it is written in alone."""

    def next_batch(self) -> Any:
        """The next batch; None: there is none."""
        content, batch = self._next_slice, super().next_batch()
        return _wrapped(batch, content, _AiokafkaBatch)


class KafkaPythonRecords(MemoryRecords):  # type: ignore[misc]
    """The batches of a fetch of kafka-python."""

    def next_batch(self) -> Any:
        """The next batch; None: there is none."""
        content, batch = self._next_slice, super().next_batch()
        return _wrapped(batch, content, _KafkaPythonBatch)


def _wrapped(batch: Any, content: memoryview | None, tolerant: type) -> Any:
    return _Batch(batch, content, tolerant) if content is not None and content[_VERSION_AT] >= _WITH_HEADERS else batch


def install() -> None:
    """Has both libraries read records by the classes of this module."""
    aiokafka.consumer.fetcher.MemoryRecords = AiokafkaRecords
    kafka.consumer.fetcher.MemoryRecords = KafkaPythonRecords
