"""A simulator of pipelines, for tests, demonstrations and benchmarks.

docs/simulator.md lists its assumptions.
"""

from stream_app.simulator.fleet import Fleet, Prune
from stream_app.simulator.options import FleetOptions
from stream_app.simulator.truth import FleetSummary, best_balanced_accuracy, summarise
from stream_app.simulator.write import write_fleet

__all__ = [
    "Fleet",
    "FleetOptions",
    "FleetSummary",
    "Prune",
    "best_balanced_accuracy",
    "summarise",
    "write_fleet",
]
