"""A simulator of pipelines, for tests, demonstrations and benchmarks.

docs/simulator.md says what it assumes.
"""

from stream_app.fleet.fleet import Fleet, Prune
from stream_app.fleet.options import FleetOptions
from stream_app.fleet.truth import FleetSummary, best_balanced_accuracy, summarise
from stream_app.fleet.write import write_fleet

__all__ = [
    "Fleet",
    "FleetOptions",
    "FleetSummary",
    "Prune",
    "best_balanced_accuracy",
    "summarise",
    "write_fleet",
]
