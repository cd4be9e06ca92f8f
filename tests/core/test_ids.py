"""Ids of graphlets: two never share one, whatever their names hold, and an id can be read back."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_app.core.ids import GraphletName, graphlet_id, parse_graphlet_id, run_graphlet_id, verdict_id
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Verdict
from tests.support.builders import happened
from tests.support.watched import Watched

#: Separators and escapes in every place, mixed with a few letters so that names often collide once joined.
NAMES = st.one_of(
    st.text("a/:#~%120 \\", min_size=1, max_size=6), st.sampled_from(["run:", "run:7", "~1", "~01", "a/"])
)
GRAPHLETS = st.one_of(
    st.builds(lambda pipeline, trainer: GraphletName(pipeline, trainer, None), NAMES, NAMES),
    st.builds(lambda pipeline, run: GraphletName(pipeline, None, run), NAMES, NAMES),
)


def id_of(name: GraphletName) -> str:
    """The id that the detector gives it."""
    if name.trainer is not None:
        return graphlet_id(name.pipeline, name.trainer)
    return run_graphlet_id(name.pipeline, name.run or "")


@example(GraphletName("team/ads", "train", None), GraphletName("team", "ads/train", None))
@example(GraphletName("p", "run:7", None), GraphletName("p", None, "7"))
@example(GraphletName("p~1q", "t", None), GraphletName("p/q", "t", None))
@given(GRAPHLETS, GRAPHLETS)
def test_two_graphlets_never_share_an_id(one: GraphletName, other: GraphletName) -> None:
    """Not even with separators in their names."""
    assert (id_of(one) == id_of(other)) == (one == other)


@given(GRAPHLETS)
def test_an_id_says_whose_it_is(name: GraphletName) -> None:
    """It is read back to the very names."""
    assert parse_graphlet_id(id_of(name)) == name


@given(GRAPHLETS, st.integers(1, 30), GRAPHLETS, st.integers(1, 30))
def test_two_verdicts_never_share_an_id(one: GraphletName, revision: int, other: GraphletName, second: int) -> None:
    """The revision comes last."""
    same = (one, revision) == (other, second)

    assert (verdict_id(id_of(one), revision) == verdict_id(id_of(other), second)) == same


@pytest.mark.parametrize("text", ["", "p", "p~1q", "p/a:b", "p/~", "~3/t", "p/~4"])
def test_what_is_no_id_is_not_read(text: str) -> None:
    """Another escape, a bare one, or no slash."""
    assert parse_graphlet_id(text) is None


@pytest.mark.parametrize(
    ("pipeline", "name"),
    [("churn-0003", "churn-0003-00019/train"), ("ads", "scheduled__2026-11-25T00-00-00"), ("p", "run"), ("p", "a%2Fb")],
)
def test_names_without_separators_of_ours_stand_as_they_are(pipeline: str, name: str) -> None:
    """So that people recognise them."""
    assert graphlet_id(pipeline, name) == f"{pipeline}/{name}"
    assert run_graphlet_id(pipeline, name) == f"{pipeline}/run:{name}"


def test_a_detector_keeps_graphlets_apart_whose_names_look_alike_once_joined(watch: Callable[..., Watched]) -> None:
    """Pipelines, trainers and a run with the separators in their names."""
    watched = watch(Learner())
    for number, (pipeline, run, trainer) in enumerate(
        [("team/ads", None, "train"), ("team", None, "ads/train"), ("p", None, "run:7"), ("p", "7", "t")]
    ):
        watched.feed(happened(number, trainer, "Trainer", "NEW", run=run, pipeline=pipeline))

    verdicts = [output.graphlet for output in watched.outputs if isinstance(output, Verdict)]
    assert len(set(verdicts)) == len(verdicts) == 4
    assert len({graphlet["graphlet"] for graphlet in watched.detector.graphlets()} | set(verdicts)) == 5
