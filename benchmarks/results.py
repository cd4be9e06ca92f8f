"""Writes a benchmark's section of RESULTS.md: machine, date, command, then its lines."""

from __future__ import annotations

import datetime
import os
import platform
import re
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).with_name("RESULTS.md")


def machine() -> str:
    """Processor, cores and Python of this machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        found = re.search(r"model name\s*:\s*(.+)", cpuinfo.read_text())
        model = found.group(1) if found else model
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def publish(name: str, title: str, lines: list[str]) -> None:
    """Prints a section and puts it into RESULTS.md in place of the one of the same name."""
    spec = sys.modules["__main__"].__spec__
    command = " ".join(["python -m", spec.name if spec is not None else Path(sys.argv[0]).stem, *sys.argv[1:]])
    today = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    section = "\n".join(
        [f"<!-- {name} -->", f"## {title}", "", f"`{command}`, {today}, {machine()}", "", *lines, f"<!-- /{name} -->"]
    )
    print(section)
    text = RESULTS.read_text() if RESULTS.exists() else "# Results\n\nWhat was seen, also where it falls short.\n"
    marked = re.compile(rf"<!-- {name} -->.*?<!-- /{name} -->", re.DOTALL)
    text = marked.sub(lambda _: section, text) if marked.search(text) else f"{text.rstrip()}\n\n{section}\n"
    RESULTS.write_text(text)


def median(values: Sequence[float], form: str = ",.0f") -> str:
    """The median with the spread, if there is more than one value."""
    middle = format(statistics.median(values), form)
    if len(values) == 1:
        return middle
    return f"{middle} ({format(min(values), form)} to {format(max(values), form)})"


def times(runs: int) -> str:
    """How often something was run, as the lines say it."""
    return "one run" if runs == 1 else f"medians of {runs} runs with the spread"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *("| " + " | ".join(row) + " |" for row in rows),
    ]
