"""Which graphlet is explained, and with what it is compared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from stream_app.core.detector import Settings
from stream_app.core.events import CACHED, Event
from stream_app.core.learning.learner import Learner
from stream_app.replay.explain import Explanation, UnknownGraphletError, explain
from stream_app.wire import event_to_dict
from tests.provenance.two_runs import NEXT, PUSHED
from tests.support.builders import DAY, MINUTE, ended, started


@pytest.fixture
def events(tmp_path: Path) -> str:
    """Trainers in no run: one of pipeline p, and one that both p and q have."""
    happened = [
        ended(0, "prep", "Transform", run=None, writes=["data"]),
        started(1, "alone", "Trainer", run=None, reads=["data"]),
        started(2, "both", "Trainer", run=None),
        started(3, "both", "Trainer", run=None, pipeline="q"),
        started(4, "alone", "Transform", run=None, pipeline="q"),
    ]
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"".join(orjson.dumps(event_to_dict(event)) + b"\n" for event in happened))
    return str(path)


def explained(graphlet: str, path: str) -> Explanation:
    settings = Settings()
    return explain(graphlet, [path], settings, Learner())


def test_a_trainer_is_explained_by_its_own_id(events: str) -> None:
    """As by the whole id of its graphlet; what is no trainer does not count."""
    found = explained("alone", events)

    assert found == explained("p/alone", events)
    assert (found.graphlet, found.pipeline) == ("p/alone", "p")
    assert [event.execution_id for event in found.events] == ["prep", "alone"]


def test_an_id_of_two_pipelines_names_both(events: str) -> None:
    with pytest.raises(
        UnknownGraphletError, match="both: more than one pipeline has such a trainer: give p/both or q/both"
    ):
        explained("both", events)


@pytest.mark.parametrize("graphlet", ["prep", "nothing", "p/nothing"])
def test_what_is_no_trainer_is_unknown(events: str, graphlet: str) -> None:
    """With ids that there are."""
    with pytest.raises(UnknownGraphletError, match=f"^{graphlet}: no such graphlet; there are, for instance, "):
        explained(graphlet, events)


def test_a_run_of_which_nothing_was_predicted_names_its_graphlets(tmp_path: Path) -> None:
    """Its trainer came first, so that it never had a provisional graphlet."""
    path = tmp_path / "events.jsonl"
    path.write_bytes(orjson.dumps(event_to_dict(started(1, "t", "Trainer", run="r"))))

    with pytest.raises(UnknownGraphletError, match=r"^p/run:r: nothing was predicted .*; its graphlets are p/t$"):
        explained("p/run:r", str(path))


def written(path: Path, happened: list[Event]) -> str:
    """A file of events."""
    path.write_bytes(b"".join(orjson.dumps(event_to_dict(event)) + b"\n" for event in happened))
    return str(path)


def test_a_push_that_was_evicted_long_ago_is_still_compared_with(tmp_path: Path) -> None:
    """The files have it, although the detector has not."""
    later = replace(NEXT, minute=90 * DAY // MINUTE, shared=())
    path = written(tmp_path / "events.jsonl", [*PUSHED.events(), *later.events()])
    settings = Settings()

    found = explain("p/r2-train", [path], settings, settings.learner(), compare=True).difference
    evicted = explain("p/r1-train", [path], settings, settings.learner(), compare=True)

    assert found is not None
    assert found["against"]["graphlet"] == "p/r1-train"
    assert found["difference"]["data"]["removed"]["first"] == ["s1", "s2"]
    assert evicted.story == []
    assert evicted.difference is not None
    assert (evicted.difference["graphlet"]["outcome"], evicted.difference["against"]) == ("pushed", None)


def test_what_turns_out_to_be_no_training_has_no_difference(tmp_path: Path) -> None:
    """It was predicted before its end was said to be CACHED."""
    path = written(tmp_path / "events.jsonl", [*PUSHED.events(), ended(99, "r1-train", "Trainer", state=CACHED)])
    settings = Settings()

    found = explain("p/r1-train", [path], settings, settings.learner(), compare=True)

    assert len(found.verdicts) == 4
    assert (found.record, found.difference) == (None, None)


def test_verdicts_are_compared_with_what_was_labelled_before(tmp_path: Path) -> None:
    """Not with what came later in the files."""
    runs = [replace(PUSHED, run=f"n{number}", minute=1000 * number) for number in range(4)]
    path = written(tmp_path / "events.jsonl", [event for run in runs for event in run.events()])
    settings = Settings()

    found = explain("p/n2-train", [path], settings, settings.learner())

    trained = [each for each in found.verdicts if each.trainer is not None]
    assert len(trained) == 4
    for verdict in trained:
        neighbours = found.nearest[verdict.id]
        assert neighbours is not None
        assert {each.graphlet for each in neighbours} == {"p/n0-train", "p/n1-train"}
