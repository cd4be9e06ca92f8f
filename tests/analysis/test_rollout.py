"""What to do next: each step follows from the figures, and its words name the evidence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from stream_app.analysis.figures import Figures, Prunable, VerdictCount
from stream_app.analysis.intervals import Estimate
from stream_app.analysis.rollout import LABELLED_MIN, PIPELINES_MAX, Step, a_month, advise
from stream_app.analysis.summary import Because
from stream_app.cli.assembly import settings_of as settings_of_detector
from stream_app.figures.rollout_wording import evidence_lines, next_step, settings_of
from stream_app.options import load
from tests.analysis.test_summary import failed, found_in

GOOD: dict[str, object] = {
    "missing_pushes": 0, "missing_days": None, "stopped": False, "saved": 30 * 3600.0, "pushes": 200,
    "avoided": Estimate(0.3, 0.2, 0.4), "missed": Estimate(0.01, 0.0, 0.02), "by_past_rate": Estimate(0.1, 0.05, 0.2),
    "pushes_flagged": 4, "ready": "2026-01-05T00:00:00Z", "saved_money": None,
}  # fmt: skip


def prunable(name: str, **changes: object) -> Prunable:
    """A pipeline on which nothing speaks against acting, but for the changes."""
    good = Prunable(name, "team", LABELLED_MIN, 9, 8, 0, Estimate(0.0), 7200.0, 9000.0, [])
    return dataclasses.replace(good, **changes)  # type: ignore[arg-type]


def figures(
    budget: float = 0.05, mode: str = "observe", names: tuple[Prunable, ...] = (), **changes: object
) -> Figures:
    """Thirty days in which budgets of 2, 5 and 10 % speak for flags, but for the changes of that of 5 %."""
    found = found_in(failed(0, "t"))
    any_budget = found.tradeoff.budgets[0]
    budgets = [
        dataclasses.replace(
            any_budget,
            **{**GOOD, "saved": each * 3600.0, **(changes if each == 0.05 else {})},  # type: ignore[arg-type]
            budget=each,
            in_force=each == budget,
        )
        for each in (0.02, 0.05, 0.1)
    ]
    return dataclasses.replace(
        found,
        tradeoff=dataclasses.replace(found.tradeoff, budgets=budgets),
        mode=mode,
        days=30.0,
        first="2026-01-01T00:00:00Z",
        last="2026-01-31T00:00:00Z",
        verdicts=[VerdictCount("train", "continue", 1)],
        prunable=list(names),
    )


def test_without_predictions_executions_have_to_be_reported_earlier() -> None:
    found = advise(dataclasses.replace(figures(), verdicts=[]))

    assert found.step is Step.REPORT
    assert next_step(found, "EUR").startswith("report executions when they start")


def test_without_thresholds_flags_are_observed_for_as_long_as_it_takes() -> None:
    """At the budget in force, though a larger one is ready: nobody asked for it."""
    found = advise(figures(0.02, **GOOD | {"missing_pushes": 15}))
    scarce = figures(missing_pushes=15, missing_days=20.4)
    scarce = dataclasses.replace(
        scarce,
        tradeoff=dataclasses.replace(
            scarce.tradeoff,
            budgets=[
                dataclasses.replace(each, missing_pushes=max(each.missing_pushes, 15))
                for each in scarce.tradeoff.budgets
            ],
        ),
    )

    assert found.step is Step.WARN
    assert (
        next_step(advise(scarce), "EUR") == "observe 3 more weeks: 15 more labelled pushes: about 21 days at your rate"
    )


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"stopped": True}, Because.STOPPED), ({"saved": 0.0}, Because.SAVES_NOTHING),
        ({"avoided": Estimate(0.3)}, Because.FEW_PIPELINES), ({"missed": Estimate(0.3, 0.2, 0.4)}, Because.OVER_BUDGET),
        ({"by_past_rate": Estimate(0.5)}, Because.PAST_RATE),
    ],
)  # fmt: skip
def test_where_it_is_not_sure_to_pay_flags_are_looked_at(changes: dict[str, object], because: Because) -> None:
    """And the line says why."""
    found = figures(**changes)
    alone = [each for each in found.tradeoff.budgets if each.in_force]
    said = advise(dataclasses.replace(found, tradeoff=dataclasses.replace(found.tradeoff, budgets=alone)))

    assert (said.step, said.because) == (Step.LOOK, because)
    assert next_step(said, "EUR").startswith("look at flags, and stop nothing yet: ")


def test_owners_are_warned_at_the_budget_that_saves_most() -> None:
    """Up to the one in force; amounts are for a month."""
    found = advise(figures())

    assert (found.step, found.evidence.budget) == (Step.WARN, 0.05)
    assert next_step(found, "EUR") == "warn at 5 %: 0.05 node-hours a month, 4 pushes at risk"


def test_pipelines_whose_pushes_were_never_flagged_come_first() -> None:
    """Once thresholds are two weeks old; those with flagged pushes, few graphlets or nothing to save are left out."""
    names = (
        prunable("a"), prunable("flagged", pushes_flagged=1), prunable("young", labelled=LABELLED_MIN - 1),
        prunable("thrifty", saved=0.0), prunable("b", saved_money=12.0),
    )  # fmt: skip
    found = advise(figures(names=names))
    early = advise(figures(names=names, ready="2026-01-20T00:00:00Z"))
    many = advise(figures(names=tuple(prunable(f"p{number}") for number in range(30))))

    assert (found.step, [each.pipeline for each in found.pipelines]) == (Step.ACT, ["a", "b"])
    assert next_step(found, "EUR") == (
        "act on these 2 pipelines at 5 %: a, b: 4 node-hours a month, no push was flagged in them"
    )
    assert "b: 2 node-hours (12.00 EUR) a month; 30 graphlets, 8 pushes, none of them flagged" in list(
        evidence_lines(found, "EUR")
    )
    assert (early.step, len(many.pipelines)) == (Step.WARN, PIPELINES_MAX)


def test_an_advice_to_act_has_the_settings_for_it(tmp_path: Path) -> None:
    """By which these pipelines, and no others, are acted on; any name is taken as it is."""
    names = ("a", "rank-[x]*", 'quo"te')
    path = tmp_path / "settings.toml"
    path.write_text(settings_of(advise(figures(names=tuple(prunable(each) for each in names)))))
    policy = settings_of_detector(load(path)).policy

    def last(pipeline: str) -> str:
        return next(rule.ladder.last for rule in policy.ladders if rule.holds(pipeline, "", {}))

    assert (policy.mode, policy.budget) == ("enforce", 0.05)
    assert [last(each) for each in names] == ["act"] * 3
    assert [last(each) for each in ("b", "rank-x", "rank-[x]y")] == ["warn"] * 3
    assert settings_of(advise(figures())) == ""


def test_who_stops_runs_already_goes_on() -> None:
    """Unless something speaks against it by now."""
    assert advise(figures(mode="enforce", names=(prunable("a"),))).step is Step.GO_ON
    assert advise(figures(mode="enforce", stopped=True)).step is Step.WARN


def test_a_few_days_are_not_stretched_to_a_month() -> None:
    """Of a day nobody knows whether it is like the others."""
    assert (a_month(10, 30), a_month(10, 60), a_month(10, 1), a_month(10, 0)) == (10, 5, 40, 40)
