"""The demonstration on a terminal, redrawn in place, and as plain lines elsewhere."""

from __future__ import annotations

import sys

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream_app.core.features.descriptions import describe
from stream_app.core.outputs import PRUNE, WARN, Verdict
from stream_app.demo.run import Flag, Scene
from stream_app.figures.numbers import count, node_hours, percent
from stream_app.figures.wording import policy_notes
from stream_app.times import time_to_text

#: Lines of the screen that are not rows of the two tables.
_FRAME = 15
_ROWS_MIN, _ROWS_MAX = 3, 12
#: Plain flags printed at first, and then one in so many.
_PLAIN_FIRST, _PLAIN_EACH = 5, 100

NO_REASON = "no single reason"

_STYLES = {PRUNE: "bold red", WARN: "yellow"}


class PlainView:
    """A line now and then, and one for some of the flags."""

    every = 3.0

    def __init__(self) -> None:
        self._flags = 0

    def __enter__(self) -> PlainView:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def flag(self, flag: Flag) -> None:
        self._flags += 1
        if self._flags <= _PLAIN_FIRST or self._flags % _PLAIN_EACH == 0:
            verdict = flag.verdict
            say(
                f"{moment(verdict.time_ms)}  flag {self._flags}: {verdict.graphlet}, {percent(verdict.p_push)} chance "
                f"of a push, {node_hours(verdict.cost_left)} node-hours ahead; {reason(verdict)}"
            )

    def show(self, scene: Scene) -> None:
        say(f"{moment(scene.now_ms)}  {counters(scene)}")


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


class LiveView:
    """A screen of the runs in flight, the last flags and the waste so far."""

    every = 0.15

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=False)

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def flag(self, flag: Flag) -> None:
        """The next scene has it."""

    def show(self, scene: Scene) -> None:
        rows = max(_ROWS_MIN, min(_ROWS_MAX, (self._console.height - _FRAME) // 2))
        self._live.update(Group(head(scene), in_flight(scene, rows), flags(scene, rows)), refresh=True)


def head(scene: Scene) -> Panel:
    """Where the fleet is, and what it has cost so far."""
    ledger = scene.ledger
    decided = ledger.wasted + ledger.useful
    waste = Text.assemble(
        ("wasted ", "bold"),
        (f"{node_hours(ledger.wasted / 1000)} node-hours", "bold red"),
        f" ({percent(ledger.wasted / decided if decided else None)} of what is decided)   ",
        ("useful ", "bold"),
        f"{node_hours(ledger.useful / 1000)}   ",
        ("pending ", "bold"),
        node_hours(ledger.pending / 1000),
    )
    done = int(scene.passed * 30)
    bar = Text("━" * done, style="green") + Text("━" * (30 - done), style="dim")
    read = f"  {count(scene.events)} events, {count(scene.events / max(scene.seconds, 1e-6))}/s   "
    line = Text.assemble(bar, read, ("flags ", "bold"), waiting(scene))
    title = f"{scene.pipelines} simulated pipelines, event time {moment(scene.now_ms)}"
    return Panel(Group(line, waste), title=title, title_align="left")


def waiting(scene: Scene) -> str:
    """How many flags there are, or what the first waits for."""
    if scene.flagged or not scene.missing_pushes:
        return count(scene.flagged)
    return f"none yet: {scene.missing_pushes} more labelled pushes needed"


def in_flight(scene: Scene, rows: int) -> Table:
    """The runs with the newest verdicts."""
    table = Table(title=f"Runs in flight ({len(scene.in_flight)})", title_justify="left", expand=True, box=None)
    table.add_column("graphlet", no_wrap=True, ratio=3)
    table.add_column("stage", width=10)
    table.add_column("chance of a push", justify="right", width=16)
    table.add_column("used, node-h", justify="right", width=12)
    table.add_column("ahead", justify="right", width=8)
    table.add_column("verdict", width=9)
    for verdict in list(reversed(scene.in_flight.values()))[:rows]:
        table.add_row(
            Text(verdict.graphlet),
            verdict.stage,
            percent(verdict.p_push),
            node_hours(verdict.cost),
            node_hours(verdict.cost_left),
            Text(verdict.decision, style=_STYLES.get(verdict.decision, "")),
        )
    return filled(table, rows)


def flags(scene: Scene, rows: int) -> Table:
    """The last flags and what became of them."""
    table = Table(title=f"Last flags (of {count(scene.flagged)})", title_justify="left", expand=True, box=None)
    table.add_column("graphlet", no_wrap=True, ratio=3)
    table.add_column("chance", justify="right", width=7)
    table.add_column("ahead", justify="right", width=8)
    table.add_column("because", no_wrap=True, ratio=3)
    table.add_column("in the end", width=11)
    for flag in list(reversed(scene.flags))[:rows]:
        verdict = flag.verdict
        ends = {None: Text("open", style="dim"), True: Text("pushed", style="bold yellow"), False: Text("not pushed")}
        table.add_row(
            Text(verdict.graphlet),
            percent(verdict.p_push),
            node_hours(verdict.cost_left),
            Text(reason(verdict)),
            ends[flag.pushed],
        )
    return filled(table, rows)


def filled(table: Table, rows: int) -> Table:
    """The table with empty rows below, so that the screen does not jump."""
    for _ in range(rows - table.row_count):
        table.add_row()
    return table


def reason(verdict: Verdict) -> str:
    """The first reason against a push; without one, what the policy has to say, or the first reason for a push."""
    against = [each for each in verdict.reasons if each.effect <= 0]
    if against:
        return describe(against[0].feature, against[0].value)
    return (policy_notes(verdict) + [describe(each.feature, each.value) for each in verdict.reasons] + [NO_REASON])[0]


def counters(scene: Scene) -> str:
    """The head in one line."""
    wasted = node_hours(scene.ledger.wasted / 1000)
    return (
        f"{scene.passed:4.0%}  {count(scene.events)} events, {len(scene.in_flight)} runs in flight, "
        f"{wasted} node-hours wasted, flags: {waiting(scene)}"
    )


def moment(time_ms: int) -> str:
    """An event time to the minute."""
    return time_to_text(time_ms)[:16].replace("T", " ") if time_ms else "-"
