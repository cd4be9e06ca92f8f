"""The report: one file that needs nothing else, says what it knows and how well, and says it for everybody."""

from __future__ import annotations

import dataclasses
import functools
import re
from array import array
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from random import Random

import numpy as np
import orjson
import pytest

from stream_app.analysis import quality
from stream_app.analysis.attribution import Attribution
from stream_app.analysis.cadence import cadence_of, cadences, summary
from stream_app.analysis.figures import Figures, Savings, figures
from stream_app.analysis.intervals import Estimate, Resamples, ratio, wider, wilson
from stream_app.analysis.sums import BASELINE, BINS, MODEL, ReplayStatistics, cell
from stream_app.analysis.waste import Part
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.features.descriptions import describe
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Example, StageRecord
from stream_app.figures.charts import label_places
from stream_app.figures.numbers import amount, cost, count, figure_of, node_hours, percent, share_of, times
from stream_app.figures.svg import Scale, nice_end
from stream_app.replay.replay import replay
from stream_app.report.page import page, write_page
from tests.support.builders import HOUR, T0
from tests.support.recorded import whole_replay, write_lines


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Figures:
    """The figures of the recorded fleet."""
    return whole_replay(tmp_path_factory.mktemp("report") / "out").figures


@functools.cache
def nothing_found() -> Figures:
    """The figures of no events at all."""
    learner = Learner()
    return figures(ReplayStatistics(Policy(), learner), Detector(Settings(), learner), {}, Attribution(), 0)


class Page(HTMLParser):
    """A page read tag by tag: what is open, what was seen, and the text without markup."""

    VOID = frozenset(("meta", "link", "br", "img", "input", "hr"))

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        #: Drawings and tables of each section.
        self.drawn: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open, "tags are left open"
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append((tag, dict(attrs)))
        sections = [told.get("id") for name, told in self.open if name == "section"]
        if tag in ("svg", "table") and sections:
            self.drawn.setdefault(str(sections[-1]), []).append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if not any(name in ("style", "title", "desc") for name, _ in self.open):
            self.words.append(data)


@pytest.mark.parametrize("simulated", [True, False])
def test_a_page_on_a_simulated_fleet_says_so_first(found: Figures, simulated: bool) -> None:
    """In the title, the headline and a banner above all figures: nobody may take it for their own fleet."""
    text = page(dataclasses.replace(found, simulated=simulated))
    read = Page(text)
    banner = "Simulated: these pipelines are made up by stream-app simulate ."

    assert [words in text for words in ("simulated pipelines</title>", "simulated pipelines</h1>")] == [simulated] * 2
    assert (banner in read.text and read.text.index(banner) < read.text.index("events,")) == simulated
    assert [dict(attributes).get("role") for _, attributes in read.tags].count("note") == simulated


@pytest.mark.parametrize("which", ["whole", "nothing"])
def test_the_page_is_well_formed_and_needs_nothing_else(which: str, found: Figures) -> None:
    """Every tag is closed, ids are unique, and nothing is loaded: no script, no address of anything."""
    text = page(found if which == "whole" else nothing_found())
    read = Page(text)

    ids = [told["id"] for _, told in read.tags if "id" in told]
    assert len(ids) == len(set(ids))
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in read.tags}
    assert all(str(told["href"]).startswith("#") for _, told in read.tags if "href" in told)
    assert {str(told["href"])[1:] for tag, told in read.tags if tag == "a"} <= set(ids)
    assert not re.search(r"https?:|//|url\(|@import|@font-face", text)
    assert {"src", "onclick", "onload"}.isdisjoint(name for _, told in read.tags for name in told)


def test_every_drawing_has_a_name_and_a_table_beside_it(found: Figures) -> None:
    """Who cannot see it, or wants the number, finds it in the same section."""
    read = Page(page(found))
    drawings = [told for tag, told in read.tags if tag == "svg"]
    ids = {told["id"] for _, told in read.tags if "id" in told}

    assert len(drawings) == 7
    assert all(told["role"] == "img" and set(str(told["aria-labelledby"]).split()) <= ids for told in drawings)
    assert all("table" in drawn for drawn in read.drawn.values())
    assert sum(drawn.count("svg") for drawn in read.drawn.values()) == len(drawings)


