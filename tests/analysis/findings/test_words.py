"""Findings in words, in the report and in the JSON of a replay."""

from __future__ import annotations

from dataclasses import replace
from html import unescape
from pathlib import Path

import orjson
import pytest

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.figures import Figures
from stream_app.analysis.findings import Act, ActKind, FindingFigures, Kind, figures_of_findings
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Settings
from stream_app.figures.findings_wording import TITLES, act, advice, effect, lines, sentence, title
from stream_app.replay.replay import Replayed, replay
from stream_app.report.page import page
from tests.analysis.findings.pipelines import Training, daily, findings_in
from tests.support.builders import DAY, HOUR
from tests.support.recorded import fleet_lines, write_lines


def figures_in(trainings: list[Training], kind: Kind, now_hour: float | None = None) -> FindingFigures:
    """The figures of a finding."""
    finding = findings_in(trainings, now_hour)[kind]
    return figures_of_findings([finding], lambda _: "", priced=False).findings[0]


def pushing(number: int, *places: int) -> list[Training]:
    return [replace(each, pushed=place in places, node_ms=100 * HOUR) for place, each in enumerate(daily(number))]


@pytest.mark.parametrize(
    ("found", "words", "advised"),
    [
        (
            figures_in(daily(20), Kind.NO_PUSH),
            "None of 20 graphlets since 2023-11-14 was pushed.",
            "look whether its pushes are reported: no deploy execution was seen",
        ),
        (
            figures_in(pushing(13, 2, 5, 10), Kind.TRAINS_TOO_OFTEN),
            "13 trainings for 3 pushes. At the pace of the pushes, 6 trainings without a push would not have run.",
            ("train every fourth run: 2,249 node-hours a month, no push would have been lost, "
            "3 would have been 2.0 d later at the median, 3.0 d at worst"),
        ),
        (
            figures_in(daily(4, failed=True), Kind.SAME_FAILURE),
            "3 trainings failed with code that had failed before, since 2023-11-15.",
            "after a failure, train again only with new code: 30 node-hours a month, there was no push to lose",
        ),
        (
            figures_in([Training(0, pushed=True), *daily(8, blessed=False)[1:]], Kind.NOT_BLESSED),
            "Validation has refused 7 models in a row since 2023-11-15.",
            ("after 5 refused models in a row, train again only with new code: 8.7 node-hours a month, "
            "no push would have been lost"),
        ),
        (
            figures_in([Training(0, data=("d",)), Training(24, data=("d",))], Kind.UNCHANGED),
            "1 training had the data and the code of the model before, since 2023-11-15.",
            "train only when the data or the code has changed: 30 node-hours a month, there was no push to lose",
        ),
        (
            figures_in(daily(10, blessed=None), Kind.NOT_VALIDATED),
            "10 models since 2023-11-14: no validator judged any of them, and none was pushed.",
            "add a validator after the trainer",
        ),
        (
            figures_in(daily(10, blessed=None, pushed=True), Kind.PUSHED_UNVALIDATED),
            "10 models since 2023-11-14 reached serving without a validator.",
            "add a validator after the trainer",
        ),
        (
            figures_in(daily(6), Kind.SILENT, 24 * 12),
            "The last run began on 2023-11-19 22:13 UTC, 7 usual intervals ago.",
            "look whether it is still scheduled",
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, FindingFigures) else "",
)  # fmt: skip
def test_a_finding_in_words(found: FindingFigures, words: str, advised: str) -> None:
    """What was found, what to do, and what that would have done."""
    assert (sentence(found), advice(found)) == (words, advised)
    assert title(found) == TITLES[found.kind]


def test_every_act_on_every_finding_has_words() -> None:
    """Whatever rules propose in time to come."""
    found = figures_in(daily(20), Kind.NO_PUSH)

    for kind in Kind:
        for each in (Act(kind) for kind in ActKind):
            if each.kind is not ActKind.LOOK or kind not in (Kind.NOT_VALIDATED, Kind.PUSHED_UNVALIDATED):
                assert act(replace(found, kind=kind, act=each.kind))


def test_pushes_that_would_have_been_lost_are_counted() -> None:
    """One, or many."""
    found = replace(figures_in(pushing(13, 2, 5, 10), Kind.TRAINS_TOO_OFTEN).effect, delayed=1, delay_worst=3 * 3600)

    assert effect(replace(found, lost=1)).endswith("1 push would have been lost, 1 would have been 3.0 h later")
    assert effect(replace(found, lost=2, delayed=0)).endswith("2 pushes would have been lost")


def test_figures_are_in_the_units_of_the_figures() -> None:
    """Node-seconds, seconds, RFC 3339, money."""
    finding = findings_in(pushing(13, 2, 5, 10))[Kind.TRAINS_TOO_OFTEN]
    [found] = figures_of_findings([replace(finding, micros=2_500_000)], {"p": "ads"}.__getitem__, priced=True).findings

    assert (found.cost * 1000, found.cost_money, found.owner) == (finding.node_ms, 2.5, "ads")
    assert (found.since, found.effect.delay_worst) == ("2023-11-15T22:13:20.000Z", 3 * DAY / 1000)
    assert (found.act, found.parameter) == (ActKind.TRAIN_EVERY, 4)


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    """The recorded fleet, with findings and a rate card."""
    file = write_lines(tmp_path_factory.mktemp("findings") / "events.jsonl", fleet_lines())
    return replay([file], Settings(), None, attribution=Attribution(Rates(2.5, "EUR")), findings=True)


def test_a_replay_has_findings_where_they_are_asked_for(replayed: Replayed, tmp_path: Path) -> None:
    """In its JSON, and the most expensive ones in the summary; nobody pays for them otherwise."""
    found = orjson.loads(orjson.dumps(replayed))["figures"]
    section = found["fleet"]["findings"]
    plain = replay([write_lines(tmp_path / "events.jsonl", fleet_lines())], Settings(), None)

    assert section["findings"]
    assert section["cost_money"] == pytest.approx(section["cost"] / 3600 * 2.5, rel=1e-6)
    assert section["cost"] == pytest.approx(sum(each["counted_cost"] for each in section["findings"]))
    assert section["cost"] <= found["compute"]["total"]
    assert [each["cost_money"] for each in section["findings"]] == sorted(
        (each["cost_money"] for each in section["findings"]), reverse=True
    )
    assert replayed.figures.findings is not None
    assert list(replayed.figures.summary.findings) == lines(replayed.figures.findings.findings)[:3]
    assert (plain.figures.findings, list(plain.figures.summary.findings)) == (None, [])


def with_findings(figures: Figures, found: list[FindingFigures]) -> Figures:
    """The same figures with other findings."""
    assert figures.fleet is not None
    findings = replace(figures.fleet.findings, findings=found)
    return replace(figures, fleet=replace(figures.fleet, findings=findings))


def test_the_page_lists_all_findings(replayed: Replayed) -> None:
    """Each with its sentence and what to do; no section without them, and a sentence where there are none."""
    figures = replayed.figures
    text = unescape(page(figures))
    assert figures.findings is not None

    assert '<section id="findings"' in text
    assert '<a href="#findings">' in text
    for each in figures.findings.findings:
        assert sentence(each) in text
        assert advice(each) in text
    assert 'id="findings"' not in page(replace(figures, fleet=None))
    assert "No rule found anything." in page(with_findings(figures, []))


def test_a_page_with_many_findings_folds_the_rest(replayed: Replayed) -> None:
    """Twenty are shown at once."""
    assert replayed.figures.findings is not None
    many = replayed.figures.findings.findings[:1] * 25
    text = page(with_findings(replayed.figures, many))

    assert "<summary>5 further findings</summary>" in text
    assert text.count(sentence(many[0])) == 25
