"""The past graphlets that are most alike: the rule against a brute-force oracle, and what is kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app import wire
from stream_app.core.detector import Detector
from stream_app.core.outputs import Example, StageRecord, Verdict
from stream_app.provenance.nearest import (
    DIFFERENCE_MAX,
    FEATURES_MAX,
    FOUND_MAX,
    KEPT,
    MISSING,
    SPREAD_MIN,
    Comparison,
    Neighbour,
    PastStages,
    known_features,
)
from stream_app.sources.native import decode
from tests.support.labelled import example, record
from tests.support.recorded import SETTINGS, fleet_lines

LATER = 10**15
Features = dict[str, float]

_FEATURES = st.dictionaries(st.sampled_from("abcde"), st.sampled_from([0.0, 0.004, 1.0, 1.5, -20.0, 20.0]), max_size=5)


def folded(*examples: Example, kept: int = KEPT, kept_in_all: int = 1_000) -> PastStages:
    """The fold over some examples."""
    past = PastStages(kept, kept_in_all)
    for each in examples:
        past.learn(each)
    return past


def labelled(number: int, features: Features, **more: Any) -> Example:
    """A graphlet that was labelled in minute `number`, with the features of its one stage."""
    return example(number, number % 2 == 0, [record(features=features)], **more)


def found(features: Features, past: PastStages, graphlet: str = "p/asked", time_ms: int = LATER) -> list[Neighbour]:
    return list(Comparison(past.of("p", "input")).nearest(features, graphlet, time_ms))


def differences_by_rule(own: Features, other: Features, candidates: list[Features]) -> Features:
    """The differences of two graphlets, feature by feature, word for word as the rule says."""
    result = {}
    for name in own.keys() | other.keys():
        if name not in own or name not in other:
            result[name] = MISSING
            continue
        values = np.array([each[name] for each in candidates if name in each])
        spread = max(float(np.mean(np.abs(values - np.median(values)))), SPREAD_MIN)
        result[name] = min(abs(own[name] - other[name]) / spread, DIFFERENCE_MAX)
    return result


def mean(values: Features) -> float:
    return math.fsum(values.values()) / len(values) if values else 0.0


@given(_FEATURES, st.lists(_FEATURES, max_size=12))
def test_distances_are_those_of_the_rule(own: Features, others: list[Features]) -> None:
    """The nearest ones, in order, with the features that differ most: as brute force finds them."""
    past = folded(*(labelled(number, features) for number, features in enumerate(others)))
    expected = {f"p/{n}": differences_by_rule(own, features, others) for n, features in enumerate(others)}

    answer = found(own, past)

    assert len(answer) == min(FOUND_MAX, len(others))
    for each in answer:
        assert each.distance == pytest.approx(mean(expected[each.graphlet]), abs=1e-12)
    left = [mean(expected[name]) for name in expected.keys() - {each.graphlet for each in answer}]
    assert all(each.distance <= distance + 1e-12 for each in answer for distance in left)
    assert all(a.distance <= b.distance for a, b in pairwise(answer))
    for each in answer:
        ordered = sorted(expected[each.graphlet].items(), key=lambda item: (-round(item[1], 9), item[0]))
        assert [round(d.difference, 9) for d in each.differences] == [
            round(value, 9) for _, value in ordered[:FEATURES_MAX] if value > 0
        ]
        other = others[int(each.graphlet.removeprefix("p/"))]
        assert all((d.value, d.other) == (own.get(d.feature), other.get(d.feature)) for d in each.differences)


def test_of_equal_ones_the_latest_comes_first() -> None:
    past = folded(*(labelled(number, {"a": 1.0}) for number in range(8)))

    assert [each.graphlet for each in found({"a": 1.0}, past)] == ["p/7", "p/6", "p/5", "p/4", "p/3"]
    assert {each.distance for each in found({"a": 1.0}, past)} == {0.0}


def test_a_neighbour_is_told_with_its_outcome() -> None:
    """In the JSON form: how it ended, when, how far it is, and both values of what differs."""
    [answer] = found({"a": 1.0, "b": 2.0}, folded(labelled(1, {"a": 1.0, "c": 3.0})))

    assert answer.to_dict() == {
        "graphlet": "p/1",
        "outcome": "not_pushed",
        "cause": "run_ended",
        "time": "1970-01-01T00:01:00.000Z",
        "distance": pytest.approx(2 / 3),
        "differences": [
            {"feature": "b", "value": 2.0, "other": None, "difference": MISSING},
            {"feature": "c", "value": None, "other": 3.0, "difference": MISSING},
        ],
    }


def test_one_wild_feature_does_not_decide() -> None:
    """What has always been constant differs by the maximum, not by thousands."""
    past = folded(*(labelled(number, {"constant": 5.0, "b": float(number)}) for number in range(5)))

    assert found({"constant": -20.0, "b": 2.0}, past)[0].distance == DIFFERENCE_MAX / 2


def test_only_what_was_labelled_by_the_time_counts() -> None:
    """And never the graphlet itself, nor another pipeline or stage."""
    past = folded(
        *(labelled(number, {"a": 1.0}) for number in range(4)),
        labelled(0, {"a": 1.0}, pipeline="q"),
        example(9, True, [record("train", features={"a": 1.0})]),
    )

    assert [each.graphlet for each in found({"a": 1.0}, past, "p/1", time_ms=2 * 60_000)] == ["p/2", "p/0"]
    assert found({"a": 1.0}, past, time_ms=-1) == []


def test_a_graphlet_with_several_validators_counts_by_the_nearest() -> None:
    stages = [replace(record("validate", features={"a": float(n)}), validator=f"v{n}") for n in range(3)]
    past = folded(example(1, True, stages), example(2, False, [record("validate", features={"a": 9.0})]))

    answer = Comparison(past.of("p", "validate")).nearest({"a": 2.0}, "p/asked", LATER)

    assert [each.graphlet for each in answer] == ["p/1", "p/2"]
    assert answer[0].distance == 0.0


def test_what_a_trainer_inherits_is_its_runs() -> None:
    """The label of the run has it; counting it again would make two graphlets of one."""
    past = folded(example(1, True, [], inherited=[record(features={"a": 1.0})]))

    assert len(past) == 0


class TestBounds:
    """What is kept is bounded, and the oldest goes first."""

    def test_of_a_pipeline_and_stage(self) -> None:
        past = folded(*(labelled(number, {"a": 1.0}) for number in range(KEPT + 3)))

        assert [each.graphlet for each in past.of("p", "input")] == [f"p/{n}" for n in range(3, KEPT + 3)]
        assert len(past) == KEPT

    def test_in_all(self) -> None:
        past = folded(*(labelled(number, {"a": 1.0}, pipeline=f"p{number}") for number in range(10)), kept_in_all=4)

        assert [len(past.of(f"p{number}", "input")) for number in range(10)] == [0] * 6 + [1] * 4
        assert len(past) == 4


class TestCorrections:
    """A label may be corrected; what was known at the stage stays."""

    def test_a_correction_replaces_the_label(self) -> None:
        """It keeps the time of the first announcement, so that a verdict does not lose what it was compared with."""
        first = labelled(1, {"a": 1.0})
        corrected = replace(first, pushed=True, cause="pushed", label_revision=2, announced_ms=LATER - 1)

        [answer] = found({"a": 1.0}, folded(first, corrected), time_ms=60_000)

        assert (answer.pushed, answer.cause) == (True, "pushed")

    def test_also_where_its_stages_were_released(self) -> None:
        first = labelled(2, {"a": 1.0})
        past = folded(first, replace(first, pushed=False, cause="refused", label_revision=2, stages=[]))

        assert [(each.pushed, each.cause) for each in found({}, past)] == [(False, "refused")]

    def test_a_label_that_is_learned_again_changes_nothing(self) -> None:
        """Not even after its correction."""
        first, other = labelled(1, {"a": 1.0}), labelled(2, {"a": 2.0})
        corrected = replace(first, pushed=True, cause="pushed", label_revision=2)

        past = folded(first, other, corrected, first, other)

        assert past.of("p", "input") == folded(first, other, corrected).of("p", "input")

    def test_what_turns_out_to_be_pruned_has_no_label(self) -> None:
        first = labelled(1, {"a": 1.0})
        past = folded(first, replace(first, pushed=None, cause="pruned", label_revision=2), example(2, None))

        assert len(past) == 0
        assert found({"a": 1.0}, past) == []


@pytest.fixture(scope="module")
def lived() -> tuple[Detector, list[Example], list[Verdict]]:
    """A detector after a recorded fleet, with its examples and verdicts."""
    learner = SETTINGS.learner()
    detector = Detector(SETTINGS, learner)
    examples, verdicts = list[Example](), list[Verdict]()
    for line in fleet_lines()[:4000]:
        for output in detector.step(decode(line)):
            if isinstance(output, Example):
                learner.learn(output)
                examples.append(output)
            elif isinstance(output, Verdict):
                verdicts.append(output)
    return detector, examples, verdicts


def of_verdicts(
    lived: tuple[Detector, list[Example], list[Verdict]], past: PastStages
) -> Iterator[tuple[Verdict, Features | None, tuple[Neighbour, ...]]]:
    """Each verdict with its features and neighbours."""
    detector, _, verdicts = lived
    for verdict in verdicts:
        stages = past.of(verdict.pipeline, verdict.stage)
        features = known_features(
            detector.pipelines[verdict.pipeline],
            stages, verdict.graphlet, verdict.run, verdict.trainer, verdict.stage, verdict.validator,
        )  # fmt: skip
        yield verdict, features, Comparison(stages).nearest(features or {}, verdict.graphlet, verdict.time_ms)


def test_the_features_of_a_verdict_are_those_it_was_made_of(
    lived: tuple[Detector, list[Example], list[Verdict]],
) -> None:
    """Whether its stage is still kept by the detector or only by its label: all but a few that neither keeps."""
    frozen: dict[tuple[str, str, str | None], StageRecord] = {
        (each.graphlet, stage.stage, stage.validator): stage for each in lived[1] for stage in each.stages
    }
    known = 0
    for verdict, features, neighbours in of_verdicts(lived, folded(*lived[1], kept_in_all=10**6)):
        stage = frozen.get((verdict.graphlet, verdict.stage, verdict.validator))
        if features is None:
            assert stage is not None  # labelled for good, and too long ago
            continue
        known += 1
        assert stage is None or stage.features == features
        assert all(each.graphlet.startswith(f"{verdict.pipeline}/") for each in neighbours)

    assert known > 0.9 * len(lived[2]) > 300


def test_a_fold_over_the_log_of_examples_answers_the_same(
    lived: tuple[Detector, list[Example], list[Verdict]],
) -> None:
    """The examples as they are stored, read again: after a restart every answer is what it was, bit for bit."""
    read = [wire.example_from_dict(orjson.loads(orjson.dumps(wire.example_to_dict(each)))) for each in lived[1]]

    before = [each for *_, neighbours in of_verdicts(lived, folded(*lived[1])) for each in neighbours]
    after = [each for *_, neighbours in of_verdicts(lived, folded(*read)) for each in neighbours]

    assert len(before) > 1000
    assert before == after