def test_every_table_has_a_caption_and_named_columns(found: Figures) -> None:
    """Screen readers announce where they are."""
    tags = Page(page(found)).tags

    tables = [place for place, (tag, _) in enumerate(tags) if tag == "table"]
    assert tables
    assert all(tags[place + 1][0] == "caption" for place in tables)
    assert all(told.get("scope") in ("col", "row", "colgroup") for tag, told in tags if tag == "th")


def test_the_page_says_the_figures_of_the_json(found: Figures) -> None:
    """What `--json` has is what the page shows, for each budget, stage and pipeline."""
    text = Page(page(found)).text
    told = orjson.loads(orjson.dumps(found))

    assert told["tradeoff"]["budgets"][0]["avoided"]["value"] == found.tradeoff.budgets[0].avoided.value
    for budget in found.tradeoff.budgets:
        if not budget.missing_pushes:
            for estimate in (budget.avoided, budget.of_hindsight, budget.missed):
                assert share_of(estimate) in text
            assert f"{count(budget.pushes_flagged)} of {count(budget.pushes)}" in text
            assert times(budget.cadence.longest_p90) in text
    for stage in found.stages:
        for series in (stage.model, stage.baseline):
            assert figure_of(series.balanced_accuracy) in text
            assert figure_of(series.auc) in text
        assert figure_of(stage.gain) in text
    for part in (*found.waste.by_pipeline, *found.waste.by_owner, *found.waste.by_group, *found.waste.by_cause):
        assert f"{percent(part.share)} {node_hours(part.wasted)} {amount(part.wasted / 3600 * 2.5)}" in text
    for prunable in found.prunable:
        assert f"{prunable.pushes_flagged} of {prunable.pushes}" in text
        assert all(describe(reason.feature, reason.value) in text for reason in prunable.reasons)
    for each in found.flag_times:
        assert f"{each.low * 100:g} to {each.high * 100:g} % {each.wasted} {each.pushed}" in text
    assert found.prunable
    assert sum(each.wasted for each in found.flag_times)


def test_the_same_figures_give_the_same_page(found: Figures, tmp_path: Path) -> None:
    """No clock and no chance in it; writing it is writing that text."""
    write_page(str(tmp_path / "r.html"), found)

    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page(found)


def test_the_page_says_that_nothing_was_pruned(found: Figures) -> None:
    """What was not done is not sold as done."""
    text = Page(page(found)).text

    assert "Nothing was pruned." in text
    assert "not a proof of the cause" in text


@pytest.mark.parametrize(
    ("verified", "says"),
    [
        (Estimate(None), "not enough data yet"),
        (
            Estimate(7200.0, 3600.0, 14400.0),
            "2 node-hours (95 % interval 1 to 4, clustered by pipeline), 5.00 EUR at the mean price.",
        ),
    ],
)
def test_prunes_are_told_as_estimated_and_as_verified(verified: Estimate, says: str, found: Figures) -> None:
    """Where runs had been pruned, what was expected to be saved stands beside what the holdout shows."""
    pruned = dataclasses.replace(found, savings=Savings(30, 4, 10800.0, verified, 7.5))

    text = Page(page(pruned)).text

    assert "30 runs in these events had been pruned." in text
    assert "Nothing was pruned." not in text
    assert "Estimated , by what was expected of them then: 3 node-hours (7.50 EUR at the mean price)." in text
    assert f"4 runs that were flagged and left to run: {says}" in text.replace("\xa0", " ")


def test_where_there_is_not_enough_data_the_page_says_so() -> None:
    """No figure is made up from nothing."""
    text = Page(page(nothing_found())).text

    assert "Collect more pushes before you act on flags." in text
    assert "needs 19 more labelled pushes" in text
    assert text.count("not enough data") >= 20


