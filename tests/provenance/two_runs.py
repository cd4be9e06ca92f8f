"""Two runs of a pipeline, of which the first was pushed, and what differs between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from stream_app.core.events import Event, Scalar
from tests.support.builders import HOUR, MINUTE, artifact, ended, ran, run_ended, started


@dataclass(frozen=True)
class Made:
    """A run: what it reads, runs and reports."""

    run: str
    minute: int
    #: Spans that it ingests, and spans that another run has ingested.
    spans: tuple[str, ...]
    shared: tuple[str, ...] = ()
    properties: Mapping[str, Scalar] = field(default_factory=dict)
    hours: int = 1
    rows: float = 1000.0
    pushed: bool = False
    validators: tuple[str, ...] = ("Evaluator",)

    def events(self, pipeline: str = "p") -> Iterator[Event]:
        """Ingest, transform, train, validate, and maybe push."""
        run, start = self.run, self.minute
        for span in self.spans:
            yield from ran(start, f"{run}-gen-{span}", "ExampleGen", run=run, writes=[span], pipeline=pipeline)
        read, features = [*self.spans, *self.shared, "schema"], artifact(f"{run}-features", rows=self.rows)
        yield from ran(
            start + 2, f"{run}-prep", "Transform",
            run=run, reads=read, writes=[features], node_ms=2 * MINUTE, pipeline=pipeline,
        )  # fmt: skip
        yield started(start + 4, f"{run}-train", "Trainer", run=run, reads=[features], pipeline=pipeline)
        yield ended(
            start + 4 + 60 * self.hours, f"{run}-train", "Trainer",
            run=run, writes=[f"{run}-model"], node_ms=self.hours * HOUR, properties=self.properties, pipeline=pipeline,
        )  # fmt: skip
        after = start + 5 + 60 * self.hours
        for validator in self.validators:
            name = f"{run}-{validator}"
            yield from ran(after, name, validator, run=run, reads=[f"{run}-model"], pipeline=pipeline)
        if self.pushed:
            yield from ran(after + 2, f"{run}-push", "Pusher", run=run, reads=[f"{run}-model"], pipeline=pipeline)
        yield run_ended(after + 4, run, pipeline=pipeline)


PUSHED = Made(
    "r1", 0, ("s1", "s2"), (), {"code_version": "c1", "optimizer": "adam", "deep": True, "auc": 0.75, "steps": 100},
    pushed=True, validators=("Evaluator", "InfraValidator"),
)  # fmt: skip
NEXT = Made(
    "r2", 1000, ("s3",), ("s2",), {"code_version": "c2", "optimizer": "sgd", "deep": True, "auc": 0.5, "recall": 0.25},
    hours=3, rows=900.0,
)  # fmt: skip


def events() -> list[Event]:
    """Both runs, one after the other."""
    return [*PUSHED.events(), *NEXT.events()]
