"""The drawings of the report. Each has its figures in a table beside it; none shows more than the table.

A drawing of nothing is `NOTHING`, so that the page leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from stream_app.analysis.budgets import BudgetFigures, Tradeoff
from stream_app.analysis.figures import FlagTime
from stream_app.analysis.intervals import Estimate
from stream_app.analysis.past_rate import RatePoint
from stream_app.analysis.quality import SeriesFigures, StageFigures
from stream_app.analysis.summary import Week
from stream_app.analysis.waste import Compute
from stream_app.figures.numbers import budget_name, count, day, figure_of, node_hours, percent, share_of, times
from stream_app.figures.svg import (
    WIDTH,
    Scale,
    dot,
    drawing,
    element,
    legend,
    line,
    nice_end,
    square,
    text,
    x_axis,
    y_axis,
)

_LEFT, _RIGHT = 40, WIDTH - 12
#: The drawing of nothing, which is false.
NOTHING = Markup("")
#: Weeks named below their columns.
_WEEKS_NAMED = 6


def per_cent(share: float) -> str:
    """A tick of a share."""
    return f"{share * 100:g} %"


def compute_bar(spent: Compute) -> Markup:
    """All compute in one bar."""
    if not spent.total:
        return NOTHING
    parts = [
        ("wasted", spent.wasted, "bad"),
        ("useful", spent.useful, "good"),
        ("pending", spent.pending, "quiet"),
        ("unattributed", spent.unattributed, "faint"),
    ]
    if spent.unknown:
        parts.append(("of unknown outcome", spent.unknown, "model"))
    scale = Scale(0, spent.total, 0, WIDTH)
    bars, labels, done, y = [], [], 0.0, 48
    for name, amount, look in parts:
        words = f"{name} {percent(amount / spent.total)}, {node_hours(amount)} node-hours"
        width = scale(done + amount) - scale(done)
        if width > 0:
            bar = element("title", words)
            bars.append(element("rect", bar, x=scale(done), y=0, width=width, height=26, class_=f"{look} edge"))
        labels.append(element("rect", x=0, y=y - 10, width=11, height=11, class_=look) + text(18, y, words))
        done += amount
        y += 19
    words = f"{percent(spent.wasted / spent.total)} of the compute was wasted."
    return drawing("compute", "Compute by what became of it", words, y - 8, *bars, *labels)


def trend_chart(weeks: Sequence[Week]) -> Markup:
    """The compute of each week: columns of what was wasted, is not decided yet, and the rest. One week is no trend."""
    if sum(each.spent > 0 for each in weeks) < 2:
        return NOTHING
    most = max(each.spent for each in weeks) / 3600
    x, y = Scale(0, len(weeks), _LEFT + 8, _RIGHT), Scale(0, nice_end(max(most, 1e-6), 4), 200, 40)
    parts = [y_axis(y, _LEFT + 8, _RIGHT, "node-hours", lambda tick: f"{tick:,g}")]
    named = -(-len(weeks) // _WEEKS_NAMED)
    for place, each in enumerate(weeks):
        width = x(place + 1) - x(place)
        left, base = x(place) + width * 0.12, y(0)
        rest = each.spent - each.wasted - each.pending
        columns = (
            (each.wasted, "bad", "wasted"),
            (each.pending, "quiet", "not decided yet"),
            (rest, "good", "the rest"),
        )
        for amount, look, words in columns:
            height = y(0) - y(amount / 3600)
            if amount > 0:
                tip = element("title", f"week of {day(each.start)}: {node_hours(amount)} node-hours {words}")
                faded = "" if each.whole else " part"
                parts.append(
                    element(
                        "rect", tip, x=left, y=base - height, width=width * 0.76, height=height, class_=f"{look}{faded}"
                    )
                )
                base -= height
        if (len(weeks) - 1 - place) % named == 0:
            parts.append(text(x(place) + width / 2, 216, day(each.start), "tick", "middle"))
    parts.append(line(x.start, y(0), x.end, y(0), "axis"))
    looks = (("bad", "wasted"), ("quiet", "not decided yet"), ("good", "the rest"))
    key = legend(8, [(element("rect", x=-5, y=-5, width=10, height=10, class_=look), words) for look, words in looks])
    words = "; ".join(f"{day(each.start)}: {node_hours(each.wasted)} of {node_hours(each.spent)}" for each in weeks)
    return drawing("trend", "Node-hours wasted and spent, by week", words, 224, key, *parts)


def tradeoff_chart(found: Tradeoff) -> Markup:
    """Waste avoided against pushes flagged: a cross of intervals for each budget, and the rule by past push rate."""
    shown = [each for each in found.budgets if not each.missing_pushes and each.missed.value is not None]
    if not any(each.avoided.value or each.pushes_flagged for each in shown):
        return NOTHING
    widest = max(each.missed.high or each.missed.value or 0.0 for each in shown)
    x = Scale(0, nice_end(max(widest, 0.05)), _LEFT, _RIGHT)
    y = Scale(0, 1, 264, 48)
    limit = found.hindsight
    parts = [
        x_axis(x, 264, 48, "share of pushes flagged", per_cent),
        y_axis(y, _LEFT, _RIGHT, "share of the waste avoided", per_cent),
    ]
    if limit.value is not None:
        top, bottom = y(limit.high or limit.value), y(limit.low or limit.value)
        parts.append(element("rect", x=_LEFT, y=top, width=_RIGHT - _LEFT, height=bottom - top, class_="band"))
        parts.append(line(_LEFT, y(limit.value), _RIGHT, y(limit.value), "limit"))
        parts.append(text(_RIGHT, y(limit.value) + 14, f"hindsight {percent(limit.value, 0)}", "halo", "end"))
    parts.append(line(x(0), y(0), x(x.high), y(x.high), "random"))
    parts.append(rate_curve(found.past_rate, x, y))
    path = " ".join(f"{x(each.missed.value or 0):.1f},{y(each.avoided.value or 0):.1f}" for each in shown)
    parts.append(element("polyline", points=path, class_="curve"))
    parts.extend(budget_marks(shown, x, y))
    words = "; ".join(
        f"{budget_name(each.budget)}: {share_of(each.avoided)}, "
        f"by past push rate {percent(each.by_past_rate.value)} at as many pushes flagged"
        for each in shown
    )
    key = legend(
        8,
        [
            (dot(0, 0, "model", "flags, by budget"), "flags, by budget"),
            (line(-5, 0, 5, 0, "rate"), "past push rate"),
            (line(-5, 0, 5, 0, "random"), "at random"),
        ],
    )
    return drawing("tradeoff", "Waste avoided against pushes flagged, by budget", words, 304, key, *parts)


def rate_curve(points: Sequence[RatePoint], x: Scale, y: Scale) -> Markup:
    """The rule by past push rate for rising thresholds, up to the right end of the drawing."""
    places, before = [(0.0, 0.0)], (0.0, 0.0)
    for point in points:
        missed, avoided = point.missed, point.avoided
        if missed > x.high:
            part = (x.high - before[0]) / (missed - before[0])
            places.append((x.high, before[1] + part * (avoided - before[1])))
            break
        before = (missed, avoided)
        places.append(before)
    path = " ".join(f"{x(missed):.1f},{y(avoided):.1f}" for missed, avoided in places)
    return element("polyline", points=path, class_="rate")


def budget_marks(shown: Sequence[BudgetFigures], x: Scale, y: Scale) -> list[Markup]:
    """The budgets as crosses of intervals, with their names where there is room."""
    parts = []
    for each in shown:
        missed, avoided = each.missed.value or 0.0, each.avoided.value or 0.0
        tip = f"budget {budget_name(each.budget)}: {share_of(each.avoided)} avoided, {share_of(each.missed)} flagged"
        look = "model strong" if each.in_force else "model"
        parts.append(cross(x, y, each.missed, each.avoided, "model"))
        parts.append(dot(x(missed), y(avoided), look, tip, 6.5 if each.in_force else 4.5))
    points = [(x(each.missed.value or 0.0), y(each.avoided.value or 0.0)) for each in shown]
    names = [budget_name(each.budget) + (" in force" if each.in_force else "") for each in shown]
    order = sorted(range(len(shown)), key=lambda index: (not shown[index].in_force, -index))
    for index, (place, level) in label_places(points, names, order).items():
        parts.append(text(place, level, names[index], "halo strong" if shown[index].in_force else "halo"))
    return parts


def label_places(
    points: Sequence[tuple[float, float]], names: Sequence[str], order: Sequence[int]
) -> dict[int, tuple[float, float]]:
    """Where the names of points go: right of them, above or else below; those first in the order choose first.

    Names without room, or nearer to another point, are left out: they are in the tool tips and in the table.
    """
    taken = [(x - 4, y - 4, x + 4, y + 4) for x, y in points]
    found: dict[int, tuple[float, float]] = {}
    for index in order:
        x, y = points[index]
        for level in (y - 7, y + 16):
            box = (x + 6, level - 11, x + 8 + 7 * len(names[index]), level + 2)
            nearest = min(points, key=lambda point: math.dist(point, (x + 8, level - 4)))
            if nearest == points[index] and not any(overlap(box, other) for other in taken):
                taken.append(box)
                found[index] = (x + 8, level)
                break
    return found


Box = tuple[float, float, float, float]


def overlap(one: Box, other: Box) -> bool:
    """Whether two boxes (left, top, right, bottom) share any ground."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def cross(x: Scale, y: Scale, across: Estimate, up: Estimate, look: str) -> Markup:
    """The intervals of a point, both ways."""
    parts = Markup("")
    if across.low is not None and across.high is not None:
        parts += line(x(across.low), y(up.value or 0), x(across.high), y(up.value or 0), f"whisker {look}")
    if up.low is not None and up.high is not None:
        parts += line(x(across.value or 0), y(up.low), x(across.value or 0), y(up.high), f"whisker {look}")
    return parts


