"""Pipelines made of trainings, each a run with a validator and a push where it has them, and what is found in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stream_app.analysis.findings import Finding, Kind, findings_of_fleet
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import COMPLETE, FAILED, Event
from tests.support.builders import HOUR, MINUTE, T0, Ref, artifact, ended, ran, run_ended, started

#: Node-ms of a validator and of a push.
VALIDATOR, PUSH = 60_000, 6_000
#: Of an execution that ingests a span.
SPAN = 900_000


@dataclass(frozen=True)
class Training:
    """One training, in a run of its own unless it names one.

    `hour` is when it begins, in hours after `T0`. `data` are the artifacts that it reads. `blessed` is what its
    validator says; None: it has none. `warm`: it goes on from the model before. `over`: its run has ended.
    """

    hour: float
    pushed: bool = False
    failed: bool = False
    blessed: bool | None = True
    code: str = "c1"
    data: tuple[Ref, ...] = ()
    model: str = "m"
    run: str = ""
    warm: bool = False
    over: bool = True
    node_ms: int = HOUR


def events_of(trainings: Sequence[Training], pipeline: str = "p") -> list[Event]:
    """The events of trainings; their trainers are t0, t1, ... and their runs r0, r1, ..."""
    found: list[Event] = []
    for place, each in enumerate(trainings):
        run, minute = each.run or f"r{place}", each.hour * 60
        properties = {"code_version": each.code, "model_type": each.model}
        name, model = f"t{place}", f"model{place}"
        found.append(
            started(
                minute, name, "Trainer", run=run, reads=[*each.data, *([f"model{place - 1}"] if each.warm else [])],
                properties={key: value for key, value in properties.items() if value}, pipeline=pipeline,
            )
        )  # fmt: skip
        found.append(
            ended(
                minute + 10, name, "Trainer", run=run, state=FAILED if each.failed else COMPLETE,
                writes=[] if each.failed else [model], node_ms=each.node_ms, pipeline=pipeline,
            )
        )  # fmt: skip
        if each.blessed is not None and not each.failed:
            blessing = artifact(f"blessing{place}", blessed=int(each.blessed))
            found += ran(
                minute + 11, f"v{place}", "Evaluator", run=run, reads=[model], writes=[blessing], node_ms=VALIDATOR,
                pipeline=pipeline,
            )  # fmt: skip
        if each.pushed:
            found += ran(minute + 13, f"p{place}", "Pusher", run=run, reads=[model], node_ms=PUSH, pipeline=pipeline)
        if each.over:
            found.append(run_ended(minute + 20, run, pipeline=pipeline))
    return found


def spans(names: Iterable[str], pipeline: str = "p") -> list[Event]:
    """Executions that ingest spans of data before anything is trained, in no run."""
    return [
        event
        for name in names
        for event in ran(
            -10, f"ingest-{name}", "CsvExampleGen", run=None, writes=[name], node_ms=SPAN, pipeline=pipeline
        )
    ]


def daily(number: int, **more: object) -> list[Training]:
    """Trainings one day apart."""
    return [Training(24 * place, **more) for place in range(number)]  # type: ignore[arg-type]


class Found:
    """A detector with its findings.

    Parameters
    ----------
    rates
        The rate card.
    """

    def __init__(self, rates: Rates | None = None) -> None:
        price_of = rates.micros if rates is not None else None
        self.detector = Detector(Settings())
        self.fleet = FleetAnalysis(price_of=price_of)
        self.detector.follow(self.fleet)

    def read(self, events: Iterable[Event]) -> Found:
        """Takes events in."""
        for event in events:
            self.detector.step(event)
        return self

    def current(self) -> list[Finding]:
        """What is found in all pipelines."""
        return findings_of_fleet(self.fleet)

    def by_kind(self) -> dict[Kind, Finding]:
        """What is found in a single pipeline."""
        found = self.current()
        assert len({finding.pipeline for finding in found}) <= 1
        return {finding.kind: finding for finding in found}


def findings_in(trainings: Sequence[Training], now_hour: float | None = None) -> dict[Kind, Finding]:
    """What is found in a pipeline of trainings, at an hour after `T0` if one is given."""
    found = Found().read(events_of(trainings))
    if now_hour is not None:
        found.detector.tick(T0 + round(now_hour * 60 * MINUTE))
    return found.by_kind()
