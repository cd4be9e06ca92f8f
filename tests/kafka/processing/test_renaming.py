"""Verdicts of an earlier release move to the ids that their graphlets have now, and no others do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import orjson
import pytest
from aiokafka import TopicPartition

from stream_app.kafka.processing import renaming
from stream_app.kafka.state.outbox import Message
from tests.support.kafka_records import record


def old(pipeline: str, trainer: str, **more: Any) -> bytes:
    """A verdict as 0.1.0 wrote it."""
    graphlet = f"{pipeline}/{trainer}"
    return orjson.dumps(
        {
            "id": f"{graphlet}#1", "graphlet": graphlet, "pipeline": pipeline, "run": None, "trainer": trainer,
            "policy": "observe 5 %", "reasons": ["a sentence"], "revision": 1, **more,
        }
    )  # fmt: skip


class Log:
    """The records of one partition of the topic of verdicts."""

    kept: ClassVar[dict[int, list[tuple[bytes, bytes | None]]]] = {}

    def __init__(self, _: object, at: TopicPartition) -> None:
        self.records = self.kept.get(at.partition, [])

    async def __aenter__(self) -> Log:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def end(self) -> int:
        return len(self.records)

    async def read(self, start: int, end: int) -> AsyncIterator[list[Any]]:
        yield [record(offset, value, key=key) for offset, (key, value) in enumerate(self.records)][start:end]


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What is sent for graphlets that got other ids, given what the topic holds."""

    def run(kept: dict[int, list[tuple[bytes, bytes | None]]], renamed: dict[str, str]) -> list[Message]:
        monkeypatch.setattr(Log, "kept", kept)
        monkeypatch.setattr(renaming, "LogReader", Log)
        return asyncio.run(renaming.renamed_verdicts({}, "verdicts", 2, renamed))

    return run


RENAMED = {"team/ads/train": "team~1ads/train"}


def test_the_last_verdict_moves_word_for_word(moved: Any) -> None:
    """Under its new key, with a tombstone for the old one."""
    last = old("team/ads", "train", p_push=0.2)
    kept = {1: [(b"team/ads/train", old("team/ads", "train")), (b"p/t", old("p", "t")), (b"team/ads/train", last)]}

    assert moved(kept, RENAMED) == [
        Message("verdicts", b"team~1ads/train", last),
        Message("verdicts", b"team/ads/train", None),
    ]


def test_a_verdict_of_a_graphlet_whose_present_id_is_that_old_one_stays(moved: Any) -> None:
    """Pipeline `team` with trainer `ads/train`: 0.1.0 could not tell it from `team/ads` with `train`."""
    assert moved({0: [(b"team/ads/train", old("team", "ads/train"))]}, RENAMED) == []


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", old("team/ads", "train", policy="?")])
def test_what_is_no_verdict_stays(moved: Any, value: bytes | None) -> None:
    """Tombstones, and what others wrote there."""
    assert moved({0: [(b"team/ads/train", value)]}, RENAMED) == []
