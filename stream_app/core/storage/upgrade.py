"""Rows of earlier versions, as this version would have written them. Pure: the same row, the same result."""

from __future__ import annotations

from typing import Any, NamedTuple

from stream_app.core.events import COMPLETE, RUNNING


class Row(NamedTuple):
    """A row as it was read."""

    kind: str
    pipeline: str
    name: str
    version: int
    value: Any


def upgrade(row: Row) -> Row:
    """The row in the present version."""
    if row.version == 1:
        return row._replace(version=2, value=_from_1(row))
    return row


def _from_1(row: Row) -> Any:
    """Version 2 added the types of artifacts, and of executions the last report, the times of edges and attempts.

    Version 1 did not know them: edges count from the execution's first event, the last report is the latest time
    known, and an execution has one attempt.
    """
    if row.kind == "artifact":
        return [*row.value, "", 0]
    if row.kind == "execution":
        first_ms, running_ms, end_ms, end_state = row.value[5:9]
        inputs, outputs = row.value[10:12]
        times = [time_ms for time_ms in (first_ms, running_ms, end_ms) if time_ms is not None]
        reports = [] if running_ms is None else [[running_ms, RUNNING]]
        if end_ms is not None:
            reports.append([end_ms, end_state or COMPLETE])
        return [*row.value, max(times), [first_ms] * len(inputs), [first_ms] * len(outputs), sorted(reports)]
    return row.value
