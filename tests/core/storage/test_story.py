"""The story of a graphlet: bounded, in order, in errors too."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream_app.core.storage.story import ENTRIES_MAX
from tests.support.builders import artifact, at, ended, ran, started
from tests.support.steered import Steered, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]


def test_it_tells_what_happened_in_order(watch: Watch) -> None:
    """Executions as they began, stages as they were predicted, then the outcome, the members and the label."""
    watched = watch(Steered()).feed(whole_run(0, "r1")).tick(at(10_000))

    story = watched.detector.story("p/train-r1")
    times = [entry.time_ms for entry in story if entry.time_ms is not None and entry.what != "outcome"]
    assert times == sorted(times)
    assert [entry.detail.split(":")[0] for entry in story if entry.what == "stage"] == [
        "preprocess",
        "train",
        "validate",
    ]
    assert [entry.detail for entry in story if entry.what == "outcome"] == ["run_ended"]
    assert [entry.detail for entry in story if entry.what == "announced"] == ["not_pushed, label 1"]


def test_a_run_without_a_trainer_has_one_too(watch: Watch) -> None:
    """Under the id of its provisional graphlet."""
    watched = watch(Steered()).feed(ran(0, "prep", "Transform", run="r1"))

    assert [entry.what for entry in watched.detector.story("p/run:r1")] == ["prep", "stage"]


@pytest.mark.parametrize("graphlet", ["p/none", "other/train", "no id", "p/run:none"])
def test_what_is_not_kept_has_none(watch: Watch, graphlet: str) -> None:
    """Nothing is guessed."""
    assert watch().feed(ran(0, "train", "Trainer")).detector.story(graphlet) == []


def test_it_is_bounded(watch: Watch) -> None:
    """A hub's graphlet has thousands of members; the story says how many entries are left out."""
    steps = [ran(number, f"step{number}", "Custom", reads=["m"]) for number in range(1, 100)]
    watched = watch().feed(ran(0, "train", "Trainer", writes=["m"]), *steps)

    story = watched.detector.story("p/train")
    assert len(story) == ENTRIES_MAX
    assert [entry.detail for entry in story if entry.what == "left out"] == [f"{101 - ENTRIES_MAX + 1} entries"]


def test_an_error_tells_what_it_happened_to(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event, and the story of the graphlet that its execution is in."""
    watched = watch(Steered()).feed(started(0, "train", "Trainer"))

    def fail(*_: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr("stream_app.core.outcomes.outcomes.unsettle", fail)
    with pytest.raises(ZeroDivisionError) as raised:
        watched.feed(ended(5, "train", "Trainer", writes=[artifact("m")]))

    (note,) = raised.value.__notes__
    assert f"Trainer 'train' COMPLETE at {at(5)} of pipeline 'p', run 'r1'" in note
    assert "stage: preprocess" in note
