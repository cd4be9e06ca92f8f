"""Records that no client library can read, since the names of their headers are no text."""

from __future__ import annotations

from typing import Any

import aiokafka.consumer.fetcher
import kafka.consumer.fetcher
import pytest
from aiokafka.errors import CorruptRecordException
from aiokafka.record.memory_records import MemoryRecords as AiokafkaMemoryRecords
from kafka.errors import CorruptRecordError
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from stream_app.kafka.clients import connection
from stream_app.kafka.clients.tolerant_records import AiokafkaRecords, KafkaPythonRecords

READERS = pytest.mark.parametrize("reader", [AiokafkaRecords, KafkaPythonRecords])


class NoText(str):
    """A name that is written as bytes which are no UTF-8."""

    __slots__ = ()

    def encode(self, *_: Any) -> bytes:
        """The bytes."""
        return b"\xff\xfename"


def batches(*names: str, compression: int = 0) -> bytes:
    """One batch of three records for each name of a header."""
    written = b""
    for number, name in enumerate(names):
        builder = MemoryRecordsBuilder(magic=2, compression_type=compression, batch_size=1 << 20)
        for each in range(3):
            headers = [(name, b"value"), ("other", None)] if each == 1 else []
            builder.append(1_000 + each, b"key", b"%d" % each, headers)
        builder.close()
        content = bytearray(builder.buffer())
        content[:8] = (number * 3).to_bytes(8)  # the broker gives the offset
        written += bytes(content)
    return written


def read(reader: Any, content: bytes) -> list[tuple[int, bytes, list[tuple[str, bytes | None]]]]:
    """Offset, value and headers of each record."""
    records, found = reader(content), []
    while records.has_next():
        batch = records.next_batch()
        assert batch.validate_crc()
        found += [(each.offset, each.value, list(each.headers)) for each in batch]
    return found


@pytest.mark.parametrize("compression", [0, 1])
@READERS
def test_a_header_name_that_is_no_text_hides_no_record(reader: Any, compression: int) -> None:
    """It is read with escapes, and the records around it as they are."""
    found = read(reader, batches("before", NoText("x"), "after", compression=compression))

    assert [(offset, value) for offset, value, _ in found] == [(n, b"%d" % (n % 3)) for n in range(9)]
    assert [headers for _, _, headers in found if headers] == [
        [(name, b"value"), ("other", None)] for name in ("before", "\\xff\\xfename", "after")
    ]


@READERS
def test_ordinary_records_are_those_of_the_library(reader: Any) -> None:
    """Nothing else changes, the formats of old brokers included."""
    content = batches("name", "other")
    library = AiokafkaMemoryRecords if reader is AiokafkaRecords else MemoryRecords
    assert read(reader, content) == read(library, content)

    old = MemoryRecordsBuilder(magic=1, compression_type=0, batch_size=1 << 20)
    old.append(1_000, b"key", b"value")
    old.close()
    (record,) = list(reader(bytes(old.buffer())).next_batch())
    assert record.value == b"value"


@READERS
def test_damage_is_still_found(reader: Any) -> None:
    """A batch that is cut or changed is not taken for one with a strange name."""
    content = bytearray(batches("name"))
    content[-3] ^= 0xFF
    assert not reader(bytes(content)).next_batch().validate_crc()
    content = bytearray(batches("name"))
    content[61] = 0x7F  # the length of the first record
    with pytest.raises((CorruptRecordException, CorruptRecordError, ValueError)):
        list(reader(bytes(content)).next_batch())


@READERS
def test_nothing_is_nothing(reader: Any) -> None:
    """An empty fetch, and one that ends within a batch."""
    assert reader(b"").next_batch() is None
    assert not reader(batches("name")[:-1]).has_next()


def test_the_libraries_fail_without_it_and_have_it() -> None:
    """A release that reads such names itself, or names its classes otherwise, is seen here."""
    content = batches(NoText("x"))
    for library in (AiokafkaMemoryRecords, MemoryRecords):
        with pytest.raises((CorruptRecordException, CorruptRecordError, ValueError)):
            read(library, content)
    assert connection
    assert aiokafka.consumer.fetcher.MemoryRecords is AiokafkaRecords
    assert kafka.consumer.fetcher.MemoryRecords is KafkaPythonRecords
