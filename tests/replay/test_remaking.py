"""A record of a verdict is enough to make its probability again, bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from stream_app.core.detector import Detector
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.outputs import Example, Verdict
from stream_app.errors import OptionsError
from stream_app.provenance.decision import decision_record, stops
from stream_app.replay.remaking import remake
from stream_app.sources.native import decode
from stream_app.wire import example_to_dict, verdict_to_dict
from tests.support.builders import happened
from tests.support.recorded import SETTINGS, fleet_lines


class History:
    """The records of all verdicts of a fleet, and its examples log."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []
        self.examples: list[bytes] = []
        learner = SETTINGS.learner()
        detector = Detector(SETTINGS, learner)

        def judged(verdict: Verdict) -> None:
            record = decision_record(detector.pipelines[verdict.pipeline], verdict_to_dict(verdict))
            assert record is not None
            self.records.append(orjson.loads(orjson.dumps(record)))

        def labelled(example: Example) -> None:
            self.examples.append(orjson.dumps(example_to_dict(example)))

        for line in fleet_lines():
            dispatch(detector.step(decode(line)), learner, Handlers(judged, labelled))


@pytest.fixture(scope="module")
def history() -> History:
    return History()


def test_every_probability_is_made_again(history: History) -> None:
    """Of verdicts from the first to the last, at every stage; also where the log has become longer since."""
    chosen = history.records[:: len(history.records) // 4]
    found = [remake(record, history.examples, SETTINGS.learner()) for record in chosen]

    assert all(each.is_same for each in found)
    assert len({each.examples for each in found}) > 3
    assert len({record["verdict"]["stage"] for record in history.records}) > 2


def test_another_log_gives_another_model(history: History) -> None:
    """Here one example is missing: the model has learned other records."""
    record = history.records[-1]
    names = orjson.loads(history.examples[0])
    log = [*history.examples[1:], orjson.dumps({**names, "graphlet": "other/graphlet"})]

    assert not remake(record, log, SETTINGS.learner()).is_same


def test_a_log_that_is_too_short_is_told(history: History) -> None:
    with pytest.raises(OptionsError, match=r"the examples log has 3 records; the verdict was made after "):
        remake(history.records[-1], history.examples[:3], SETTINGS.learner())


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"7", b"{}", b'{"graphlet": 1}', b"\xff"])
def test_a_line_that_is_no_example_is_told(history: History, line: bytes) -> None:
    with pytest.raises(OptionsError, match="line 2 of the examples log is no example"):
        remake(history.records[-1], [history.examples[0], line], SETTINGS.learner())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("version",), 2), (("version",), None), (("verdict",), None), (("verdict",), {}), (("features",), []),
        (("features",), {"a": "much"}), (("baseline",), None), (("verdict", "model"), "new"), (("verdict", "model"), 7),
        (("verdict", "stage"), "later"), (("verdict", "p_push"), None),
    ],
)  # fmt: skip
def test_what_is_no_record_is_told(history: History, path: tuple[str, ...], value: object) -> None:
    record = copy.deepcopy(history.records[-1])
    inner = record
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value

    with pytest.raises(OptionsError, match=r"^the record has version|^this is no record of a verdict"):
        remake(record, history.examples, SETTINGS.learner())


def test_what_was_stopped_is_in_the_record() -> None:
    """The executions that report the verdict, and no others."""
    detector = Detector(SETTINGS)
    for event in (
        happened(0, "t1", "Trainer", "RUNNING", run="r"), happened(0, "t2", "Trainer", "RUNNING", run="r"),
        happened(5, "t1", "Trainer", "CANCELED", run="r", properties={"pruned_by": "p/t1@train#1"}),
        happened(5, "t2", "Trainer", "CANCELED", run="r", properties={"pruned_by": "p/t2@train#1"}),
    ):  # fmt: skip
        detector.step(event)

    [stopped] = stops(detector.pipelines["p"], "p/t1@train#1")
    assert (stopped["execution"], stopped["type"], stopped["run"]) == ("t1", "Trainer", "r")
    assert stops(detector.pipelines["p"], "p/t9@train#1") == []