def test_too_few_pipelines_give_no_intervals(tmp_path: Path, found: Figures) -> None:
    """Two pipelines say nothing about others."""
    from tests.support.recorded import fleet_lines

    two = sorted({orjson.loads(line)["pipeline"] for line in fleet_lines()})[:2]
    lines = [line for line in fleet_lines() if orjson.loads(line)["pipeline"] in two]

    few = replay([write_lines(tmp_path / "e.jsonl", lines)], Settings(), Learner()).figures

    assert few.tradeoff.wasted_share.value is not None
    assert few.tradeoff.wasted_share.low is None
    assert found.tradeoff.wasted_share.low is not None


def test_names_from_events_cannot_become_markup(found: Figures) -> None:
    """Pipelines, owners and reasons are strangers' text."""
    evil = "<script>alert(1)</script>\"'&"
    parts = [Part(evil, 10.0, 20.0, 0.5)]
    prunable = [dataclasses.replace(found.prunable[0], pipeline=evil, owner=evil)]
    hostile = dataclasses.replace(
        found, waste=dataclasses.replace(found.waste, by_pipeline=parts, by_owner=parts), prunable=prunable
    )

    read = Page(page(hostile))

    assert "script" not in {tag for tag, _ in read.tags}
    assert read.text.count(evil) == 4


def test_money_is_shown_only_with_a_rate_card(found: Figures) -> None:
    """The amount and its currency; without a rate, node-hours alone."""
    assert "EUR" in Page(page(found)).text
    without = dataclasses.replace(found, money=None)
    assert "EUR" not in Page(page(without)).text
    assert cost(7200.0, 5.0, "EUR") == "2 node-hours (5.00 EUR)"
    assert cost(7200.0, None, "EUR") == "2 node-hours"


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_colours_stand_out_from_what_is_behind_them(theme: int, found: Figures) -> None:
    """Text by at least 4.5 to 1, marks by at least 3 to 1, in both themes."""
    blocks = re.findall(r":root \{(.*?)\}", page(found), re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})\b", blocks[theme]))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(colours[one]), luminance(colours[other])))
        return (high + 0.05) / (low + 0.05)

    assert all(contrast(name, behind) >= 4.5 for name in ("text", "muted") for behind in ("card", "page"))
    assert contrast("text", "note") >= 4.5
    assert all(contrast(name, "card") >= 3 for name in ("model", "baseline", "bad", "good", "limit", "quiet"))


def test_wilson_intervals_are_those_of_the_literature() -> None:
    """Values from Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    expected = {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }

    for (hits, trials), interval in expected.items():
        assert wilson(hits, trials) == pytest.approx(interval, abs=6e-5)


def test_the_bootstrap_covers_what_it_should() -> None:
    """Of fleets whose pipelines differ, about 95 % of the intervals of a share hold the true one."""
    held = 0
    for seed in range(120):
        rng = Random(seed)
        rows = []
        for _ in range(60):
            chance = rng.betavariate(2, 8)
            trials = rng.randrange(5, 40)
            rows.append((sum(rng.random() < chance for _ in range(trials)), trials))
        estimate = Resamples(np.array(rows, dtype=np.float64), seed).estimate(ratio(0, 1))
        assert estimate.low is not None
        assert estimate.high is not None
        held += estimate.low <= 0.2 <= estimate.high

    assert 0.88 * 120 <= held <= 120


def test_the_bootstrap_depends_on_its_seed_alone() -> None:
    """And not on the order in which it is asked."""
    rows = np.array([[place % 7, 10.0] for place in range(30)])

    assert Resamples(rows, 1).estimate(ratio(0, 1)) == Resamples(rows, 1).estimate(ratio(0, 1))
    assert Resamples(rows, 1).estimate(ratio(0, 1)) != Resamples(rows, 2).estimate(ratio(0, 1))


def test_no_flag_on_a_push_still_leaves_room_for_one() -> None:
    """None of 50 pushes flagged, in whichever pipelines are drawn: the interval is Wilson's, not of width nothing."""
    drawn = Resamples(np.array([[0.0, 10.0]] * 5), 0).estimate(ratio(0, 1))

    assert (drawn.low, drawn.high) == (0, 0)
    assert wider(drawn, *wilson(0, 50)).high == wilson(0, 50)[1] > 0.05


