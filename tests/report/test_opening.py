"""The report opens with what a manager asks; then come the details, in words and widths for everybody."""

from __future__ import annotations

import dataclasses
import re

import pytest

from stream_app.analysis.cadence import PipelineCadence
from stream_app.analysis.figures import Figures
from stream_app.analysis.summary import Act, Because, FindingLine, Recommendation
from stream_app.analysis.waste import Part
from stream_app.core.detector import Settings
from stream_app.figures.numbers import amount, node_hours, share_of
from stream_app.figures.wording import ACTS, BECAUSE
from stream_app.replay.replay import replay
from stream_app.report.page import page
from tests.report.test_report import Page, nothing_found
from tests.support.recorded import fleet_lines, replayed_to, whole_replay, write_lines

FINDING = FindingLine("same data trained twice", "ads-0001", 120.0, 300.0, "cache the training")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """The figures of the recorded fleet, with a rate card."""
    return whole_replay(tmp_path_factory.mktemp("opening") / "out").figures


@pytest.fixture(scope="module")
def young(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """The figures of its first 1,500 events at a budget that needs more pushes."""
    folder = tmp_path_factory.mktemp("young")
    file = write_lines(folder / "e.jsonl", fleet_lines()[:1500])
    return replayed_to(folder / "out", [file], Settings()).figures


@pytest.fixture(scope="module")
def unpredicted(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """The figures of the fleet without a learner."""
    file = write_lines(tmp_path_factory.mktemp("unpredicted") / "e.jsonl", fleet_lines())
    return replay([file], Settings(), None).figures


def changed(found: Figures, **changes: object) -> Figures:
    """The figures with another summary."""
    return dataclasses.replace(found, summary=dataclasses.replace(found.summary, **changes))  # type: ignore[arg-type]


def without_space(text: str) -> str:
    """Text with plain spaces alone."""
    return text.replace("\xa0", " ")


# The opening


def test_the_page_opens_with_what_a_manager_asks(found: Figures) -> None:
    """Spent, wasted, findings, a recommendation with its evidence, the trend; then the details."""
    text = page(changed(found, findings=[FINDING]))

    order = [
        text.index(words)
        for words in (
            '<section id="summary"', "was spent", "was wasted", 'id="findings-h"', 'id="recommendation-h"',
            'id="trend-h"', '<section id="waste"', '<section id="budgets"',
        )
    ]  # fmt: skip
    assert order == sorted(order)
    assert text.index("<main>") < order[0] < text.index("<section", order[0] + 1)


def test_what_was_spent_and_wasted_is_in_money_and_node_hours(found: Figures) -> None:
    """Where there is a rate card; otherwise in node-hours."""
    assert found.money is not None
    summary = Page(page(found)).text.split("In short", 2)[2]
    plain = Page(page(dataclasses.replace(found, money=None))).text

    assert f"{amount(found.money.total)} EUR was spent {node_hours(found.compute.total)} node-hours" in summary
    assert f"{amount(found.money.wasted)} EUR was wasted {node_hours(found.compute.wasted)} node-hours" in summary
    assert f"{node_hours(found.compute.total)} node-hours were spent" in plain
    assert f"{node_hours(found.compute.wasted)} node-hours were wasted" in plain


def test_findings_have_a_pipeline_an_amount_and_an_act(found: Figures) -> None:
    """And without findings there is no empty table."""
    text = Page(page(changed(found, findings=[FINDING]))).text

    assert "same data trained twice ads-0001 120 300 cache the training" in text
    assert "Findings with the most money" in text
    assert "Findings with the most" not in Page(page(found)).text


def test_a_finding_cannot_become_markup(found: Figures) -> None:
    """Its pipeline's name is a stranger's text."""
    evil = "<script>alert(1)</script>"

    read = Page(page(changed(found, findings=[dataclasses.replace(FINDING, pipeline=evil)])))

    assert "script" not in {tag for tag, _ in read.tags}
    assert evil in read.text


@pytest.mark.parametrize(
    ("act", "because"),
    [(Act.ENFORCE, None), (Act.GO_ON, None), *((Act.OBSERVE, because) for because in Because)],
)
def test_a_recommendation_has_its_evidence(act: Act, because: Because | None, found: Figures) -> None:
    """What the budget in force would have saved and cost, beside the plain rule."""
    figures = next(each for each in found.tradeoff.budgets if each.in_force)

    text = without_space(Page(page(changed(found, recommendation=Recommendation(act, because, figures)))).text)

    assert ACTS[act].format(budget="20 %") in text
    assert because is None or BECAUSE[because] in text
    assert f"would have avoided {share_of(figures.avoided)} of the waste" in text
    assert f"past push rate would have avoided {share_of(figures.by_past_rate)} with as many pushes flagged" in text
    assert f"stopped {figures.pushes_flagged} of {figures.pushes} pushes: {share_of(figures.missed)}" in text


def test_what_is_missing_is_told_with_its_time(young: Figures) -> None:
    """In the recommendation and for each budget of the table."""
    figures = young.summary.recommendation.evidence
    text = Page(page(young)).text

    assert figures.missing_days is not None
    assert young.summary.recommendation.act == Act.WAIT
    assert re.search(rf"A budget of 5 % needs {figures.missing_pushes} more labelled pushes: about \d+ days at", text)
    assert text.count("at your rate") == 1 + sum(each.missing_pushes > 0 for each in young.tradeoff.budgets)


def test_without_predictions_the_page_says_what_to_do(unpredicted: Figures) -> None:
    """And still shows where the compute went, week by week."""
    text = page(unpredicted)

    assert "Report executions when they start, not only when they end." in text
    assert unpredicted.summary.weeks[0].start in text


def test_the_trend_is_drawn_and_in_a_table(found: Figures) -> None:
    """Each week with what was spent and wasted, in node-hours and money."""
    read = Page(page(found))

    assert len(found.summary.weeks) >= 2
    assert read.drawn["summary"].count("svg") == 1
    for each in found.summary.weeks:
        assert re.search(
            rf"{each.start}( in part)? {node_hours(each.spent)} {node_hours(each.wasted)} [\d.]+ %"
            rf" {node_hours(each.pending)} {amount(each.spent_money)} {amount(each.wasted_money)}",
            read.text,
        )


# The details


def test_the_plain_rule_stands_in_the_row_of_each_budget(found: Figures) -> None:
    """At as many pushes flagged, with its interval, and the money that the budget saves."""
    text = page(found)

    for each in found.tradeoff.budgets:
        assert each.missing_pushes or share_of(each.by_past_rate) in Page(text).text
        assert each.missing_pushes or f'data-label="EUR saved">{amount(each.saved_money)}<' in text
    assert text.count('data-label="By past push rate"') == sum(
        not each.missing_pushes for each in found.tradeoff.budgets
    )
    assert f'data-label="EUR saved">{amount(found.tradeoff.hindsight_money)}<' in text


def test_pipelines_whose_push_is_lost_for_good_are_named(found: Figures) -> None:
    """With "never", in the summary and in the section of waits."""
    lost = PipelineCadence("ads-0007", 1, 1, 0.0, 0.0, 0.0, 0.0, never=True)
    slower = PipelineCadence("eta-0002", 9, 3, 10.0, 15.0, 20.0, 60.0)
    budgets = [
        dataclasses.replace(each, cadence=dataclasses.replace(each.cadence, never=1)) if each.in_force else each
        for each in found.tradeoff.budgets
    ]
    tradeoff = dataclasses.replace(found.tradeoff, worst_cadence=[lost, slower], budgets=budgets)
    evidence = next(each for each in budgets if each.in_force)
    advised = Recommendation(Act.ENFORCE, None, evidence)

    text = Page(page(changed(dataclasses.replace(found, tradeoff=tradeoff), recommendation=advised))).text

    assert "ads-0007 1 of 1 - never - never eta-0002 3 of 9 20.0 h 2.5 d 10.0 h 15.0 h" in text
    assert "The last push of ads-0007 is among them" in text
    assert "1 would never have pushed again" in text


def test_the_flags_have_the_money_that_came_after_them(found: Figures) -> None:
    """At the mean price, which here is the only one."""
    for each in found.flag_times:
        assert each.ahead_money == pytest.approx(each.ahead / 3600 * 2.5)
    assert sum(each.ahead_money or 0 for each in found.flag_times) > 0
    assert "node-hours after it are those of graphlets not pushed, money is at the mean price" in Page(page(found)).text


def test_the_bar_of_the_rest_is_no_longer_than_the_longest() -> None:
    """It is cut where it would be, and looks so; no bar leaves its column."""
    parts = [Part("a", 10.0, 20.0, 0.2), Part("b", 5.0, 20.0, 0.1), Part("", 35.0, 90.0, 0.7, names=25)]
    base = nothing_found()

    text = page(dataclasses.replace(base, waste=dataclasses.replace(base.waste, by_pipeline=parts)))

    assert re.findall(r'<td class="(gauge[^"]*)"><i style="width:([\d.]+)%">', text) == [
        ("gauge", "100.0"), ("gauge", "50.0"), ("gauge rest cut", "100.0"),
    ]  # fmt: skip
    assert "25 more" in text


def test_empty_charts_are_left_out(young: Figures, unpredicted: Figures) -> None:
    """There is no figure without a drawing, and no drawing without a mark."""
    for each in (young, unpredicted):
        text = page(each)
        for figure in re.findall(r"<figure>(.*?)</figure>", text, re.DOTALL):
            assert re.search(r"<(rect|circle|polyline)\b", figure)
    assert 'id="tradeoff-title"' not in page(unpredicted)


def test_a_table_that_goes_on_shows_it(found: Figures) -> None:
    """Each is in an element that scrolls, whose edges have a shadow where there is more, in both themes."""
    css = page(found)
    rule = re.search(r"\.scroll \{(.*?)\n\}", css, re.DOTALL)

    assert rule is not None
    assert "overflow-x: auto" in rule[1]
    assert rule[1].count("no-repeat local") == rule[1].count("no-repeat scroll") == 2
    assert css.count("--shade: #") == 2


def test_every_table_can_scroll(found: Figures) -> None:
    """By keyboard too, and a screen reader knows what it is."""
    tags = Page(page(found)).tags

    for place, (tag, _) in enumerate(tags):
        if tag == "table":
            around = tags[place - 1]
            assert around[0] == "div"
            assert (around[1]["class"], around[1]["tabindex"], around[1]["role"]) == ("scroll", "0", "region")


def test_regions_have_names_of_their_own(found: Figures) -> None:
    """Two landmarks with one name cannot be told apart, and a header without words says nothing."""
    text = page(found)
    read = Page(text)
    labels = [
        str(told.get("aria-label") or told.get("aria-labelledby"))
        for tag, told in read.tags
        if tag in ("section", "nav") or told.get("role") == "region"
    ]
    headings = dict(re.findall(r'<h\d id="([^"]+)">(.*?)</h', text))
    names = [headings.get(each, each) for each in labels]

    assert len(names) == len(set(names))
    assert not re.search(r"<th[^>]*></th>", text)
