"""Features of concurrent runs: those that began before this one, and this run's other trainers.

Their outcomes may not be announced yet, but their state is informative: after a blessed model that waits for its push
the next run is less likely to be pushed, after a failed run it is more likely.
"""

from __future__ import annotations

from stream_app.core.events import FAILED
from stream_app.core.features.validation import is_blessed
from stream_app.core.outputs import OPEN, PUSHED
from stream_app.core.state.entities import Graphlet, Subject
from stream_app.core.state.history import Snapshot
from stream_app.core.state.pipeline import Pipeline


def concurrent_run_features(found: dict[str, float], pipeline: Pipeline, subject: Subject) -> None:
    """Adds the state of the last runs that began before the subject, and of the other trainers of its run."""
    under_way = supersedable = pushed = 0
    for before in reversed(pipeline.history.started):
        if before.subject == subject.key:
            continue
        graphlets, ended = graphlets_of(pipeline, before)
        undecided = [each for each in graphlets if each.kind == OPEN]
        was_pushed = any(each.kind == PUSHED for each in graphlets)
        under_way += bool(undecided) or not (graphlets or ended)
        supersedable += any(is_blessed(pipeline, each) for each in undecided)
        pushed += was_pushed
        if "before_ended" not in found:
            found["before_ended"] = float(ended)
            found["before_open"] = float(bool(undecided))
            found["before_pushed"] = float(was_pushed)
            found["before_failed"] = float(any(each.trainer.end_state == FAILED for each in graphlets))
    if "before_ended" in found:
        found["under_way"] = float(under_way)
        found["waiting"] = float(supersedable)
        found["lately_pushed"] = float(pushed)
    run = pipeline.run_of(subject)
    if run is not None and len(run.trainers) > 1:
        others = [t.graphlet for t in run.trainers if t.graphlet is not None and t.graphlet is not subject]
        found["others_pushed"] = float(sum(1 for each in others if each.kind == PUSHED))
        found["others_blessed"] = float(sum(1 for each in others if is_blessed(pipeline, each)))


def graphlets_of(pipeline: Pipeline, before: Snapshot) -> tuple[list[Graphlet], bool]:
    """The graphlets of a run, or of a trainer that is in no run, and whether it has ended."""
    run = pipeline.runs.get(before.subject)
    if run is not None:
        return [t.graphlet for t in run.trainers if t.graphlet is not None], run.end_ms() is not None
    graphlet = pipeline.graphlets.get(before.subject)
    return ([graphlet], graphlet.trainer.end_ms is not None) if graphlet is not None else ([], True)
