"""A replay's figures in the terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_app.analysis.budgets import BudgetFigures
from stream_app.analysis.figures import Figures
from stream_app.figures.numbers import budget_name, cost, count, figure_of, node_hours, percent, plural, share_of, times
from stream_app.figures.wording import CAUSES, OUTCOMES, missing
from stream_app.replay.replay import Replayed

_WIDTH = 110
#: Reasons for dead letters listed.
_LETTERS = 5


def print_summary(replayed: Replayed, stream: TextIO, why: str | None = None) -> None:
    """Prints what a replay found; `why` says why there is no graphlet, or no push."""
    # Off a terminal rich would take 80 columns; tables need a few more.
    console = Console(file=stream, width=None if stream.isatty() else _WIDTH, highlight=False)
    with console.capture() as printed:
        print_all(console, replayed, why)
    stream.write("".join(f"{line.rstrip()}\n" for line in printed.get().splitlines()))
    stream.flush()


def print_all(console: Console, replayed: Replayed, why: str | None = None) -> None:
    """Prints the facts, why there is nothing where that is so, then the tables."""
    found = replayed.figures
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column()
    for name, words in facts(replayed):
        rows.add_row(name, Text(words))
    if why is not None:
        rows.add_row("", Text(why))
    console.print(rows)
    if found.stages:
        console.print()
        console.print(budget_table(found.tradeoff.budgets))
        console.print()
        console.print(stage_table(found))
        console.print(Text(footnote(found), style="dim"))


def facts(replayed: Replayed) -> list[tuple[str, str]]:
    """The lines above the tables."""
    found = replayed.figures
    read = f"{count(found.events)} of {plural(found.pipelines, 'pipeline')} over {found.days:.1f} days"
    lines = [("events", f"{read}, in {replayed.seconds:.1f} s ({count(replayed.events_per_second)}/s)")]
    if found.simulated:
        lines.append(("", "simulated: these pipelines are made up"))
    if found.dropped:
        lines.append(("too late", f"{count(found.dropped)} events touch only what was forgotten"))
    if found.ignored:
        lines.append(("ignored", f"{plural(found.ignored, 'message')} about no execution"))
    if found.parts_dropped:
        lines.append(("dropped", f"{plural(found.parts_dropped, 'malformed part')} of events that nothing depends on"))
    if found.dead_letters:
        lines.append(("dead letters", dead_letters(found)))
    lines.append(("graphlets", graphlets(found)))
    lines.append(("compute", compute(found)))
    if found.money is not None and found.money.unpriced:
        lines.append(("", f"without a price, so in no amount of money: {node_hours(found.money.unpriced)} node-hours"))
    if found.stages:
        active = next(each for each in found.tradeoff.budgets if each.in_force)
        lines.extend(flags(found, active))
    return lines


def dead_letters(found: Figures) -> str:
    """How many messages were no events, and why."""
    total = sum(each.messages for each in found.dead_letters)
    listed = "; ".join(f"{each.reason} ({count(each.messages)})" for each in found.dead_letters[:_LETTERS])
    more = len(found.dead_letters) - _LETTERS
    return f"{count(total)}: {listed}" + (f"; and {plural(more, 'other reason')}" if more > 0 else "")


def graphlets(found: Figures) -> str:
    """What became of graphlets."""
    total = sum(each.graphlets for each in found.outcomes)
    ends = ", ".join(
        f"{count(each.graphlets)} {CAUSES[each.cause] if each.cause else OUTCOMES[each.outcome]}"
        for each in sorted(found.outcomes, key=lambda each: -each.graphlets)
    )
    return f"{count(total)}: {ends}" if total else "none"


def compute(found: Figures) -> str:
    """Where the compute went."""
    spent, money, currency = found.compute, found.money, found.rates.currency
    total = cost(spent.total, None if money is None else money.total, currency)
    wasted = cost(spent.wasted, None if money is None else money.wasted, currency)
    unknown = f", {node_hours(spent.unknown)} of unknown outcome" if spent.unknown else ""
    return (
        f"{total}: {wasted} wasted "
        f"({share_of(found.tradeoff.wasted_share)}), {node_hours(spent.useful)} useful, "
        f"{node_hours(spent.pending)} pending, {node_hours(spent.unattributed)} unattributed{unknown}"
    )


def flags(found: Figures, active: BudgetFigures) -> list[tuple[str, str]]:
    """What the budget in force flagged."""
    name = f"{found.mode} {budget_name(found.budget)}"
    if active.missing_pushes:
        return [(name, f"no flags yet: this budget needs {missing(active.missing_pushes, active.missing_days)}")]
    flagged = sum(each.wasted + each.pushed for each in found.flag_times)
    missed = f"{count(active.pushes_flagged)} of {plural(active.pushes, 'push')} ({share_of(active.missed)})"
    saved = cost(active.saved, active.saved_money, found.rates.currency)
    saved_words = f"{saved}, {share_of(active.avoided)} of the waste"
    lines = [
        (name, f"{plural(flagged, 'labelled graphlet')} flagged, among them {missed}"),
        ("", f"pruning them would have saved {saved_words}"),
    ]
    for word, what in (("wrong", "called wrong"), ("keep", "kept")):
        said = {each.pushed: each.graphlets for each in found.flag_words if each.word == word}
        if said:
            all_of = plural(sum(said.values()), "flagged graphlet")
            lines.append(("", f"{all_of} {what} by people, {count(said.get(True, 0))} of them pushed after all"))
    if found.savings is not None:
        pruned = found.savings
        estimated = cost(pruned.estimated, pruned.estimated_money, found.rates.currency)
        lines.append(("pruned", f"{plural(pruned.pruned, 'run')}, an estimated {estimated}"))
    return lines


def budget_table(budgets: list[BudgetFigures]) -> Table:
    """Every budget's figures."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("budget", justify="right")
    for name in ("waste avoidable", "of what hindsight avoids", "pushes flagged", "longest gap, p90"):
        table.add_column(name, no_wrap=True)
    for each in budgets:
        name = budget_name(each.budget) + (" *" if each.in_force else "  ")
        if each.missing_pushes:
            table.add_row(name, f"needs {plural(each.missing_pushes, 'more push')}")
            continue
        table.add_row(
            name,
            share_of(each.avoided),
            share_of(each.of_hindsight),
            share_of(each.missed),
            times(each.cadence.longest_p90),
        )
    return table


def stage_table(found: Figures) -> Table:
    """The quality of every stage's predictions."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("stage", "labels", "pushed", "balanced accuracy", "AUC", "baseline's accuracy"):
        table.add_column(name, no_wrap=True, justify="right" if name in ("labels", "pushed") else "left")
    for each in found.stages:
        table.add_row(
            each.stage,
            count(each.labels),
            percent(each.pushes / each.labels if each.labels else None),
            figure_of(each.model.balanced_accuracy),
            figure_of(each.model.auc),
            figure_of(each.baseline.balanced_accuracy),
        )
    return table


def footnote(found: Figures) -> str:
    """How to read the tables."""
    nothing = "" if found.savings is not None else " Nothing was pruned: these are estimates of what would have been."
    return f"* in force. In brackets: 95 % intervals over pipelines.{nothing}"
