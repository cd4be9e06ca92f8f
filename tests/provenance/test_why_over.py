"""Why an execution is in a graphlet, where several processes have the pipelines: as if one had them all."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from stream_app.core.state.pipeline import Pipeline
from stream_app.provenance.names import AmbiguousNameError, UnknownNameError
from stream_app.provenance.questions import FULL_NAME, NAMES, WHY, answer
from stream_app.provenance.why import why
from stream_app.provenance.why_over import LookedUp, why_over
from tests.provenance.graphs import detector_of
from tests.provenance.peers.fleet import split
from tests.provenance.two_runs import NEXT, PUSHED
from tests.support.builders import ended, ran
from tests.support.worlds import OPERATORS

DETECTOR = detector_of(
    [
        *PUSHED.events("p"),
        *NEXT.events("p"),
        *PUSHED.events("team/q"),
        *ran(3000, "alone", "Trainer", run="r", pipeline="z"),
        *ran(3001, "r2-train", "Evaluator", run="r", pipeline="z"),
        ended(3002, "first", "Trainer", run="r3", pipeline="z", state="FAILED"),
        ended(3003, "second", "Trainer", run="r3", pipeline="z"),
    ]
)
EXECUTIONS = (
    "p/r1-gen-s1", "p/r2-prep", "r2-prep", "r1-prep", "p/r2-train", "r2-train", "team~1q/r1-push", "team/q/r1-push",
    "z/alone", "alone", "p/run:r1", "nobody", "p/nobody", "nowhere/nobody", "", "/", "p/", "schema", "first",
)  # fmt: skip
GRAPHLETS = (
    "p/r2-train", "r2-train", "r1-train", "team~1q/r1-train", "alone", "p/run:r1", "p/run:none", "z/run:r", "nobody",
    "p/nobody", "", "/", "first", "z/r2-train",
)  # fmt: skip


@dataclass
class Split:
    """Processes that have some pipelines each, with JSON between them."""

    parts: Sequence[Mapping[str, Pipeline]]

    def ask(self, part: Mapping[str, Pipeline], question: str, **parameters: str) -> Any:
        return orjson.loads(orjson.dumps(answer(part, OPERATORS, question, parameters)))

    def having(self, pipeline: str) -> Mapping[str, Pipeline]:
        return next((each for each in self.parts if pipeline in each), self.parts[0])

    async def look_up(self, name: str, wanted: str, pipeline: str | None = None) -> list[LookedUp]:
        parts = self.parts if pipeline is None else [self.having(pipeline)]
        return [LookedUp.from_json(self.ask(each, NAMES, name=name, wanted=wanted)) for each in parts]

    async def full_name(self, pipeline: str, name: str, wanted: str) -> str:
        return str(self.ask(self.having(pipeline), FULL_NAME, name=name, wanted=wanted))

    async def why(self, pipeline: str, execution: str, graphlet: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask(self.having(pipeline), WHY, execution=execution, graphlet=graphlet)
        return found


@pytest.mark.parametrize("processes", [1, 2, 3])
@pytest.mark.parametrize("graphlet", GRAPHLETS)
def test_the_answer_does_not_depend_on_who_has_what(processes: int, graphlet: str) -> None:
    """Nor do errors, but for names that are given instead of that of an execution which is no trainer."""
    places = [number % processes for number in range(3)]
    parts = Split(split(DETECTOR.pipelines, places, processes))
    for execution in EXECUTIONS:
        try:
            expected: object = why(DETECTOR.pipelines, execution, graphlet, OPERATORS)
        except (UnknownNameError, AmbiguousNameError) as error:
            expected = error
        try:
            found: object = asyncio.run(why_over(parts, execution, graphlet))
        except (UnknownNameError, AmbiguousNameError) as error:
            found = error
        if isinstance(expected, Exception) and graphlet in ("first", "z/r2-train", "r2-train"):
            assert type(found) is type(expected)
        elif isinstance(expected, Exception):
            assert (type(found), str(found)) == (type(expected), str(expected))
        else:
            assert found == expected
