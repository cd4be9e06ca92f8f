"""Redundant work: exact repeats, and overlap of rolling windows, found as executions come (docs/analysis.md)."""

from stream_app.analysis.redundancy.figures import (
    CACHING,
    DATA,
    EXACT,
    INCREMENTAL,
    TRAINING,
    WARM_START,
    Figures,
    Group,
    Row,
    how_to_get,
)
from stream_app.analysis.redundancy.index import RedundancyIndex
from stream_app.analysis.redundancy.work import Work, affected_by, work_of, work_of_row, work_to_row

__all__ = [
    "CACHING",
    "DATA",
    "EXACT",
    "INCREMENTAL",
    "TRAINING",
    "WARM_START",
    "Figures",
    "Group",
    "RedundancyIndex",
    "Row",
    "Work",
    "affected_by",
    "how_to_get",
    "work_of",
    "work_of_row",
    "work_to_row",
]
