"""docs/analysis.md defines every figure that there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.contributions import PushCost, add_graphlet, add_pair, add_push, add_run
from stream_app.analysis.fleet.figures import totals_of
from stream_app.analysis.fleet.values import OperatorFigures, PipelineFigures, Totals, WeekFigures
from stream_app.core.outputs import PUSHED
from tests.analysis.fleet.test_order import graphlet

PAGE = (Path(__file__).parents[3] / "docs" / "analysis.md").read_text().split("## Redundant work")[0]
#: What stands between backticks, and each part of a name with dots.
NAMES = {part for name in re.findall(r"`([^`\n]+)`", PAGE) for part in (name, *name.split("."))}
#: What names or holds figures and is none.
NO_FIGURES = {"pipeline", "owner", "operator", "totals", "weeks", "use", "quantiles", "start", "change"}


@pytest.mark.parametrize("kind", [Totals, PipelineFigures, WeekFigures, OperatorFigures])
def test_every_figure_is_defined(kind: type) -> None:
    """By its name in the document."""
    assert {field.name for field in fields(kind)} - NO_FIGURES - NAMES == set()


def test_every_measure_and_use_is_defined() -> None:
    """Those that any contribution has."""
    cell = Cell()
    facts = graphlet("t", 10, 20)
    whole: dict[str, Any] = {"node_ms": (("train", 1),), "data_ms": 5, "inputs": ("a",), "analysed": True}
    facts = facts._replace(**whole)
    add_graphlet(cell, facts, 1)
    add_pair(cell, facts, facts, 1)
    add_push(cell, PushCost("t", "", 10, 20, 1, 0, 1, 10), 1)
    add_run(cell, 1, 1)
    totals = totals_of(cell, priced=False)

    assert facts.outcome == PUSHED
    assert {name.replace(":train", ":GROUP") for name in totals.quantiles} - NAMES == set()
    assert set(totals.use) - NAMES == set()


def test_links_lead_to_headers() -> None:
    """Of this page and of the others."""
    for page, anchor in re.findall(r"\]\(([^)#]*)#([^)]+)\)", PAGE):
        text = (Path(__file__).parents[3] / "docs" / (page or "analysis.md")).read_text()
        headers = {
            re.sub(r"[^a-z0-9 -]", "", header.lower()).replace(" ", "-")
            for header in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
        }
        assert anchor in headers, (page, anchor)
