"""What else of a pipeline is under way is known before its outcomes are said."""

from __future__ import annotations

from collections.abc import Callable

from tests.core.features.test_extraction import asked
from tests.support.builders import artifact, ended, ran, run_ended, started
from tests.support.steered import Steered
from tests.support.watched import Watched

Watch = Callable[..., Watched]


def test_of_the_first_run_nothing_before_it_is_known(watch: Watch) -> None:
    """No run before it: absent, not 0."""
    features = asked(watch(Steered()).feed(started(0, "prep", "Transform")))

    assert not {"under_way", "waiting", "lately_pushed", "before_ended"} & set(features)


def test_a_blessed_model_that_waits_for_its_push_is_seen_by_the_next_run(watch: Watch) -> None:
    """The run before is blessed and has not ended."""
    watched = watch(Steered())
    watched.feed(
        ran(0, "train-a", "Trainer", run="a", writes=["m-a"]),
        ran(3, "eval-a", "Evaluator", run="a", reads=["m-a"], writes=[artifact("b-a", blessed=1)]),
        started(9, "prep-b", "Transform", run="b"),
    )
    features = asked(watched)

    assert features["waiting"] == features["under_way"] == features["before_open"] == 1.0
    assert features["before_ended"] == features["before_pushed"] == features["lately_pushed"] == 0.0


def test_a_run_that_was_pushed_or_failed_is_no_rival_any_more(watch: Watch) -> None:
    """One pushed, then one whose trainer failed."""
    watched = watch(Steered())
    watched.feed(
        ran(0, "train-a", "Trainer", run="a", writes=["m-a"]),
        ran(3, "push-a", "Pusher", run="a", reads=["m-a"]),
        run_ended(5, "a"),
        started(10, "train-b", "Trainer", run="b"),
        ended(12, "train-b", "Trainer", run="b", state="FAILED"),
        started(20, "prep-c", "Transform", run="c"),
    )
    features = asked(watched)

    assert features["before_failed"] == 1.0
    assert features["before_open"] == features["before_pushed"] == features["waiting"] == 0.0
    assert features["lately_pushed"] == 1.0


def test_trainers_of_one_run_know_of_each_other(watch: Watch) -> None:
    """The second trains when the first is blessed."""
    watched = watch(Steered())
    watched.feed(
        ran(0, "train-1", "Trainer", run="a", writes=["m-1"]),
        ran(3, "eval-1", "Evaluator", run="a", reads=["m-1"], writes=[artifact("b-1", blessed=1)]),
        started(9, "train-2", "Trainer", run="a"),
    )
    features = asked(watched)

    assert features["others_blessed"] == 1.0
    assert features["others_pushed"] == 0.0
