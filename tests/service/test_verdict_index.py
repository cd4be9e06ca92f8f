"""The verdicts in force, by graphlet and by run."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.service.verdict_index import VerdictIndex
from tests.web.served import verdict_record


def index_of(*verdicts: dict[str, Any]) -> VerdictIndex:
    """An index of verdicts that were issued one after the other."""
    index = VerdictIndex()
    for number, verdict in enumerate(verdicts):
        index.add(verdict, number)
    return index


def ids(verdicts: list[dict[str, Any]]) -> list[str]:
    return [verdict["id"] for verdict in verdicts]


def test_runs_of_one_name_are_apart_by_pipeline_and_together_without() -> None:
    """Together they are in the order in which they were said, whatever pipeline said it."""
    verdicts = index_of(
        verdict_record("warn", "r", "t", "a"),
        verdict_record("warn", "r", "t", "b"),
        verdict_record("warn", "r", "u", "a"),
    )

    assert ids(verdicts.of_run("r", "a")) == ["a/t#1", "a/u#1"]
    assert ids(verdicts.of_run("r", "b")) == ["b/t#1"]
    assert ids(verdicts.of_run("r", "c")) == []
    assert ids(verdicts.of_run("r")) == ["a/t#1", "b/t#1", "a/u#1"]


def test_what_is_said_again_was_said_last() -> None:
    verdicts = index_of(
        verdict_record("warn", "r", "t"),
        verdict_record("warn", "r", "u"),
        verdict_record("prune", "r", "t", revision=2),
    )

    assert ids(verdicts.of_run("r")) == ["p/u#1", "p/t#2"]


def test_a_graphlet_is_in_the_run_of_its_last_verdict_alone() -> None:
    """Its run may become known later than its trainer."""
    verdicts = index_of(
        *(verdict_record("warn", run, "t", revision=revision) for revision, run in enumerate((None, "r", "s"), 1))
    )

    assert ids(verdicts.of_run("s")) == ["p/t#3"]
    assert ids(verdicts.of_run("r")) == []


@pytest.mark.parametrize("limit", [1, 3])
def test_no_index_outgrows_the_verdicts_that_are_held(limit: int) -> None:
    """With runs of one name in all pipelines, with runs of their own, and with none."""
    verdicts = VerdictIndex(limit=limit)
    for number in range(20):
        verdicts.add(verdict_record("warn", "2026-11-25", f"t{number}", f"p{number}"))
        verdicts.add(verdict_record("warn", f"r{number}", None))
        verdicts.add(verdict_record("warn", None, f"t{number}"))

    held = verdicts.latest(100, None, None)
    assert len(verdicts) == len(held) == limit
    assert len(verdicts._of_run) == sum(each["run"] is not None for each in held)
    assert len(verdicts._of_trainer) == sum(each["trainer"] is not None for each in held)
    assert len(verdicts._earliest) <= 2 * limit

    for each in held:
        verdicts.drop(each["graphlet"])
    assert (len(verdicts), verdicts._of_run._of, verdicts._of_trainer._of) == (0, {}, {})


def test_the_latest_are_those_issued_last_in_whatever_order_they_are_added() -> None:
    """Partitions are read one after the other, and the event times of a backfill say nothing."""
    verdicts = VerdictIndex(limit=3)
    for issued_ms in (5, 1, 4, 2, 3):
        verdicts.add(verdict_record("warn", None, f"t{issued_ms}") | {"time": f"20{20 - issued_ms}-01-01"}, issued_ms)

    assert ids(verdicts.latest(10, None, None)) == ["p/t5#1", "p/t4#1", "p/t3#1"]
    assert ids(verdicts.latest(2, None, None)) == ["p/t5#1", "p/t4#1"]
    assert verdicts.before(5) == ["p/t4", "p/t3"]


def test_trainers_of_one_id_are_apart_by_pipeline_and_together_without() -> None:
    """As runs are."""
    verdicts = index_of(verdict_record("warn", None, "t", "a"), verdict_record("warn", "r", "t", "b"))

    assert ids(verdicts.of_trainer("t", "a")) == ["a/t#1"]
    assert ids(verdicts.of_trainer("t")) == ["a/t#1", "b/t#1"]
    assert verdicts.of_trainer("r") == verdicts.of_trainer("t", "c") == []
