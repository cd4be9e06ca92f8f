"""Yes or no, however a sender spells it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stream_app.core.events import Scalar
from stream_app.core.outputs import PRUNE, PUSHED, WARN, Verdict
from stream_app.core.properties import is_true
from tests.support.builders import artifact, ended, ran, started
from tests.support.steered import Steered, past
from tests.support.watched import Watched

Watch = Callable[..., Watched]

NO = [
    False, 0, 0.0, -0.0,
    "", " ", "\t\n", "0", "0.0", " 0 ", "0\n",
    "false", "False", "FALSE", "fAlSe", " false", "False ", "\tFALSE\n",
    "no", "No", "NO", " no ", "off", "Off", "OFF", "n", "N", "f", "F",
    "none", "None", "NONE", "null", "Null", "NULL", " None ",
]  # fmt: skip
YES = [
    True, 1, -1, 2, 0.5, -0.001, 1e-300, 1e15,
    "1", "1.0", "-1", "2", "00", "0.1",
    "true", "True", "TRUE", " true ", "yes", "Yes", "YES", "on", "On", "y", "Y", "t", "T",
    "blessed", "falsehood", "nobody", "offline", "not", "no!", "nil", "n/a", "[]", "-",
]  # fmt: skip


@pytest.mark.parametrize("value", NO, ids=repr)
def test_what_means_no(value: Scalar) -> None:
    """Booleans, zeros, and the words that people and tools write for them."""
    assert is_true(value) is False


@pytest.mark.parametrize("value", YES, ids=repr)
def test_all_else_means_yes(value: Scalar) -> None:
    """Also a word that only begins like a no, and a number however small."""
    assert is_true(value) is True


# Every property that is a yes or a no follows the rule

SPELLINGS: list[tuple[Scalar, bool]] = [
    (True, True), (1, True), ("True", True), ("yes", True), (" on ", True),
    (False, False), (0, False), (0.0, False), ("False", False), ("no", False), (" OFF ", False), ("0.0", False),
    ("None", False), ("", False),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), SPELLINGS, ids=repr)
def test_blessed_follows_the_rule(watch: Watch, value: Scalar, expected: bool) -> None:
    """On the output of a validator, and on the validator itself."""
    learner = Steered()
    watched = watch(learner)
    for run, writes, own in (("a", [artifact("b", blessed=value)], {}), ("b", [], {"blessed": value})):
        watched.feed(ran(0, f"train-{run}", "Trainer", run=run, writes=[f"m-{run}"]))
        watched.feed(ended(2, f"e-{run}", "Evaluator", run=run, reads=[f"m-{run}"], writes=writes, properties=own))

    asked = [features for stage, features in learner.asked if stage == "validate"]
    assert [features["blessed"] for features in asked] == [float(expected)] * 2


@pytest.mark.parametrize(("value", "expected"), SPELLINGS, ids=repr)
def test_pushed_follows_the_rule(watch: Watch, value: Scalar, expected: bool) -> None:
    """On the output of a Pusher that ended COMPLETE."""
    watched = watch(Steered()).feed(
        ran(0, "train", "Trainer", writes=["m"]),
        ran(2, "push", "Pusher", reads=["m"], writes=[artifact("o", pushed=value)]),
    )

    assert [each["outcome"] == PUSHED for each in watched.detector.graphlets()] == [expected]


@pytest.mark.parametrize(("value", "expected"), SPELLINGS, ids=repr)
def test_keep_follows_the_rule(watch: Watch, value: Scalar, expected: bool) -> None:
    """On a trainer that would be flagged without it."""
    watched = watch(Steered()).feed(past(6), started(1003, "tk", "Trainer", run="rk", properties={"keep": value}))

    (verdict,) = [output for output in watched.outputs if isinstance(output, Verdict) and output.run == "rk"]
    assert verdict.decision == (WARN if expected else PRUNE)
