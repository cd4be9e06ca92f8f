"""Draws the curves of docs/quality.md from the tables of RESULTS.md: learning over time, and budgets over time."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from markupsafe import Markup

from benchmarks.results import RESULTS
from stream_app.figures.svg import WIDTH, Scale, dot, drawing, element, line, text, y_axis

DRAWINGS = RESULTS.parents[1] / "docs" / "quality"
#: Series -> colour; told apart in light and dark, and by those who see colours differently.
COLOURS = {
    "model": "#0b7fab", "daily forest": "#c75b12", "past push rate": "#7d7d7d",
    "1%": "#0b7fab", "2%": "#2e8b57", "5%": "#c75b12", "10%": "#9b4f96",
}  # fmt: skip
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#666}.grid{stroke:#8884}.axis{stroke:#888}"
    ".curve{fill:none;stroke-width:2}.limit{stroke-width:1;stroke-dasharray:4 3}"
)
LEFT, RIGHT, TOP, BOTTOM = 40, WIDTH - 12, 58, 230


def rows_of(section: str, head: str) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the table of a section whose first line begins so; nothing where there is none."""
    found = re.search(rf"<!-- {section} -->(.*?)<!-- /{section} -->", RESULTS.read_text(), re.DOTALL)
    lines = found.group(1).splitlines() if found else []
    for place, each in enumerate(lines):
        if each.startswith(head):
            cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in lines[place:] if row]
            end = next((n for n, row in enumerate(lines[place:]) if not row.startswith("|")), len(cells))
            return cells[0], cells[2:end]
    return [], []


def value_of(cell: str) -> float | None:
    """The mean of a cell such as `0.82 ± 0.01`."""
    found = cell.split("±")[0].strip()
    return float(found) if re.fullmatch(r"[-+]?\d+(\.\d+)?", found) else None


def curves(
    name: str, title: str, label: str, steps: Sequence[str], series: Mapping[str, Sequence[float | None]],
    low: float, high: float, limits: Mapping[str, float],
) -> Markup:  # fmt: skip
    """One drawing: a line for each series over the steps, and a dashed line at each series' limit."""
    x, y = Scale(0, max(1, len(steps) - 1), LEFT + 12, RIGHT - 12), Scale(low, high, BOTTOM, TOP)
    parts = [element("style", STYLE), y_axis(y, LEFT, RIGHT, label, lambda tick: f"{tick:g}")]
    parts += [text(x(place), BOTTOM + 16, step, "tick", "middle") for place, step in enumerate(steps)]
    parts.append(text((LEFT + RIGHT) / 2, BOTTOM + 34, "simulated days", "", "middle"))
    at = 0.0
    for who, values in series.items():
        colour = COLOURS[who]
        points = [(x(step), y(value), value) for step, value in enumerate(values) if value is not None]
        path = " ".join(f"{across:.1f},{up:.1f}" for across, up, _ in points)
        marks = [dot(across, up, "", f"{who}: {value:g}", 3) for across, up, value in points]
        parts.append(element("polyline", points=path, class_="curve", stroke=colour))
        parts.append(element("g", *marks, fill=colour))
        if who in limits:
            parts.append(element("g", line(LEFT, y(limits[who]), RIGHT, y(limits[who]), "limit"), stroke=colour))
        parts.append(element("rect", x=at, y=4, width=10, height=10, fill=colour) + text(at + 14, 13, who))
        at += 30 + 6.4 * len(who)
    words = "; ".join(
        f"{who}: {', '.join('-' if v is None else f'{v:g}' for v in values)}" for who, values in series.items()
    )
    return drawing(name, title, words, BOTTOM + 42, *parts)


def write(name: str, drawn: Markup) -> None:
    """As a file of its own."""
    DRAWINGS.mkdir(exist_ok=True)
    path: Path = DRAWINGS / f"{name}.svg"
    path.write_text(str(drawn).replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1) + "\n")
    print(path.relative_to(RESULTS.parents[1]))


def main() -> None:
    for fleet in ("default", "change", "tiny", "rare"):
        head, rows = rows_of(f"quality-{fleet}", "| stage |  | 1-4")
        series = {row[1]: [value_of(cell) for cell in row[2:]] for row in rows if row[0] == "preprocess"}
        if series:
            title = f"AUC at stage preprocess over time, fleet {fleet}"
            write(f"learning-{fleet}", curves(f"learning-{fleet}", title, "AUC", head[2:], series, 0.5, 1.0, {}))
        head, rows = rows_of(f"quality-{fleet}", "| budget | 1-4")
        series = {row[0]: [value_of(cell) for cell in row[1:]] for row in rows}
        if series:
            most = max(12.0, *(value for values in series.values() for value in values if value is not None))
            title = f"Pushes flagged over time, in per cent, by budget (dashed), fleet {fleet}"
            limits = {budget: float(budget.rstrip("%")) for budget in series}
            drawn = curves(f"budgets-{fleet}", title, "pushes flagged, %", head[1:], series, 0.0, most, limits)
            write(f"budgets-{fleet}", drawn)


if __name__ == "__main__":
    main()
