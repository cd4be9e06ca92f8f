"""The examples log as it is read: records that are not examples are ignored, logged and counted."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from stream_app import wire
from stream_app.core.learning.learner import Learner
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.model.examples_log import ExamplesLog
from tests.metrics.test_metrics import EXAMPLE
from tests.support.kafka_records import record

GOOD = wire.example_to_dict(EXAMPLE)


def poisoned(**stage: Any) -> bytes:
    """An example with something else at its stage."""
    return orjson.dumps({**GOOD, "stages": [{**GOOD["stages"][0], **stage}]})


@pytest.mark.parametrize(
    "bad",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"{}",
        orjson.dumps({**GOOD, "announced": "never"}),
        orjson.dumps({**GOOD, "label_revision": None}),
        poisoned(stage="of a later version"),
        poisoned(p="likely"),
        poisoned(propensity=0),
    ],
)
def test_records_that_are_not_examples_are_ignored(bad: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody can take it out of the log: the worker goes on, says where it is, and counts it."""
    learner = Learner()

    async def body() -> ExamplesLog:
        examples = ExamplesLog(Connection("localhost:1"), "examples", learner.learn)
        next_one = orjson.dumps({**GOOD, "graphlet": "p/next"})
        await examples._fold([record(3, bad, topic="examples"), record(4, next_one, topic="examples")])
        return examples

    examples = asyncio.run(body())

    assert (examples.skipped, examples.position) == (1, 5)
    assert "examples at offset 3 is not an example" in caplog.text
    assert learner.metrics()["input"].support == 1
