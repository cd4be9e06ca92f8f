"""Upgrades rows of earlier versions to the form of this version. Pure: the same row gives the same result."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stream_app.core.ids import graphlet_id, old_graphlet_id, run_graphlet_id


class Row(NamedTuple):
    """A row as it was read, with its version."""

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


def renamed(rows: Iterable[Row]) -> dict[str, str]:
    """Old id to new id of the graphlets in rows of version 1, where the two differ; `rows` are not upgraded yet."""
    found = {}
    for row in rows:
        if row.version != 1 or row.kind not in ("graphlet", "run"):
            continue
        if row.kind == "graphlet":
            old, new = old_graphlet_id(row.pipeline, row.name, None), graphlet_id(row.pipeline, row.name)
        else:
            old, new = old_graphlet_id(row.pipeline, None, row.name), run_graphlet_id(row.pipeline, row.name)
        if old != new:
            found[old] = new
    return found


def renamed_entries(history: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A history's row with the graphlets' new ids."""
    entries = {zlib.crc32(old.encode()): zlib.crc32(new.encode()) for old, new in names.items()}
    return {**history, "subjects": [entries.get(entry, entry) for entry in history["subjects"]]}


def _from_1(row: Row) -> Any:
    """Version 2 added the types of artifacts, and of executions the last report, the times of edges and attempts.

    Version 1 did not know them: edges count from the execution's first event, the last report is the latest time
    known, and an execution has one attempt.
    """
    if row.kind == "artifact":
        return [*row.value, "", 0]
    if row.kind == "execution":
        first_ms, running_ms, end_ms = row.value[5:8]
        inputs, outputs = row.value[10:12]
        times = [time_ms for time_ms in (first_ms, running_ms, end_ms) if time_ms is not None]
        return [*row.value, max(times), [first_ms] * len(inputs), [first_ms] * len(outputs), None]
    return row.value
