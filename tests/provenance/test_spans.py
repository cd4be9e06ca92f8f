"""A run is a trace, an execution a span, a verdict an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import CANCELED, COMPLETE, FAILED, Event
from stream_app.core.operators import Operators
from stream_app.core.outputs import Verdict
from stream_app.provenance.spans import LINKS_MAX, Span, SpanStatus, execution_span, run_span, spans_of
from tests.provenance.two_runs import events
from tests.support.builders import at, ended, ran, run_ended, started


def spans(happened: Sequence[Event], pipeline: str = "p") -> Mapping[str, Span]:
    """The spans of some events, by execution, or by run for runs."""
    settings = Settings()
    detector, verdicts = Detector(settings, settings.learner()), dict[str, list[Verdict]]()
    for event in happened:
        for output in detector.step(event):
            if isinstance(output, Verdict):
                verdicts.setdefault(output.graphlet, []).append(output)
    found = list(spans_of(detector.pipelines[pipeline], verdicts, Operators()))
    named = [each.attributes.get("stream_app.execution", each.attributes.get("stream_app.run")) for each in found]
    assert len(set(named)) == len(found)
    return {str(name): span for name, span in zip(named, found, strict=True)}


def test_executions_are_children_of_their_run() -> None:
    """In its trace; the run lasts from its first start to its last end."""
    found = spans(events())

    run, train = found["r1"], found["r1-train"]
    assert (run.id, run.parent, run.name) == (run_span("p", "r1"), None, "p")
    assert (train.id, train.parent, train.name) == (execution_span("p", "r1", "r1-train"), run.id, "Trainer")
    assert train.id.trace == run.id.trace != found["r2"].id.trace
    assert (run.start_ms, run.end_ms) == (at(0), at(69))
    assert (train.start_ms, train.end_ms) == (at(4), at(64))
    assert train.attributes["stream_app.node_seconds"] == 3600.0
    assert train.attributes["stream_app.outcome"] == "pushed"


def test_what_it_read_is_linked() -> None:
    """To the spans that wrote it, in the traces of their runs."""
    found = spans(events())

    assert set(found["r2-prep"].links) == {
        execution_span("p", "r1", "r1-gen-s2"),
        execution_span("p", "r2", "r2-gen-s3"),
    }
    assert found["r1-train"].links == (found["r1-prep"].id,)
    assert found["r1-gen-s1"].links == ()


def test_links_are_bounded() -> None:
    """The first by start."""
    spans_of_data = [f"s{number:03}" for number in range(LINKS_MAX + 9)]
    happened = [
        event
        for minute, name in enumerate(spans_of_data)
        for event in ran(minute, f"gen-{name}", "ExampleGen", writes=[name])
    ]

    links = spans([*happened, started(500, "t", "Trainer", reads=spans_of_data)])["t"].links

    assert links == tuple(execution_span("p", "r1", f"gen-{name}") for name in spans_of_data[:LINKS_MAX])


def test_verdicts_are_events_of_the_trainer_or_run() -> None:
    found = spans(events())

    assert [each.attributes["stream_app.stage"] for each in found["r1"].events] == ["input"]
    stages = [each.attributes["stream_app.stage"] for each in found["r1-train"].events]
    assert stages == ["preprocess", "train", "validate", "validate"]
    [first, *_] = found["r1-train"].events
    assert (first.name, first.time_ms) == ("verdict", at(4))
    assert first.attributes["stream_app.id"] == "p/r1-train#1"
    assert first.attributes["stream_app.decision"] == "continue"
    assert "stream_app.validator" not in first.attributes


@pytest.mark.parametrize(
    ("state", "status"), [(COMPLETE, SpanStatus.OK), (FAILED, SpanStatus.ERROR), (CANCELED, SpanStatus.UNSET)]
)
def test_the_status_is_that_of_the_state(state: str, status: SpanStatus) -> None:
    """Of an execution, and of a run by its own end."""
    found = spans([started(0, "t", "Trainer"), ended(5, "t", "Trainer", state=state), run_ended(6, state=state)])

    assert (found["t"].status, found["t"].attributes["stream_app.state"]) == (status, state)
    assert found["r1"].status == status


def test_what_has_not_ended_ends_with_its_last_report() -> None:
    """And a run without an end of its own has no status."""
    found = spans([started(0, "t", "Trainer"), started(7, "t", "Trainer"), *ran(1, "e", "Evaluator")])

    assert (found["t"].end_ms, found["t"].status) == (at(7), SpanStatus.UNSET)
    assert (found["r1"].end_ms, found["r1"].status) == (at(7), SpanStatus.UNSET)


def test_an_execution_in_no_run_is_a_trace_by_itself() -> None:
    found = spans([*ran(0, "a", "Transform", run=None, writes=["x"]), *ran(2, "b", "Trainer", run=None, reads=["x"])])

    assert (found["a"].parent, found["b"].parent) == (None, None)
    assert found["a"].id.trace != found["b"].id.trace
    assert found["b"].links == (found["a"].id,)


def test_ids_tell_names_apart() -> None:
    """Whatever is in them, and whether they are of a run or of an execution."""
    names = ["a", "b", "a/b", 'a","b', "run", ""]
    ids = [run_span(x, y) for x in names for y in names]
    ids += [execution_span(x, None, y) for x in names for y in names]
    executions = {execution_span("p", run, name).span for run in (None, "r") for name in names}

    assert len({each.trace for each in ids}) == len({each.span for each in ids}) == len(ids)
    assert len(executions) == len(names)  # an execution keeps its id when its run becomes known


def test_the_order_of_events_does_not_matter() -> None:
    """But for verdicts, which are of the order in which events came."""
    bare = [{name: span.id for name, span in spans(order).items()} for order in (events(), events()[::-1])]

    assert bare[0] == bare[1]
