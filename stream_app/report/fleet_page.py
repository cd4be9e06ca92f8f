"""The report of a fleet as one HTML file: findings, figures and redundant work."""

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

from stream_app.analysis.fleet_document import FleetDocument
from stream_app.analysis.rates import Rates
from stream_app.report.page import environment_of, write_text


def write_fleet_page(path: str, found: FleetDocument) -> None:
    """Writes the report to a file.

    Parameters
    ----------
    path
        Of the file.
    found
        The figures.

    Raises
    ------
    OptionsError
        It cannot be written.
    """
    write_text(path, fleet_page(found))


def fleet_page(found: FleetDocument) -> str:
    """The report's HTML; the same figures give the same text."""
    currency = found.figures.currency
    # What the findings are shown with is that of the report of a replay.
    shown = SimpleNamespace(findings=found.findings, money=currency, rates=Rates(currency=currency or ""))
    template = environment_of(shown).get_template("fleet_page.html.j2")
    return template.render(found=shown, fleet=found, version=importlib.metadata.version("stream-app"))
