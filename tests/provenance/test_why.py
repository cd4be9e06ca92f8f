"""Why an execution is in a graphlet, or which rule keeps it out: compared with membership, and case by case."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.core.detector import Detector
from stream_app.core.events import CACHED, FAILED, Event
from stream_app.core.ids import graphlet_id
from stream_app.core.state.entities import DOWN, SIDE, UP
from stream_app.provenance.names import AmbiguousNameError, UnknownNameError
from stream_app.provenance.why import RULES, why
from tests.provenance.graphs import detector_of, graph_of, worlds
from tests.support.arrivals import shuffled
from tests.support.builders import artifact, ended, ran, run_ended, started

SETS = {"up": UP, "down": DOWN, "side": SIDE}


def asked(detector: Detector, execution: str, graphlet: str, **how: Any) -> dict[str, Any]:
    return why(detector.pipelines, execution, graphlet, detector.settings.operators, **how)


def names(answer: dict[str, Any]) -> list[str]:
    return [node["id"] for node in answer["path"]]


def rule(log: list[Event], execution: str, graphlet: str) -> tuple[str, str, list[str]]:
    """The rule that keeps an execution out, the execution where it holds, and the path."""
    answer = asked(detector_of(log), execution, graphlet)
    assert (answer["member"], answer["sets"]) == (False, [])
    return answer["rule"], answer["at"], names(answer)


# Against membership


@settings(max_examples=250)
@given(events=worlds())
def test_every_pair_of_an_execution_and_a_graphlet_agrees_with_membership(events: list[Event]) -> None:
    """With the sets of a member and a path of real edges; of what is no member the rule, and where it holds."""
    detector = detector_of(events)
    for pipeline in detector.pipelines.values():
        edges = set(graph_of(events, pipeline.name).edges)
        for graphlet in pipeline.graphlets.values():
            for execution in pipeline.executions.values():
                answer = asked(detector, f"{pipeline.name}/execution:{execution.id}", graphlet.id)
                bits = graphlet.members.get(execution, 0)
                found = ["trainer"] if execution is graphlet.trainer else [s for s, bit in SETS.items() if bits & bit]

                assert answer["sets"] == found
                assert answer["member"] == bool(found)
                assert (answer["rule"] is None) == bool(found)
                path = [node["name"] for node in answer["path"]]
                tries = {
                    (graphlet_id(pipeline.name, each.id), graphlet.id)
                    for each in pipeline.executions.values()
                    if each.last_try is graphlet.trainer
                }
                assert all(edge in edges or edge in tries for edge in pairwise(path))
                if found:
                    check_ends(answer, graphlet.id)
                else:
                    assert answer["rule"] in RULES
                    assert not path or answer["at"] in path


def check_ends(answer: dict[str, Any], trainer: str) -> None:
    """A path leads from the member to the trainer, from the trainer to the member, or aside to the member."""
    path = [node["name"] for node in answer["path"]]
    first, last = path[0], path[-1]
    assert answer["execution"] == {"up": first, "down": last, "side": last, "trainer": trainer}[answer["sets"][0]]
    if answer["sets"][0] in ("up", "down"):
        assert trainer == {"up": last, "down": first}[answer["sets"][0]]


@settings(max_examples=60)
@given(data=st.data(), events=worlds())
def test_the_order_of_events_does_not_matter(data: st.DataObject, events: list[Event]) -> None:
    detector, other = detector_of(events), detector_of(data.draw(shuffled(events), label="arrived"))
    for pipeline in detector.pipelines.values():
        for graphlet in pipeline.graphlets.values():
            for execution in pipeline.executions:
                name = f"{pipeline.name}/execution:{execution}"
                assert asked(detector, name, graphlet.id) == asked(other, name, graphlet.id)


# Members


def pushed_run() -> list[Event]:
    """A run with each kind of member."""
    return [
        *ran(0, "gen", "CsvExampleGen", writes=["span"]),
        *ran(1, "stats", "StatisticsGen", reads=["span"], writes=["statistics"]),
        *ran(2, "check", "ExampleValidator", reads=["statistics"]),
        *ran(3, "train", "Trainer", reads=["span"], writes=["model"]),
        *ran(4, "push", "Pusher", reads=["model"]),
    ]


@pytest.mark.parametrize(
    ("execution", "sets", "path"),
    [
        ("gen", ["up"], ["gen", "span", "train"]),
        ("train", ["trainer"], ["train"]),
        ("push", ["down"], ["train", "model", "push"]),
        ("check", ["side"], ["gen", "span", "stats", "statistics", "check"]),
    ],
)
def test_a_member_is_shown_its_path(execution: str, sets: list[str], path: list[str]) -> None:
    """In the order in which things happened."""
    answer = asked(detector_of(pushed_run()), execution, "p/train")

    assert (answer["execution"], answer["graphlet"]) == (f"p/{execution}", "p/train")
    assert (answer["member"], answer["sets"], names(answer)) == (True, sets, path)
    assert (answer["rule"], answer["at"]) == (None, None)


def test_the_analysis_of_data_that_nobody_wrote_begins_at_the_data() -> None:
    log = [*ran(1, "train", "Trainer", reads=["span"]), *ran(1, "stats", "StatisticsGen", reads=["span"])]

    assert names(asked(detector_of(log), "stats", "train")) == ["span", "stats"]


def test_an_earlier_try_is_joined_to_the_last_one_without_an_artifact() -> None:
    """And so is what only the earlier one read."""
    job = {"job": "train"}
    log = [
        *ran(0, "prepare", "Transform", writes=["data"]),
        started(1, "try1", "Trainer", reads=["data"], properties=job),
        ended(2, "try1", "Trainer", state=FAILED, properties=job),
        started(3, "try2", "Trainer", properties=job),
    ]
    detector = detector_of(log)

    assert names(asked(detector, "prepare", "try2")) == ["prepare", "data", "try1", "try2"]
    with pytest.raises(UnknownNameError, match=r"^try1: an earlier try, .* own; give p/try2$"):
        asked(detector, "prepare", "try1")


def test_of_a_provisional_graphlet_the_executions_of_the_run_are_members() -> None:
    log = [*ran(0, "gen", "CsvExampleGen", writes=["span"]), *ran(0, "other", "Transform", run="r2")]
    detector = detector_of(log)

    assert asked(detector, "gen", "p/run:r1")["sets"] == ["run"]
    assert rule(log, "other", "p/run:r1") == ("of_other_run", "p/other", [])


# What keeps an execution out


def test_another_trainer_ends_the_path_of_a_warm_start() -> None:
    """Either way."""
    log = [
        *pushed_run(),
        *ran(10, "again", "Trainer", run="r2", reads=["model"], writes=["model2"]),
        *ran(11, "push2", "Pusher", run="r2", reads=["model2"]),
    ]

    assert rule(log, "gen", "again") == ("trainer_between", "p/train", ["gen", "span", "train", "model", "again"])
    assert rule(log, "push2", "train") == (
        "trainer_between", "p/again", ["train", "model", "again", "model2", "push2"],
    )  # fmt: skip
    assert rule(log, "train", "again") == ("trainer", "p/train", ["train", "model", "again"])
    assert rule(log, "again", "train") == ("trainer", "p/again", ["train", "model", "again"])


def test_a_validator_that_judges_its_own_model_stays_out_of_the_baselines_graphlet() -> None:
    """And with it the push that follows."""
    log = [
        *ran(0, "old", "Trainer", writes=["m1"]),
        *ran(5, "new", "Trainer", run="r2", writes=["m2"]),
        *ran(6, "judge", "Evaluator", run="r2", reads=["m2", "m1"], writes=["blessing"]),
        *ran(7, "push", "Pusher", run="r2", reads=["m2", "blessing"]),
    ]

    assert rule(log, "judge", "old") == ("own_model", "p/judge", ["old", "m1", "judge"])
    assert rule(log, "push", "old") == ("own_model", "p/judge", ["old", "m1", "judge", "blessing", "push"])


def test_a_push_of_another_model_stays_out_of_the_baselines_graphlet() -> None:
    """Where each step is a run of its own: A is judged, then B against A, and B is what is pushed."""
    log = [
        ended(0, "trainA", "Trainer", run="r1", reads=["Examples-1"], writes=["Model-A"]),
        ended(1, "evalA", "Evaluator", run="r2", reads=["Model-A"], writes=["Blessing-A"]),
        ended(2, "pushA", "Pusher", run="r3", reads=["Model-A", "Blessing-A"], writes=[artifact("out", pushed=0)]),
        ended(3, "trainB", "Trainer", run="r4", reads=["Examples-2"], writes=["Model-B"]),
        ended(4, "evalB", "Evaluator", run="r5", reads=["Model-B", "Model-A"], writes=["Blessing-B"]),
        ended(5, "pushB", "Pusher", run="r6", reads=["Model-B", "Blessing-B"]),
    ]

    assert rule(log, "pushB", "trainA") == (
        "other_model", "p/pushB", ["trainA", "Model-A", "evalB", "Blessing-B", "pushB"],
    )  # fmt: skip
    assert asked(detector_of(log), "evalB", "trainA")["sets"] == ["down"]
    assert names(asked(detector_of(log), "pushB", "trainB")) == ["trainB", "Model-B", "pushB"]


def test_of_a_cached_run_the_push_belongs_to_the_training_that_made_the_model() -> None:
    """The cached trainer has no graphlet, and is in none."""
    log = [
        ended(0, "train", "Trainer", run="r1", writes=["model"]),
        run_ended(1, "r1"),
        ended(5, "cached", "Trainer", run="r2", state=CACHED, writes=["model"]),
        ended(6, "push", "Pusher", run="r2", reads=["model"], writes=[artifact("out", pushed=1)]),
    ]
    detector = detector_of(log)

    assert names(asked(detector, "push", "train")) == ["train", "model", "push"]
    assert rule(log, "cached", "train")[:2] == ("trainer", "p/cached")
    with pytest.raises(UnknownNameError, match=r"^cached: no such graphlet; there are, for instance, p/train$"):
        asked(detector, "push", "cached")


def test_the_analysis_of_another_run_stays_out_of_a_shared_schema() -> None:
    log = [
        *ran(0, "infer", "SchemaGen", run="r0", writes=["schema"]),
        *ran(1, "train", "Trainer", run="r1", reads=["schema"]),
        *ran(1, "check", "ExampleValidator", run="r2", reads=["schema"]),
        *ran(1, "lone", "ExampleValidator", run=None, reads=["schema"]),
    ]

    assert rule(log, "check", "train") == ("analysis_of_other_run", "p/check", ["schema", "check"])
    assert rule(log, "lone", "train") == ("no_run", "p/lone", ["schema", "lone"])


def test_what_only_uses_the_same_data_stays_out() -> None:
    """As no analysis of it, or behind another trainer."""
    log = [
        *pushed_run(),
        *ran(5, "export", "Transform", reads=["span"], writes=["exported"]),
        *ran(6, "upload", "Other", reads=["exported"]),
        *ran(7, "rival", "Trainer", run="r2", reads=["span"], writes=["m2"]),
        *ran(8, "push2", "Pusher", run="r2", reads=["m2"]),
    ]

    assert rule(log, "upload", "train") == ("not_analysis", "p/export", ["span", "export", "exported", "upload"])
    assert rule(log, "push2", "train") == ("trainer_between", "p/rival", ["span", "rival", "m2", "push2"])


def test_what_has_nothing_to_do_with_it_is_unrelated() -> None:
    """In another pipeline too, and the run itself."""
    log = [
        *pushed_run(),
        *ran(5, "alone", "Transform", run="r2"),
        *ran(5, "away", "Pusher", reads=["model"], pipeline="q"),
        run_ended(6),
    ]

    assert rule(log, "alone", "train") == ("unrelated", "p/alone", [])
    assert rule(log, "away", "train") == ("other_pipeline", "q/away", [])
    assert rule(log, "p/r1", "train") == ("run", "p/r1", [])


def test_an_oversized_graphlet_has_no_members() -> None:
    log = ran(0, "t", "Trainer", writes=["m"])
    log += [ended(1, f"eval{number}", "Evaluator", reads=["m"]) for number in range(10_001)]

    assert rule(log, "eval7", "t") == ("oversized", "p/t", [])


def test_a_search_that_is_too_long_says_so() -> None:
    """Instead of a rule that it has not found."""
    log = [
        *ran(0, "first", "Transform", writes=["a0"]),
        *(each for n in range(50) for each in ran(n, f"e{n}", "Transform", reads=[f"a{n}"], writes=[f"a{n + 1}"])),
        *ran(60, "t", "Trainer"),
    ]
    answer = asked(detector_of(log), "e49", "t", edges_max=20)

    assert (answer["rule"], answer["path"]) == ("not_searched", [])


# Names


@pytest.mark.parametrize(
    ("execution", "graphlet", "says"),
    [
        ("nobody", "train", "nobody: no such execution; there are, for instance, p/"),
        ("span", "train", "span: no such execution; there are, for instance, p/"),
        ("gen", "gen", "gen: no such graphlet; there are, for instance, p/train"),
        ("gen", "p/run:r7", "p/run:r7: no such graphlet"),
        ("gen", "", ": no such graphlet"),
        ("p/", "train", "p/: no such execution"),
    ],
)
def test_what_is_no_name_is_refused(execution: str, graphlet: str, says: str) -> None:
    with pytest.raises(UnknownNameError, match=rf"^{says}"):
        asked(detector_of(pushed_run()), execution, graphlet)


def test_an_id_of_two_pipelines_is_refused() -> None:
    log = [*ran(0, "t", "Trainer"), *ran(0, "t", "Trainer", pipeline="q")]
    with pytest.raises(AmbiguousNameError, match=r"^t: names 2 things: give one of p/t, q/t$"):
        asked(detector_of(log), "t", "p/t")
