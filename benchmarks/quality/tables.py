"""The tables of the quality benchmark."""

from __future__ import annotations

from typing import Any

from benchmarks.quality.coverage import BUDGETS, coverage_lines
from benchmarks.quality.scores import Score, interval
from benchmarks.quality.seed import Seed
from benchmarks.results import table
from stream_app.core.outputs import STAGES


def lines_of(options: dict[str, Any], runs: list[Seed]) -> list[str]:
    """The tables of one kind of fleet."""
    given = ", ".join(f"{name} {value:g}" for name, value in options.items())
    lines = [
        (
            f"{len(runs)} seeds of a fleet ({given}): {sum(run.events for run in runs):,} events, "
            f"{interval([run.share_pushed for run in runs], 1, 100)} % of trained models pushed. Means ± half of the "
            "95 % interval over seeds. Best-threshold balanced accuracy; the first fifth of the labels is left out. "
            "Lowest tenth: pushes seen over pushes expected in the tenth of the labels with the lowest probability."
        ),
        "",
        *scores_table(runs),
        "",
        *paired_table(runs),
        "",
        "AUC by four simulated days since the start.",
        "",
        *curve_table(runs),
        "",
    ]
    if any(run.excess for run in runs):
        lines += ["Log loss above the hidden chances' over the first 2,000 labels after the change.", ""]
        lines += [*excess_table(runs), ""]
    lines += [*waste_table(runs), "", *coverage_lines([run.coverage for run in runs]), "", *cost_lines(runs)]
    return lines


def contenders(runs: list[Seed]) -> list[str]:
    return list(dict.fromkeys(name for run in runs for _, name in run.scores))


def scores_table(runs: list[Seed]) -> list[str]:
    rows = []
    for stage in STAGES:
        for name in contenders(runs):
            found = [run.scores[stage, name] for run in runs if (stage, name) in run.scores]
            if found:
                rows.append([stage, name, *score_cells(found)])
        hidden = [run.hidden[stage] for run in runs if stage in run.hidden]
        rows.append([stage, "hidden chances", interval(hidden), "", "", "", ""])
    return table(["stage", "", "balanced accuracy", "AUC", "log loss", "slope", "lowest tenth"], rows)


def score_cells(found: list[Score]) -> list[str]:
    return [
        interval([each.accuracy for each in found]),
        interval([each.auc for each in found]),
        interval([each.loss for each in found]),
        interval([each.slope for each in found], 2),
        interval([each.lowest for each in found], 2),
    ]


def paired_table(runs: list[Seed]) -> list[str]:
    """Model less forest, seed by seed; and the share of the gap from past rate to hidden chances that is closed."""
    rows = []
    for stage in STAGES:
        scored = [run for run in runs if (stage, "model") in run.scores]
        if not scored:
            continue
        cells = [stage]
        for name in ("daily forest", "daily forest, raw scores"):
            pairs = [(run.scores[stage, "model"], run.scores[stage, name]) for run in scored]
            cells.append(interval([ours.accuracy - theirs.accuracy for ours, theirs in pairs], 3, 1.0, sign=True))
            cells.append(interval([ours.auc - theirs.auc for ours, theirs in pairs], 3, 1.0, sign=True))
        for name in ("model", "daily forest"):
            closed = []
            for run in scored:
                rate = run.scores[stage, "past push rate"].accuracy
                closed.append((run.scores[stage, name].accuracy - rate) / (run.hidden[stage] - rate))
            cells.append(interval(closed, 0, 100))
        rows.append(cells)
    head = ["stage", "model less forest: accuracy", "AUC", "less its raw scores: accuracy", "AUC"]
    return table([*head, "gap closed by model, %", "by forest, %"], rows)


def curve_table(runs: list[Seed]) -> list[str]:
    steps = min(len(curve) for run in runs for curve in run.curve.values())
    rows = []
    for stage in STAGES:
        for name in ("model", "daily forest", "past push rate"):
            found = [run.curve[stage, name] for run in runs if (stage, name) in run.curve]
            if found:
                rows.append([stage, name, *(interval([curve[n] for curve in found], 2) for n in range(steps))])
    return table(["stage", "", *(f"{4 * n + 1}-{4 * n + 4}" for n in range(steps))], rows)


def excess_table(runs: list[Seed]) -> list[str]:
    rows = []
    for stage in STAGES:
        for name in contenders(runs):
            found = [run.excess[stage, name] for run in runs if (stage, name) in run.excess]
            if found:
                rows.append([stage, name, interval(found)])
    return table(["stage", "", "excess"], rows)


def waste_table(runs: list[Seed]) -> list[str]:
    """What the budgets' policies would have saved, whoever gave the probabilities; features and guards the same."""
    rows = []
    for budget in BUDGETS:
        for name in runs[0].waste:
            avoided, hindsight, missed = ([run.waste[name][budget][i] for run in runs] for i in range(3))
            ratios = [run.waste["model"][budget][0] / max(1e-9, run.waste[name][budget][0]) for run in runs]
            rows.append(
                [
                    f"{budget:.0%}",
                    name,
                    interval(avoided, 1, 100),
                    interval(hindsight, 1, 100),
                    interval(missed, 2, 100),
                    "" if name == "model" else interval(ratios, 2),
                ]
            )
    head = ["budget", "", "waste avoidable, %", "of hindsight's, %", "pushes flagged, %", "model's avoidable over its"]
    return table(head, rows)


def cost_lines(runs: list[Seed]) -> list[str]:
    tenths = [interval([run.tenths[n] for run in runs if run.tenths], 0) for n in range(10)]
    return [
        (
            f"CPU per 1,000 trained models: {interval([run.cpu['model'] for run in runs], 2)} s for the model, "
            f"learning included; {interval([run.cpu['forest'] for run in runs], 1)} s for the daily forest. "
            "Microseconds of the model for each example, by tenth of the log:"
        ),
        "",
        *table(["tenth", *map(str, range(1, 11))], [["us", *tenths]]),
    ]


def google_lines(
    scores: dict[tuple[str, str], Score], sizes: dict[str, tuple[int, float]], learned: tuple[int, float, float]
) -> list[str]:
    """The real stream. It is not machine learning: nothing about waste follows from it."""
    events, ours, theirs = learned
    rows = [
        [part, f"{sizes[part][0]:,}", f"{sizes[part][1]:.0%}", name, *score_cells([found])]
        for (part, name), found in scores.items()
    ]
    return [
        (
            f"{events:,} events of the Google cluster trace 2011; a job that finished counts as pushed. Stage "
            "`preprocess`, the first fifth of the labels left out. Names whose jobs ended both ways by their past "
            "alone, and names never seen, beside all. CPU per 1,000 labels of this stage: "
            f"{ours:.2f} s for the model, all stages; {theirs:.1f} s for the forest."
        ),
        "",
        *table(["part", "labels", "pushed", "", "balanced accuracy", "AUC", "log loss", "slope", "lowest tenth"], rows),
    ]