def cadence_chart(found: Tradeoff) -> Markup:
    """By how much the longest wait for a push grows, over pipelines, for each budget."""
    shown = [each for each in found.budgets if not each.missing_pushes and each.cadence.longest_max is not None]
    if not any(each.cadence.touched or each.cadence.never for each in shown):
        return NOTHING
    high = max(each.cadence.longest_max or 1.0 for each in shown)
    x = Scale(1, max(2.0, nice_end(high, 4)), 64, _RIGHT - 6)
    bottom = 30 + 26 * len(shown)
    parts = [x_axis(x, bottom, 22, "longest wait, times what it was", lambda tick: f"{tick:g}x")]
    for row, each in enumerate(shown):
        y, cadence = 38 + 26 * row, each.cadence
        median, p90, most = cadence.longest_median or 1, cadence.longest_p90 or 1, cadence.longest_max or 1
        parts.append(text(54, y + 4, budget_name(each.budget), "strong" if each.in_force else "", "end"))
        parts.append(line(x(median), y, x(most), y, "whisker model"))
        if cadence.never:
            parts.append(line(x(most), y, x.end, y, "whisker model"))
            parts.append(text(x.end, y - 4, "never", "halo", "end"))
        else:
            parts.append(square(x(most), y, "hollow model", f"the worst pipeline: {times(most)}"))
        parts.append(line(x(median), y, x(p90), y, "bar model"))
        parts.append(dot(x(median), y, "model", f"half of the pipelines: at most {times(median)}"))
    words = "; ".join(f"{budget_name(each.budget)}: {times(each.cadence.longest_p90)}" for each in shown)
    key = legend(8, [(dot(0, 0, "model", "median"), "median"), (line(-4, 0, 3, 0, "bar model"), "to nine in ten"),
                     (square(0, 0, "hollow model", "worst"), "worst pipeline")])  # fmt: skip
    title = "Growth of pipelines' longest wait between pushes, by budget"
    return drawing("cadence", title, f"Nine pipelines in ten at most: {words}", bottom + 36, key, *parts)


