"""The oracle itself, against sets written by hand from docs/decisions/0001-graphlets.md."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stream_app.core.events import CACHED, CANCELED, COMPLETE, FAILED, Event
from stream_app.core.operators import Operators
from tests.support.builders import MINUTE, artifact, at, ended, happened, ran, run_ended, run_pruned, started
from tests.support.oracle import recompute

HORIZON_MS = 1000 * MINUTE


def _recompute(*events: Event | Iterable[Event], operators: Operators | None = None, **more: Any) -> dict[str, Any]:
    flat = [e for given in events for e in ([given] if isinstance(given, Event) else given)]
    return recompute(flat, operators=operators or Operators(), **{"horizon_ms": HORIZON_MS, **more})


def _sets(result: dict[str, Any], trainer: str) -> dict[str, list[str]]:
    graphlet = result["graphlets"][f"p/{trainer}"]
    return {name: graphlet[name] for name in ("up", "down", "side")}


def _outcome(result: dict[str, Any], trainer: str) -> tuple[str, str | None, int | None]:
    graphlet = result["graphlets"][f"p/{trainer}"]
    return graphlet["outcome"], graphlet["cause"], graphlet["time"]


def test_a_plain_run_is_one_pushed_graphlet() -> None:
    result = _recompute(
        ran(0, "gen", "CsvExampleGen", writes=["span"], node_ms=10),
        ran(1, "stats", "StatisticsGen", reads=["span"], writes=["stats"], node_ms=20),
        ran(2, "transform", "Transform", reads=["span"], writes=["data"], node_ms=30),
        ran(3, "train", "Trainer", reads=["data"], writes=["model"], node_ms=40),
        ran(4, "eval", "Evaluator", reads=["model"], writes=["blessing"], node_ms=50),
        ran(5, "push", "Pusher", reads=["model", "blessing"], writes=["pushed"], node_ms=60),
        run_ended(9),
    )
    assert result == {
        "graphlets": {
            "p/train": {
                "pipeline": "p",
                "run": "r1",
                "trainer": "train",
                "up": ["gen", "transform"],
                "down": ["eval", "push"],
                "side": ["stats"],
                "outcome": "pushed",
                "cause": None,
                "time": at(6),
                "cost": {
                    "ingest": 10, "analysis": 20, "preprocess": 30, "train": 40, "validate": 50, "deploy": 60,
                },
            }
        },
        "ledger": {"p": {"useful": 210, "wasted": 0, "pending": 0, "unattributed": 0}},
    }  # fmt: skip


def test_a_warm_start_cuts_both_ways() -> None:
    result = _recompute(
        ran(0, "gen", "CsvExampleGen", writes=["span"]),
        ran(1, "t1", "Trainer", reads=["span"], writes=["m1"]),
        ran(2, "t2", "Trainer", reads=["m1"], writes=["m2"], run="r2"),
        ran(3, "push", "Pusher", reads=["m2"], run="r2"),
    )
    assert _sets(result, "t1") == {"up": ["gen"], "down": [], "side": []}
    assert _sets(result, "t2") == {"up": [], "down": ["push"], "side": []}


def test_a_validator_with_a_trainer_of_its_own_run_is_not_entered_from_another_run() -> None:
    result = _recompute(
        ran(0, "t1", "Trainer", writes=["m1"]),
        ran(1, "t2", "Trainer", writes=["m2"], run="r2"),
        ran(2, "eval", "Evaluator", reads=["m2", "m1"], writes=["blessing"], run="r2"),
        ran(3, "push", "Pusher", reads=["blessing"], run="r2"),
        ran(4, "audit", "Evaluator", reads=["m1"], run="r3"),
    )
    assert _sets(result, "t1")["down"] == ["audit"]
    assert _sets(result, "t2")["down"] == ["eval", "push"]


def test_a_baseline_is_judged_by_runs_not_by_trainers() -> None:
    """Both trainers of a run enter a validator of that run, even over the model of the other one."""
    result = _recompute(
        ran(0, "ta", "Trainer", writes=["ma"]),
        ran(0, "tb", "Trainer", writes=["mb"]),
        ran(2, "eval", "Evaluator", reads=["ma", "mb"]),
    )
    assert _sets(result, "ta")["down"] == _sets(result, "tb")["down"] == ["eval"]


def test_a_cached_trainer_has_no_graphlet_but_cuts_and_is_no_own_trainer() -> None:
    result = _recompute(
        ran(0, "t1", "Trainer", writes=["m1"], node_ms=5),
        ended(1, "t2", "Trainer", reads=["m1"], writes=["m1", "m2"], run="r2", state=CACHED, node_ms=100),
        ran(2, "eval", "Evaluator", reads=["m1"], run="r2", node_ms=7),
        ran(3, "other", "Evaluator", reads=["m2"], run="r2", node_ms=11),
    )
    assert sorted(result["graphlets"]) == ["p/t1"]
    assert _sets(result, "t1") == {"up": [], "down": ["eval"], "side": []}
    assert result["ledger"]["p"] == {"useful": 0, "wasted": 0, "pending": 12, "unattributed": 11}


def test_one_schema_joins_only_the_analysis_of_the_graphlets_own_runs() -> None:
    result = _recompute(
        ran(0, "schema", "SchemaGen", writes=["schema"], run="r0"),
        ran(1, "gen1", "CsvExampleGen", writes=["span1"]),
        ran(2, "check1", "ExampleValidator", reads=["span1", "schema"], writes=["anomalies1"]),
        ran(3, "t1", "Trainer", reads=["span1", "schema"]),
        ran(1, "gen2", "CsvExampleGen", writes=["span2"], run="r2"),
        ran(2, "check2", "ExampleValidator", reads=["span2", "schema"], run="r2"),
        ran(3, "t2", "Trainer", reads=["span2", "span1", "schema"], run="r2"),
    )
    assert _sets(result, "t1") == {"up": ["gen1", "schema"], "down": [], "side": ["check1"]}
    assert _sets(result, "t2") == {"up": ["gen1", "gen2", "schema"], "down": [], "side": ["check1", "check2"]}


def test_analysis_without_a_run_is_aside_only_directly_from_ingested_data() -> None:
    result = _recompute(
        ran(0, "gen", "CsvExampleGen", writes=["span"], run=None),
        ran(0, "transform", "Transform", reads=["span"], writes=["data"], run=None),
        ran(1, "near", "StatisticsGen", reads=["span"], writes=["stats"], run=None),
        ran(1, "far", "StatisticsGen", reads=["data"], run=None),
        ran(2, "second", "SchemaGen", reads=["stats"], run=None),
        ran(2, "owned", "SchemaGen", reads=["stats"], writes=["more"], run="r1"),
        ran(2, "stranger", "SchemaGen", reads=["stats"], run="r2"),
        ran(3, "owned2", "ExampleValidator", reads=["more"], run="r1"),
        ran(3, "t", "Trainer", reads=["data"], run="r1"),
    )
    assert _sets(result, "t")["side"] == ["near", "owned", "owned2"]


def test_an_execution_of_several_sets_is_listed_in_the_first() -> None:
    """A loop through the trainer, and an analysis that is beside and below it."""
    result = _recompute(
        ran(0, "loop", "Tuner", reads=["model"], writes=["params"]),
        ran(1, "gen", "CsvExampleGen", writes=["span"]),
        ran(2, "stats", "StatisticsGen", reads=["span", "model"]),
        ran(3, "t", "Trainer", reads=["params", "span"], writes=["model"]),
    )
    assert _sets(result, "t") == {"up": ["gen", "loop"], "down": ["stats"], "side": []}


def test_a_reader_of_an_unversioned_artifact_reads_the_last_version_finished_before_it_starts() -> None:
    table = artifact("table", versioned=False)
    result = _recompute(
        ran(0, "g1", "CsvExampleGen", writes=[table], run="r1"),
        ran(5, "g2", "CsvExampleGen", writes=["table"], run="r2"),
        ran(1, "t1", "Trainer", reads=["table"], writes=["m1"], run="r1"),
        ran(6, "t2", "Trainer", reads=["table"], run="r2"),
        ran(0.5, "t3", "Trainer", reads=["table"], run="r3"),
    )
    assert [_sets(result, t)["up"] for t in ("t1", "t2", "t3")] == [["g1"], ["g2"], []]


def test_outcomes_take_the_first_line_that_holds() -> None:
    result = _recompute(
        ran(0, "failed", "Trainer", run="r1"),
        ended(2, "failed", "Trainer", run="r1", state=FAILED),
        run_ended(9, "r1"),
        ran(1, "ended", "Trainer", run="r2"),
        run_ended(7, "r2"),
        run_ended(8, "r2", state=CANCELED),
        ran(2, "pruned", "Trainer", run="r3"),
        run_pruned(5, "r3"),
        ran(3, "superseded", "Trainer", run="r4"),
        ran(4, "pushed", "Trainer", run="r5", writes=["m5"]),
        ran(6, "pusher", "Pusher", run="r5", reads=["m5"]),
        run_pruned(10, "r5"),
        ran(5, "expired", "Trainer", run="r6"),
        ran(6, "open", "Trainer", run="r7"),
        horizon_ms=10 * MINUTE,
        now={"p": at(15)},
    )
    trainers = ("failed", "ended", "pruned", "superseded", "pushed", "expired", "open")
    assert {t: _outcome(result, t) for t in trainers} == {
        "failed": ("not_pushed", "failed", at(2)),
        "ended": ("not_pushed", "run_ended", at(8)),
        "pruned": ("pruned", None, at(5)),
        "superseded": ("not_pushed", "superseded", at(7)),
        "pushed": ("pushed", None, at(7)),
        "expired": ("not_pushed", "expired", at(15)),
        "open": ("open", None, None),
    }  # fmt: skip


def test_a_pushed_property_that_says_no_is_no_push_and_one_yes_is_enough() -> None:
    def pushes(*values: str | int | bool) -> bool:
        outputs = [artifact(f"out{i}", pushed=value) for i, value in enumerate(values)]
        result = _recompute(
            ran(0, "t", "Trainer", writes=["m"]),
            ran(1, "push", "Pusher", reads=["m"], writes=[*outputs, "plain"]),
        )
        return _outcome(result, "t")[0] == "pushed"

    assert [pushes(0), pushes(False), pushes("0"), pushes(""), pushes("false")] == [False] * 5
    assert [pushes(" False "), pushes("No"), pushes("OFF"), pushes("0.0"), pushes("None")] == [False] * 5
    assert [pushes(), pushes(1), pushes(True), pushes("no idea"), pushes(0, 1)] == [True] * 5


def test_a_pusher_once_complete_stays_a_push_at_its_last_end() -> None:
    result = _recompute(
        ran(0, "t", "Trainer", writes=["m"]),
        ran(1, "push", "Pusher", reads=["m"]),
        ended(5, "push", "Pusher", state=FAILED),
    )
    assert _outcome(result, "t") == ("pushed", None, at(5))


def test_facts_are_joins_over_events() -> None:
    """Earliest type and run, latest end, and time up to the first end times nodes, where no cost was told."""
    result = _recompute(
        happened(3, "t", "Zzz", COMPLETE, run="r9"),
        happened(2, "t", "Trainer", "NEW", run=None),
        happened(2, "t", "Zzz", "NEW", run=None),
        started(2.5, "t", "Zzz", run="r2", reads=["b"]),
        started(2.5, "t", "Zzz", run="r1", reads=["a"]),
        ran(0, "ga", "CsvExampleGen", writes=["a"], node_ms=3),
        started(0, "gb", "CsvExampleGen"),
        happened(1, "gb", "CsvExampleGen", COMPLETE, writes=["b"]),
        happened(0.5, "gb", "CsvExampleGen", CANCELED),
        operators=Operators(nodes={"Trainer": 1.00001, "CsvExampleGen": 2}),
    )
    assert result["graphlets"]["p/t"]["run"] == "r1"
    assert _sets(result, "t") == {"up": ["ga", "gb"], "down": [], "side": []}
    assert result["graphlets"]["p/t"]["cost"] == {"train": 30_000, "ingest": 3 + 60_000}


def test_the_ledger_charges_each_execution_once_to_the_best_of_its_graphlets() -> None:
    result = _recompute(
        ran(0, "shared", "CsvExampleGen", writes=["span"], node_ms=1),
        ran(1, "t1", "Trainer", reads=["span"], node_ms=10),
        run_ended(5, "r1"),
        ran(1, "t2", "Trainer", reads=["span"], writes=["m2"], run="r2", node_ms=100),
        ran(2, "push", "Pusher", reads=["m2"], run="r2", node_ms=1000),
        ran(3, "idle", "CsvExampleGen", run="r3", node_ms=10_000),
        run_ended(5, "r3"),
        ran(3, "alone", "Custom", run=None, node_ms=100_000),
        ran(4, "odd", "CsvExampleGen", run="r1", node_ms=1_000_000),
    )
    assert result["ledger"]["p"] == {
        "useful": 1 + 100 + 1000,
        "wasted": 10 + 10_000,
        "pending": 0,
        "unattributed": 100_000 + 1_000_000,
    }


def test_pipelines_are_worlds_of_their_own() -> None:
    result = _recompute(
        ran(0, "t", "Trainer", writes=["m"]),
        ran(1, "push", "Pusher", reads=["m"], pipeline="q"),
    )
    assert _outcome(result, "t") == ("open", None, None)
    assert result["ledger"] == {
        "p": {"useful": 0, "wasted": 0, "pending": MINUTE, "unattributed": 0},
        "q": {"useful": 0, "wasted": 0, "pending": 0, "unattributed": MINUTE},
    }


def test_a_graphlet_over_its_bound_keeps_no_members() -> None:
    result = _recompute(
        ran(0, "gen", "CsvExampleGen", writes=["span"], node_ms=3),
        ran(1, "t", "Trainer", reads=["span"], writes=["m"], node_ms=5),
        ran(2, "eval", "Evaluator", reads=["m"], node_ms=7),
        max_members=1,
    )
    assert _sets(result, "t") == {"up": [], "down": [], "side": []}
    assert result["ledger"]["p"] == {"useful": 0, "wasted": 0, "pending": 5, "unattributed": 10}
