"""Which graphlet is explained."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.replay.explain import Explanation, UnknownGraphletError, explain
from stream_app.wire import event_to_dict
from tests.support.builders import ended, started


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