def stage_chart(stages: Sequence[StageFigures]) -> Markup:
    """Balanced accuracy of model and baseline at each stage."""
    if not any(each.enough for each in stages):
        return NOTHING
    estimates = [series.balanced_accuracy for each in stages for series in (each.model, each.baseline)]
    low = min((estimate.low for estimate in estimates if estimate.low is not None), default=0.5)
    x = Scale(min(0.5, int(low * 20) / 20), 1, 74, _RIGHT - 4)
    bottom = 30 + 40 * len(stages)
    parts = [x_axis(x, bottom, 22, "balanced accuracy (0.5: no better than chance)", lambda tick: f"{tick:.1f}")]
    for row, each in enumerate(stages):
        y = 46 + 40 * row
        parts.append(text(66, y + 4, each.stage, "", "end"))
        for series, shift, look, mark in ((each.model, -6, "model", dot), (each.baseline, 7, "baseline", square)):
            estimate = series.balanced_accuracy
            if estimate.value is None:
                continue
            if estimate.low is not None and estimate.high is not None:
                parts.append(line(x(estimate.low), y + shift, x(estimate.high), y + shift, f"whisker {look}"))
            parts.append(mark(x(estimate.value), y + shift, look, f"{look}: {figure_of(estimate)}"))
    words = "; ".join(f"{each.stage}: {figure_of(each.model.balanced_accuracy)}" for each in stages)
    return drawing("stages", "Balanced accuracy by stage", words, bottom + 36, series_key(), *parts)