def test_cadence_takes_flagged_pushes_out() -> None:
    """Pushes at 0, 10, 20 and 40 hours; without that at 20 the longest wait is 30 hours instead of 20."""
    pushes = [T0 + hours * HOUR for hours in (0, 10, 40, 20)]

    one = cadence_of("p", pushes, [0, 0, 0, 1])

    assert (one.mean, one.longest, one.longest_left) == pytest.approx((40 / 3, 20, 30))
    assert one.mean_left == 20
    assert cadence_of("p", pushes, [0, 0, 0, 0]).longest_stretch == 1
    assert cadence_of("p", pushes, [1, 1, 1, 1]).longest_left == 40


def test_a_flagged_first_or_last_push_lengthens_a_wait_too() -> None:
    """The time looked at does not shrink with the pushes."""
    pushes = [T0 + hours * HOUR for hours in (0, 10, 20, 30)]

    assert cadence_of("p", pushes, [1, 0, 0, 0]).longest_left == 10
    assert cadence_of("p", pushes, [1, 1, 0, 0]).longest_left == 20
    assert cadence_of("p", pushes, [0, 0, 1, 1]).longest_left == 20


def test_cadence_looks_at_pipelines_with_enough_pushes() -> None:
    """Three pushes are too few; bits tell budgets apart."""
    hours = [T0 + place * HOUR for place in range(6)]
    pushes = {"few": (hours[:3], [0, 0b10, 0]), "many": (hours, [0, 0b10, 0b10, 0, 0, 0])}

    assert summary(cadences(pushes, 1)).pipelines == 1
    assert summary(cadences(pushes, 0)).touched == 0
    assert summary(cadences(pushes, 1)).longest_max == 3


def example(pushed: bool, p: float, revision: int = 1, flagged: tuple[float, ...] = (), name: str = "p/t") -> Example:
    """A labelled graphlet with one stage."""
    stage = StageRecord(
        stage="train", validator=None, time_ms=T0, features={}, p=p, baseline=0.5, score=1.0, guard=None, cost=25.0,
        cost_left=70.0, actual_left=75.0, decision="continue", flagged=list(flagged), propensity=1.0,
    )  # fmt: skip
    return Example(
        graphlet=name, pipeline="p", run="r", trainer="t", owner="team", pushed=pushed, cause="", time_ms=T0 + HOUR,
        announced_ms=T0 + 2 * HOUR, label_revision=revision, stages=[stage],
    )  # fmt: skip


def test_a_correction_takes_its_first_label_back() -> None:
    """A late push moves everything that the negative had counted."""
    corrected, direct = ReplayStatistics(Policy(), Learner()), ReplayStatistics(Policy(), Learner())

    corrected.example(example(False, 0.3, flagged=(0.05, 0.1)))
    corrected.example(example(True, 0.3, revision=2, flagged=(0.05, 0.1)))
    direct.example(example(True, 0.3, flagged=(0.05, 0.1)))

    ours, theirs = corrected.pipelines["p"], direct.pipelines["p"]
    assert {key: labels for key, labels in ours.cells.items() if labels} == theirs.cells
    assert ours.push_names == theirs.push_names
    assert (ours.labelled, ours.flagged, ours.push_ms, ours.push_flags) == (1, 1, theirs.push_ms, theirs.push_flags)
    assert corrected.flag_time_bins == direct.flag_time_bins


def test_words_of_people_are_counted_by_what_became_of_their_runs() -> None:
    """Of flags in force alone; a late push moves what the negative had counted, whatever was said meanwhile."""
    statistics = ReplayStatistics(Policy(), Learner())
    flagged = (0.05,)
    statistics.example(replace(example(False, 0.3, flagged=flagged, name="p/a"), word="keep"))
    statistics.example(example(False, 0.3, flagged=flagged, name="p/b"))
    statistics.example(replace(example(True, 0.3, 2, flagged, "p/b"), word="wrong"))
    statistics.example(replace(example(False, 0.3, flagged=flagged, name="p/c"), word="wrong"))
    statistics.example(replace(example(True, 0.3, 2, flagged, "p/c"), word="wrong"))
    statistics.example(replace(example(True, 0.3, name="p/d"), word="wrong"))
    statistics.example(example(True, 0.3, flagged=flagged, name="p/e"))

    assert +statistics.words == {("keep", False): 1, ("wrong", True): 2}


