"""Everything that is known of a fleet, as one document: what `analyze --json` prints and `/v1/fleet` answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.fleet.execution_facts import PriceOf
from stream_app.analysis.fleet.figures import FleetFigures, PipelineFigures, fleet_figures, pipeline_figures
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.analysis.fleet.redundant import Redundant, redundant_work
from stream_app.analysis.rates import Rates
from stream_app.core.state.entities import Execution
from stream_app.core.units import HOUR_MS

_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class FleetDocument:
    """The figures of a fleet, of its pipelines by their compute, and its redundant work."""

    figures: FleetFigures
    pipelines: list[PipelineFigures]
    redundant: Redundant


def price_of(rates: Rates) -> PriceOf | None:
    """Prices executions by a rate card.

    Parameters
    ----------
    rates
        The rate card.

    Returns
    -------
    PriceOf or None
        What an execution costs, in millionths of the currency, rounded; None for a rate card without prices.
    """
    if not rates.given:
        return None

    def priced(pipeline: str, execution: Execution, node_ms: int) -> int:
        return round(node_ms * (rates.price(pipeline, execution) or 0.0) * _MILLION / HOUR_MS)

    return priced


def fleet_document(pipelines: Mapping[str, PipelineAnalysis], attribution: Attribution) -> FleetDocument:
    """Makes the document of a fleet.

    Parameters
    ----------
    pipelines
        The analysis of each pipeline, by name, up to date.
    attribution
        Owners and prices.

    Returns
    -------
    FleetDocument
        The document.
    """
    rates = attribution.rates
    found = [
        pipeline_figures(analysis, attribution.owner(name), priced=rates.given) for name, analysis in pipelines.items()
    ]
    found.sort(key=lambda each: (-(each.totals.node_seconds or 0.0), each.pipeline))
    return FleetDocument(
        fleet_figures(pipelines, attribution.owner, rates.currency if rates.given else None),
        found,
        redundant_work(pipelines, priced=rates.given),
    )