def series_key() -> Markup:
    """What the two kinds of marks are."""
    return legend(
        8, [(dot(0, 0, "model", "model"), "model"), (square(0, 0, "baseline", "baseline"), "past push rate (baseline)")]
    )


def calibration_chart(stages: Sequence[StageFigures]) -> Markup:
    """What was predicted against what happened, a square for each stage."""
    shown = [each for each in stages if each.model.calibration]
    if not shown:
        return NOTHING
    points = [point for each in shown for series in (each.model, each.baseline) for point in series.calibration]
    high = nice_end(max((max(point.predicted, point.observed.high or 0) for point in points), default=1.0), 4)
    side, gap, top = 128.0, 52.0, 40.0
    parts = [series_key()]
    for place, each in enumerate(shown):
        left, above = 40 + (place % 2) * (side + gap), top + (place // 2) * (side + 58)
        x, y = Scale(0, min(1.0, high), left, left + side), Scale(0, min(1.0, high), above + side, above)
        parts.append(text(left, above - 8, each.stage, "strong"))
        parts.append(line(x(0), y(0), x(x.high), y(y.high), "random"))
        for tick in x.ticks(4):
            parts.append(line(x(tick), above, x(tick), above + side, "grid"))
            parts.append(line(left, y(tick), left + side, y(tick), "grid"))
            parts.append(text(x(tick), above + side + 14, f"{tick * 100:g}", "tick", "middle"))
            parts.append(text(left - 5, y(tick) + 4, f"{tick * 100:g}", "tick", "end"))
        parts.extend(calibration_points(each.baseline, x, y, "baseline"))
        parts.extend(calibration_points(each.model, x, y, "model"))
    bottom = top + (len(shown) + 1) // 2 * (side + 58)
    parts.append(
        text(WIDTH / 2, bottom - 22, "predicted chance of a push, %, against the share pushed, %", "", "middle")
    )
    words = "On the dashed line, what was predicted is what happened."
    return drawing("calibration", "Calibration by stage", words, bottom - 12, *parts)


def calibration_points(series: SeriesFigures, x: Scale, y: Scale, look: str) -> list[Markup]:
    """The tenths of one series with the intervals of what happened."""
    found = []
    for point in series.calibration:
        observed = point.observed
        tip = f"{look}: predicted {percent(point.predicted)}, pushed {share_of(observed)}"
        place = x(point.predicted)
        if observed.low is not None and observed.high is not None:
            found.append(line(place, y(observed.low), place, y(observed.high), f"whisker thin {look}"))
        mark = dot(place, y(observed.value or 0), look, tip, 3) if look == "model" else None
        found.append(mark or square(place, y(observed.value or 0), look, tip, 5))
    return found


def flag_chart(found: Sequence[FlagTime]) -> Markup:
    """When flags came: columns by the share of the compute still ahead."""
    most = max((each.wasted + each.pushed for each in found), default=0)
    if not most:
        return NOTHING
    x, y = Scale(0, 1, _LEFT, _RIGHT), Scale(0, nice_end(most, 4), 220, 40)
    parts = [y_axis(y, _LEFT, _RIGHT, "", count)]
    for each in found:
        left, right = x(each.low) + 1.5, x(each.high) - 1.5
        share = f"{per_cent(each.low)} to {per_cent(each.high)} ahead"
        base = y(0)
        for amount, look, words in ((each.wasted, "model", "not pushed"), (each.pushed, "bad", "pushed")):
            height = y(0) - y(amount)
            if amount:
                tip = element("title", f"{share}: {count(amount)} {words}")
                parts.append(
                    element("rect", tip, x=left, y=base - height, width=right - left, height=height, class_=look)
                )
                base -= height
    parts.append(x_axis(x, 220, 220, "share of the run's compute still ahead at the flag", per_cent))
    square_of = {look: element("rect", x=-5, y=-5, width=10, height=10, class_=look) for look in ("model", "bad")}
    key = legend(8, [(square_of["model"], "flagged, not pushed"), (square_of["bad"], "flagged, pushed")])
    flagged = sum(each.wasted + each.pushed for each in found)
    words = f"{count(flagged)} flagged graphlets, {count(sum(each.pushed for each in found))} of them pushed."
    return drawing("flags", "When flags came", words, 258, key, *parts)
