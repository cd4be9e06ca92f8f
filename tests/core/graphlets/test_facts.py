"""Facts of executions and artifacts that lineage and analysis read: functions of the set of events too."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import COMPLETE, FAILED, NEW, RUNNING, ArtifactRef, Event
from stream_app.core.state.attempts import REPORTS_MAX, SPANS_MAX, Reports
from tests.support.builders import HOUR, MINUTE, at, happened

EVENTS = st.builds(
    lambda minute, name, kind, state, run, reads, writes: Event(
        at(minute), "p", name, kind, state, run,
        tuple(ArtifactRef(each, f"Type{minute % 3}") for each in reads),
        tuple(ArtifactRef(each, f"Type{minute % 2}", {}, each != "table") for each in writes),
    ),
    st.integers(0, 30),
    st.sampled_from(["a", "b", "c"]),
    st.sampled_from(["Trainer", "Custom"]),
    st.sampled_from([NEW, RUNNING, COMPLETE, FAILED]),
    st.sampled_from([None, "r1", "r2"]),
    st.lists(st.sampled_from(["x", "y", "table"]), max_size=2, unique=True),
    st.lists(st.sampled_from(["x", "y", "table"]), max_size=2, unique=True),
)  # fmt: skip


def facts(detector: Detector) -> dict[str, Any]:
    """All of them, by execution and artifact."""
    found: dict[str, Any] = {}
    for pipeline in detector.pipelines.values():
        for execution in pipeline.executions.values():
            found[execution.id] = (
                execution.last_ms, execution.last_running_ms, execution.read_ms, execution.write_ms,
                execution.attempts(),
            )  # fmt: skip
        for artifact in pipeline.artifacts.values():
            found[f"artifact {artifact.id}"] = (artifact.type, artifact.type_ms)
    return found


def detector_of(events: list[Event], restart_every: int = 1000) -> Detector:
    """A detector after some events, loaded from its rows now and then."""
    detector, rows = Detector(Settings(), keep_rows=True), dict[bytes, bytes]()
    for number, event in enumerate(events, 1):
        detector.step(event)
        if number % restart_every == 0:
            for key, row in detector.take_rows():
                if row is None:
                    rows.pop(key, None)
                else:
                    rows[key] = row
            detector = Detector.load(Settings(), rows)
    return detector


@given(st.lists(EVENTS, max_size=14), st.randoms(use_true_random=False))
def test_order_repetition_and_restarts_do_not_matter(events: list[Event], random: Any) -> None:
    """Types, times of edges, the last report and attempts are those of the set."""
    again = [*events, *random.sample(events, len(events) // 2)]
    random.shuffle(again)

    assert facts(detector_of(again, restart_every=4)) == facts(detector_of(events))


@pytest.mark.parametrize(
    ("reports", "attempts"),
    [
        ([], []),
        ([(1, RUNNING)], [(1, None)]),
        ([(5, RUNNING), (5, COMPLETE)], [(5, 5)]),
        ([(7, COMPLETE)], [(0, 7)]),
        ([(1, RUNNING), (3, FAILED), (6, RUNNING), (9, COMPLETE)], [(1, 3), (6, 9)]),
        ([(1, RUNNING), (2, RUNNING), (3, FAILED), (6, RUNNING), (7, RUNNING)], [(1, 3), (6, None)]),
    ],
    ids=["none", "running", "in one moment", "only its end", "a retry", "heartbeats and a retry"],
)
def test_an_attempt_lasts_from_its_first_report_to_its_end(
    reports: list[tuple[int, str]], attempts: list[tuple[int, int | None]]
) -> None:
    """However often it says that it runs."""
    detector = detector_of([happened(0, "a", "Custom", NEW), *(happened(m, "a", "Custom", s) for m, s in reports)])

    execution = detector.pipelines["p"].executions["a"]
    assert execution.attempts() == [(at(a), at(b) if b is not None else None) for a, b in attempts]
    assert execution.last_ms == at(max([0, *(minute for minute, _ in reports)]))


def reports_of(found: list[tuple[float, str]]) -> Reports:
    """The reports of an execution, in this order; times are in hours."""
    reports = Reports()
    for hours, state in found:
        reports.add((round(hours * HOUR), state))
    return reports


def known(reports: Reports) -> tuple[Any, ...]:
    return reports.few, reports.spans, reports.ends


def test_reports_are_few_however_often_an_execution_reports() -> None:
    """A report a minute for ten days, and one in three hours for a year."""
    often = reports_of([(minute / 60, RUNNING) for minute in range(14_400)])
    seldom = reports_of([(3 * number, state) for number in range(3_000) for state in (RUNNING, FAILED)])

    assert known(often) == ([], [(0, 14_399 * MINUTE)], [])
    assert len(seldom.spans) <= SPANS_MAX
    assert len(seldom.ends) == REPORTS_MAX


@given(
    st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from([RUNNING, RUNNING, FAILED])), min_size=34, max_size=300),
    st.randoms(use_true_random=False),
)
def test_many_reports_are_kept_the_same_in_any_order(found: list[tuple[float, str]], random: Any) -> None:
    """Also if the first ones came from far apart, and the ones between them late."""
    again = [*found, *random.sample(found, len(found) // 2)]
    random.shuffle(again)

    assert known(reports_of(again)) == known(reports_of(found))


def test_a_report_that_is_known_changes_nothing() -> None:
    """Neither one of few, nor one within a span."""
    few, many = (reports_of([(number, RUNNING) for number in range(count)]) for count in (3, 100))

    assert not few.add((2 * HOUR, RUNNING))
    assert not many.add((50 * HOUR + 1, RUNNING))


def test_an_execution_that_reports_seldom_is_running_again_after_a_failure() -> None:
    """After a week of a report each three hours."""
    hours = [(3 * 60 * number, RUNNING) for number in range(56)]
    again = [(200 * 60, FAILED), (203 * 60, RUNNING), (206 * 60, RUNNING)]
    execution = detector_of([happened(minute, "a", "Custom", state) for minute, state in [*hours, *again]])
    found = execution.pipelines["p"].executions["a"]

    assert not found.is_over
    assert found.reports_progress
    assert found.attempts() == [(at(0), at(200 * 60)), (at(203 * 60), None)]


def test_an_edge_counts_from_the_first_event_that_names_it() -> None:
    """Inputs are often named again at the end."""
    detector = detector_of(
        [
            happened(9, "a", "Custom", COMPLETE, reads=["x"], writes=["y"]),
            happened(2, "a", "Custom", NEW),
            happened(4, "a", "Custom", RUNNING, reads=["x"]),
        ]
    )

    execution = detector.pipelines["p"].executions["a"]
    assert (execution.read_ms, execution.write_ms) == ({"x": at(4)}, {"y": at(9)})
