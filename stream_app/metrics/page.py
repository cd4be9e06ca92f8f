"""Writes the tables of docs/metrics.md: `python -m stream_app.metrics.page docs/metrics.md`."""

from __future__ import annotations

import sys
from pathlib import Path

from stream_app.metrics.catalogue import AREAS, CATALOGUE
from stream_app.metrics.metric import Label, Metric

_BEGIN = "<!-- The tables below are made from stream_app/metrics/catalogue.py by `make docs`. -->\n"
_END = "<!-- End of the tables. -->\n"


def update(page: str) -> str:
    """Replace the tables in a page by those of the catalogue.

    Parameters
    ----------
    page
        The page, in Markdown, with the marks around the tables.

    Returns
    -------
    str
    """
    before, _, rest = page.partition(_BEGIN)
    return f"{before}{_BEGIN}\n{tables()}\n{_END}{rest.partition(_END)[2]}"


def tables() -> str:
    """Return a table for each area and one of the labels, in Markdown."""
    parts = []
    for area, metrics in AREAS.items():
        parts += [f"### {area}\n", *_header("metric", "type", "unit", "exported by", "measures")]
        parts += [*map(_row, metrics), ""]
    parts += ["### Values of labels\n", *_header("label", "of", "values"), *_label_rows()]
    return "\n".join(parts) + "\n"


def _header(*names: str) -> list[str]:
    return [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]


def _row(metric: Metric) -> str:
    labels = f" ({', '.join(f'`{name}`' for name in metric.label_names)})" if metric.labels else ""
    unit = metric.unit.replace("_", "-")
    return f"| `{metric.full_name}`{labels} | {metric.type} | {unit} | {', '.join(metric.processes)} | {metric.help} |"


def _label_rows() -> list[str]:
    users: dict[Label, list[str]] = {}
    for metric in CATALOGUE.values():
        for label in metric.labels:
            users.setdefault(label, []).append(f"`{metric.name}`")
    rows = []
    for label, names in sorted(users.items(), key=lambda item: item[0].name):
        values = ", ".join(f"`{value}`" for value in label.values)
        rows.append(f"| `{label.name}` | {', '.join(names)} | {values or label.meaning} |")
    return rows


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(update(path.read_text()))