def test_a_push_taken_back_leaves_the_others() -> None:
    """Of two pushes the one that was corrected away goes."""
    statistics = ReplayStatistics(Policy(), Learner())
    statistics.example(example(True, 0.3, name="p/a"))
    statistics.example(dataclasses.replace(example(True, 0.3, name="p/b"), time_ms=T0 + 5 * HOUR))

    statistics.example(example(False, 0.3, revision=2, name="p/a"))

    assert statistics.pipelines["p"].push_ms == array("q", [T0 + 5 * HOUR])


def test_a_push_after_a_prune_takes_nothing_back() -> None:
    """A pruned graphlet has no label, so there is nothing to correct."""
    statistics = ReplayStatistics(Policy(), Learner())
    statistics.example(dataclasses.replace(example(True, 0.3), pushed=None))

    statistics.example(example(True, 0.3, revision=2))

    assert statistics.pipelines["p"].labelled == 1
    assert set(statistics.pipelines["p"].cells.values()) == {1}


def test_a_flag_is_counted_by_the_compute_still_ahead() -> None:
    """25 node-seconds before, 75 after: in the eighth tenth."""
    statistics = ReplayStatistics(Policy(), Learner())

    statistics.example(example(False, 0.3, flagged=(0.05,)))

    assert [(each.wasted, each.ahead) for each in statistics.flag_time_bins].index((1, 75.0)) == 7


def test_binned_figures_are_those_of_the_labels() -> None:
    """AUC and balanced accuracy from bins equal those counted pair by pair, ties as halves."""
    rng = Random(5)
    rows = np.zeros((1, 4 * BINS))
    labels = []
    for _ in range(300):
        pushed = rng.random() < 0.3
        p = min(max(rng.gauss(0.5 if pushed else 0.3, 0.2), 0.01), 0.99)
        for series in (MODEL, BASELINE):
            rows[0, cell(0, series, pushed, p)] += 1
        labels.append((cell(0, MODEL, False, p), pushed))
    positives = [place for place, pushed in labels if pushed]
    negatives = [place for place, pushed in labels if not pushed]

    pairs = sum((one > other) + (one == other) / 2 for one in positives for other in negatives)
    best = max(
        (sum(place >= cut for place in positives) / len(positives)
         + sum(place < cut for place in negatives) / len(negatives)) / 2
        for cut in range(BINS)
    )  # fmt: skip

    assert quality.area(MODEL)(rows)[0] == pytest.approx(pairs / len(positives) / len(negatives))
    assert quality.accuracy(rows[0], BASELINE)(rows)[0] == pytest.approx(best)


def test_a_name_covers_neither_a_point_nor_another_name() -> None:
    """It goes above its point, else below, else it is left out; what comes first in the order chooses first."""
    above, below = (58, 193), (58, 216)

    assert label_places([(50, 200), (150, 100)], ["1 %", "2 %"], [0, 1])[0] == above
    assert label_places([(50, 200), (65, 188)], ["1 %", "2 %"], [0, 1])[0] == below
    assert label_places([(50, 200), (50, 192), (60, 180)], ["1 %", "2 %", "5 %"], [2, 1, 0]) == {2: (68, 173), 0: below}


def test_axes_end_on_round_numbers() -> None:
    """And their ticks are evenly apart."""
    assert [nice_end(value) for value in (0.07, 0.21, 1043, 5)] == pytest.approx([0.08, 0.25, 1250, 5])
    assert Scale(0, 0.25, 0, 100).ticks() == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.25])
    assert Scale(0, 10, 0, 100)(20) == 100
