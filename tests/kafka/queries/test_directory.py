"""The directory: what of its records counts, and which worker has a partition."""

from __future__ import annotations

import asyncio
import gc

import orjson
import pytest

from stream_app.kafka.queries.directory import Directory, Place, read_entry, write_entry
from stream_app.kafka.records import Record
from tests.support.kafka_records import record

FIRST, SECOND = Place("worker-1:4711", "a"), Place("[::1]:4712", "b")


def entry(number: int, place: Place) -> Record:
    """The record of a partition."""
    return record(0, write_entry(place, 0, 4), key=b"%d" % number)


def tasks_and_futures() -> int:
    """How many are in memory."""
    gc.collect()
    return sum(isinstance(each, asyncio.Future) for each in gc.get_objects())


def test_what_is_written_is_read() -> None:
    """With when it was opened, for people."""
    value = write_entry(SECOND, 1_772_000_000_123, 12)

    assert read_entry(b"7", value) == (7, SECOND, 12)
    assert orjson.loads(value)["opened_at"] == "2026-02-25T06:13:20.123Z"


def test_the_latest_entry_of_a_partition_holds() -> None:
    directory = Directory()
    assert (directory.partitions, directory.place(0)) == (0, None)
    directory.take([entry(0, FIRST), entry(1, FIRST), entry(0, SECOND)])

    assert (directory.place(0), directory.place(1), directory.place(2)) == (SECOND, FIRST, None)
    assert directory.partitions == 4


def test_an_entry_that_is_taken_back_is_gone() -> None:
    directory = Directory()
    directory.take([entry(0, FIRST), entry(1, FIRST), record(1, None, key=b"0"), record(1, None, key=b"none")])

    assert (directory.place(0), directory.place(1), directory.partitions) == (None, FIRST, 4)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (None, write_entry(FIRST, 0, 4)),
        (b"", write_entry(FIRST, 0, 4)),
        (b"x", write_entry(FIRST, 0, 4)),
        (b"-1", write_entry(FIRST, 0, 4)),
        (b"4", write_entry(FIRST, 0, 4)),
        (b"\xff", write_entry(FIRST, 0, 4)),
        (b"9" * 5_000, write_entry(FIRST, 0, 4)),
        (b"0", b""),
        (b"0", b"null"),
        (b"0", b"[]"),
        (b"0", b"{}"),
        (b"0", b"\xff"),
        (b"0", write_entry(FIRST, 0, 0)),
        (b"0", write_entry(FIRST, 0, 1 << 40)),
        (b"0", b'{"address":"w:1","instance":"a","partitions":"4"}'),
        (b"0", b'{"address":"w:1","instance":"a","partitions":true}'),
        (b"0", b'{"address":"w:1","instance":7,"partitions":4}'),
        (b"0", b'{"address":7,"instance":"a","partitions":4}'),
        *(
            (b"0", write_entry(Place(address, "a"), 0, 4))
            for address in (
                "", "w", "w:", ":1", "w:x", "w:123456", "http://w:1", "w:1/x", "w:1?x", "w:1#x", "u@w:1", "w w:1",
                "w:1\n", "::1:80", "w\x00:1", "é:1", "x" * 300 + ":1", "%77:1", "[w]:1",
            )
        ),
    ],
)  # fmt: skip
def test_what_is_no_entry_changes_nothing(key: bytes | None, value: bytes) -> None:
    """Nobody is asked at an address that is more than a host and a port."""
    directory = Directory()
    directory.take([entry(0, FIRST), record(1, value, key=key)])

    assert (directory.place(0), directory.partitions) == (FIRST, 4)


def test_whoever_waits_is_told_of_changes() -> None:
    """Once for each."""

    async def body() -> list[bool]:
        directory = Directory()
        waiting = [asyncio.ensure_future(directory.changed()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        directory.take([])
        await asyncio.sleep(0)
        early = [each.done() for each in waiting[1:]]
        directory.take([entry(0, FIRST)])
        await asyncio.gather(*waiting[1:])
        return early

    assert asyncio.run(body()) == [False, False]


def test_whoever_gives_up_waiting_leaves_nothing() -> None:
    """Each question waits; while nobody writes the directory they would pile up."""

    async def body() -> int:
        directory = Directory()
        begun = tasks_and_futures()
        for _ in range(1_000):
            waiting = asyncio.ensure_future(directory.changed())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        del waiting
        return tasks_and_futures() - begun

    assert asyncio.run(body()) < 100
