"""What `stream-app explain` says of a graphlet beside its history: those most alike, and what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from stream_app.core import acts
from stream_app.core.acts import ActOn
from stream_app.wire import event_to_dict
from tests.provenance.two_runs import events
from tests.support.commands import Ran
from tests.support.recorded import write_lines

Explain = Callable[[str], Ran]


@pytest.fixture
def explain(run: Callable[..., Ran], tmp_path: Path) -> Explain:
    """Explains something of the two runs."""
    write_lines(tmp_path / "events.jsonl", [orjson.dumps(event_to_dict(event)) for event in events()])
    return lambda arguments: run("explain", *arguments.split())


def test_a_verdict_shows_those_most_alike(explain: Explain) -> None:
    """How they ended, how far they are, and both values of what differs most, in words."""
    ran = explain("r2-train events.jsonl")

    assert ran.code == 0
    assert "most alike at this stage:\n        p/run:r1, distance 1.12: pushed\n" in ran.out
    assert "- data.rows 900; there: data.rows 1e+03\n" in ran.out


def test_where_nothing_was_labelled_it_says_so(explain: Explain) -> None:
    assert "no graphlet was labelled at this stage before" in explain("r1-train events.jsonl").out


def test_they_are_in_the_json_of_a_verdict(explain: Explain) -> None:
    """As `/v1/verdicts` has them."""
    verdicts = orjson.loads(explain("r2-train events.jsonl --json").out)["verdicts"]

    assert [[near["graphlet"] for near in each["nearest"]] for each in verdicts] == [
        ["p/run:r1"],
        *[["p/r1-train"]] * 3,
    ]
    assert {near["outcome"] for each in verdicts for near in each["nearest"]} == {"pushed"}


def test_the_difference_from_the_last_push(explain: Explain) -> None:
    """Only on request: what changed, with both values."""
    ran = explain("r2-train events.jsonl --diff")

    assert ran.code == 0
    for line in (
        "difference from the last push before it, p/r1-train of 2023-11-14T22:17:20.000Z",
        "  code version: c1 -> c2",
        "  data added: s3",
        "  data kept: s2, schema",
        "  operators removed: InfraValidator, Pusher",
        "  train.optimizer: adam -> sgd",
        "  train.auc: 0.75 -> 0.5 (-0.25)",
        "  train.recall: none -> 0.25",
        "  node-hours of train: 1 -> 3 (+2)",
        "  hours of the run: 1.133 -> 3.1 (+1.97)",
    ):
        assert f"{line}\n" in ran.out
    assert "train.deep" not in ran.out
    assert "difference" not in explain("r2-train events.jsonl").out


def test_the_difference_as_json(explain: Explain) -> None:
    found = orjson.loads(explain("r2-train events.jsonl --diff --json").out)

    assert found["diff"]["against"]["graphlet"] == "p/r1-train"
    assert found["diff"]["difference"]["code_version"] == {"before": "c1", "after": "c2"}
    assert "diff" not in orjson.loads(explain("r2-train events.jsonl --json").out)


def test_without_a_push_before_there_is_no_difference(explain: Explain) -> None:
    """And it says why."""
    ran = explain("r1-train events.jsonl --diff")

    assert (ran.code, "none: no graphlet of this pipeline was pushed before it" in ran.out) == (0, True)
    assert orjson.loads(explain("r1-train events.jsonl --diff --json").out)["diff"]["difference"] is None


def test_a_run_has_no_difference(explain: Explain) -> None:
    """Its trainers have."""
    ran = explain("p/run:r1 events.jsonl --diff")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "stream-app: p/run:r1: a run has no difference; give the graphlet of one of its trainers\n"


def test_who_decided_what_about_the_run_is_among_its_events(run: Callable[..., Ran], tmp_path: Path) -> None:
    """In words, and not what was decided about others."""
    on, when = ActOn("p", run="r2"), max(event.time_ms for event in events())
    words = [
        acts.keep(on, "alice", "needed", when),
        acts.wrong(on, "bob", "", when, value=False),
        acts.prolong(on, 1_900_000_000_000, "carol", "one more epoch", when),
        acts.keep(ActOn("p", run="r1"), "mallory", "of another run", when),
        acts.keep(ActOn("q", run="r2"), "mallory", "of another pipeline", when),
    ]
    write_lines(tmp_path / "events.jsonl", [orjson.dumps(event_to_dict(each)) for each in (*events(), *words)])

    ran = run("explain", "p/r2-train", "events.jsonl")
    for line in (
        "keep by alice: needed\n",
        "wrong taken back by bob: no reason given\n",
        "prolong until 2030-03-17T17:46:40.000Z by carol: one more epoch\n",
    ):
        assert line in ran.out
    assert "mallory" not in ran.out
