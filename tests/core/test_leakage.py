"""No prediction knows what came after it: cut the log at it, or change all that follows, and it stays what it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

import orjson
import pytest

from stream_app.core.detector import Detector
from stream_app.core.events import COMPLETE, ENDS, FAILED, ArtifactRef, Event
from stream_app.core.learning.learner import Learner
from stream_app.core.outcomes.labels import records
from stream_app.core.outputs import STAGES, Example, Output, StageRecord, Verdict
from stream_app.core.state.predictions import PredictionRecord
from stream_app.core.units import HOUR_MS
from tests.support.simulated import USUAL, fleet_events, folding, usual_events, usual_fleet, usual_outputs, wire

#: (graphlet, stage, validator)
Place = tuple[str, str, str | None]
#: Verdicts at which the log is cut: of each stage one late in the log, when models have learned.
SAMPLED = {"input": 0.93, "preprocess": 0.9, "train": 0.86, "validate": 0.96}


def frozen(record: StageRecord) -> bytes:
    """What was known and said at a stage; what was really left is known later, and is not part of it."""
    fields = asdict(record)
    del fields["actual_left"]
    return orjson.dumps(fields)


def taught(outputs: Iterable[Output]) -> dict[Place, bytes]:
    """The frozen stages of all examples, as the log of examples has them."""
    return {
        (output.graphlet, record.stage, record.validator): frozen(record)
        for output in outputs
        if isinstance(output, Example) and output.label_revision == 1
        for record in output.stages
    }


def known(detector: Detector) -> dict[Place, bytes]:
    """The frozen stages that a detector keeps with its graphlets."""
    found: dict[Place, bytes] = {}
    for pipeline in detector.pipelines.values():
        talks: dict[str, PredictionRecord | None] = {
            graphlet.id: graphlet.predictions for graphlet in pipeline.graphlets.values()
        }
        talks |= {f"{pipeline.name}/run:{run.id}": run.predictions for run in pipeline.runs.values()}
        for graphlet, predictions in talks.items():
            for record in records(predictions, (), {}):
                if record.features:
                    found[graphlet, record.stage, record.validator] = frozen(record)
    return found


def sampled(stage: str) -> tuple[int, Verdict]:
    """A verdict of a stage and the place of its event in the log; its graphlet's label comes later."""
    labelled = taught(usual_outputs())
    where = [
        (place, output)
        for place, outputs in enumerate(usual_fleet()[1])
        for output in outputs
        if isinstance(output, Verdict) and output.stage == stage and output.reasons
        if (output.graphlet, output.stage, output.validator) in labelled
    ]
    return where[int(len(where) * SAMPLED[stage])]


@pytest.mark.slow
def test_a_log_that_ends_at_a_prediction_gives_the_same() -> None:
    """Detector and learner anew, given nothing more: the same verdict, and the stages that were learned from later."""
    later = taught(usual_outputs())
    learner = Learner()
    detector = Detector(USUAL, learner)
    done = 0
    for place, verdict in sorted((sampled(stage) for stage in STAGES), key=lambda sample: sample[0]):
        said = folding(detector, learner, usual_events()[done : place + 1])
        done = place + 1
        now = known(detector)

        assert wire(verdict) in [wire(output) for output in said]
        where = (verdict.graphlet, verdict.stage, verdict.validator)
        assert now[where] == later[where]
        compared = [where for where in now if where in later]
        assert len(compared) > 50
        assert {where: now[where] for where in compared} == {where: later[where] for where in compared}


def altered(event: Event) -> Event:
    """The same step at the same time, but everything it tells is another."""
    state = {COMPLETE: FAILED, FAILED: COMPLETE}.get(event.state, event.state)
    swapped = {name: (not value if isinstance(value, bool) else "other") for name, value in event.properties.items()}
    outputs = tuple(ArtifactRef(ref.id, ref.type, {"pushed": 1, "blessed": 0, "drift": 9.0}) for ref in event.outputs)
    node_ms = 10 * HOUR_MS if event.state in ENDS else event.node_ms
    return replace(event, state=state, properties=swapped, outputs=outputs, node_ms=node_ms)


def test_another_future_changes_no_prediction_made_before_it() -> None:
    """From the middle of the log on every step ends otherwise, costs more and tells other numbers."""
    events = usual_events()
    middle = len(events) // 2
    learner = Learner()
    detector = Detector(USUAL, learner)
    past = folding(detector, learner, events[:middle])
    before = known(detector)
    future = folding(detector, learner, map(altered, events[middle:]))
    expected = [output for outputs in usual_fleet()[1][:middle] for output in outputs]

    assert [wire(output) for output in past] == [wire(output) for output in expected]
    learned = taught(future)
    shared = [where for where in learned if where in before]
    assert len(shared) > 5
    assert {where: learned[where] for where in shared} == {where: before[where] for where in shared}
    # The future was another one indeed.
    assert learned.keys() - before.keys()
    original = taught(output for outputs in usual_fleet()[1][middle:] for output in outputs)
    assert any(learned[where] != original[where] for where in learned if where in original and where not in before)


def test_what_is_in_time_order_uses_no_later_time() -> None:
    """A prediction at a time, on a log in order, is that of the events up to that time, whatever comes with it."""
    events = sorted(fleet_events(4, 8, 8), key=lambda event: event.time_ms)
    learner = Learner()
    detector = Detector(USUAL, learner)
    said = [v for v in folding(detector, learner, events) if isinstance(v, Verdict)]
    verdict = said[int(len(said) * 0.7)]
    learner = Learner()
    detector = Detector(USUAL, learner)
    again = folding(detector, learner, [event for event in events if event.time_ms <= verdict.time_ms])

    assert wire(verdict) in [wire(output) for output in again]
