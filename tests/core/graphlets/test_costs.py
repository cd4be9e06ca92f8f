"""What an event costs does not grow with the shape of a run: calls are counted, not timed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import COMPLETE, FAILED, RUNNING, Event
from stream_app.core.graphlets.tries import TRIES_MAX
from tests.support.builders import ended, happened, run_ended, started


def calls(detector: Detector, events: Iterable[Event]) -> int:
    """Function calls that these events cost."""
    count = 0

    def counted(_: FrameType, what: str, __: Any) -> None:
        nonlocal count
        count += what in ("call", "c_call")

    sys.setprofile(counted)
    try:
        for event in events:
            detector.step(event)
    finally:
        sys.setprofile(None)
    return count


def growth(batches: list[list[Event]]) -> float:
    """How many times the calls of the first batch the last batch costs."""
    detector = Detector(Settings())
    costs = [calls(detector, batch) for batch in batches]
    return costs[-1] / costs[0]


def batches(events: list[Event], size: int) -> list[list[Event]]:
    return [events[first : first + size] for first in range(0, len(events), size)]


def trainings(count: int, **properties: str) -> list[Event]:
    """Trainings of one run that start one after the other, each after the one before it has failed."""
    return [
        event
        for number in range(count)
        for event in (
            started(2 * number, f"t{number}", "Trainer", properties=dict(properties)),
            ended(2 * number + 1, f"t{number}", "Trainer", state=FAILED),
        )
    ]


def test_a_job_with_thousands_of_trainings_in_a_run_costs_each_the_same() -> None:
    """More than a hundred of one job are no tries of each other."""
    found = trainings(1_200, job="train")

    assert growth(batches(found[4 * TRIES_MAX :], 400)) < 1.5


def test_a_mapped_task_costs_each_of_its_trainings_the_same() -> None:
    """Each place in it has tries of its own."""
    found = [event for number in range(1_000) for event in trainings_of(number)]

    assert growth(batches(found, 400)) < 1.5


def trainings_of(number: int) -> list[Event]:
    """A place of a mapped task that fails once, and is tried again."""
    told = {"job": "train", "map_index": str(number)}
    return [
        started(number, f"t{number}a", "Trainer", properties=told),
        ended(number + 1, f"t{number}a", "Trainer", state=FAILED),
        started(number + 2, f"t{number}b", "Trainer", properties=told),
        ended(number + 3, f"t{number}b", "Trainer"),
    ]


def test_executions_that_name_one_run_cost_each_the_same() -> None:
    """Whether the run is told of first, last or never."""
    found = [happened(number, f"e{number}", "Step", COMPLETE, run="dag") for number in range(4_000)]
    found.insert(1_000, happened(1, "dag", "fraud", RUNNING, run=None))

    assert growth(batches(found, 500)) < 1.5


@pytest.mark.parametrize("hubs", [0, 500])
def test_a_deploy_that_reads_what_thousands_wrote_costs_each_of_them_the_same(hubs: int) -> None:
    """One id for the models of all runs is a mistake of the sender, and must not stop the detector."""
    hub = [ended(0, f"w{number}", "Transform", run=f"w{number}", writes=["hub"]) for number in range(hubs)]
    pusher = started(0, "push", "Pusher", run="d", reads=["hub", "model"])
    models = [ended(1 + each, f"t{each}", "Trainer", run=f"r{each}", writes=["model"]) for each in range(1_000)]
    detector = Detector(Settings())
    calls(detector, [*hub, pusher, *models[:1]])
    first, *_, last = (calls(detector, batch) for batch in batches(models[1:801], 200))

    assert last < 1.5 * first


def test_a_training_that_reports_each_second_costs_the_same_after_days() -> None:
    """Its reports are a few spans."""
    beats = [happened(second / 60, "t", "Trainer", RUNNING) for second in range(0, 10 * 86_400, 120)]

    assert growth(batches(beats, 720)) < 1.5


def test_a_report_writes_one_small_row() -> None:
    """And that of its pipeline, however long it reports."""
    detector = Detector(Settings(), keep_rows=True)
    for second in range(0, 10 * 86_400, 60):
        detector.step(happened(second / 60, "t", "Trainer", RUNNING))
        rows = detector.take_rows()

    sizes = {key.split(b"\x00")[0]: len(row or b"") for key, row in rows}
    assert set(sizes) == {b"execution", b"pipeline"}
    assert sizes[b"execution"] < 300


def test_the_eviction_of_a_wide_run_costs_each_execution_the_same() -> None:
    """Thousands of trainings of one run go on one day."""

    def evicted(count: int) -> float:
        detector = Detector(Settings())
        for event in [*trainings(count, job="train"), run_ended(2 * count)]:
            detector.step(event)
        return calls(detector, [started(60 * 24 * 60, "later", "Custom", run=None)]) / count

    assert evicted(1_200) < 1.5 * evicted(300)
