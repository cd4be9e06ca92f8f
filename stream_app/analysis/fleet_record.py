"""A pipeline's snapshot as a JSON record, which others make the same figures of.

A reader ignores fields that it does not know. `VERSION` is raised when a reader of the version before would misread a
record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import orjson

from stream_app.analysis.findings import Act, ActKind, Effect, Finding, Kind
from stream_app.analysis.fleet.cells import Cell, Key
from stream_app.analysis.fleet.figures import WEEKS_MAX
from stream_app.analysis.fleet.frozen_cells import OLDER
from stream_app.analysis.fleet.order import Since
from stream_app.analysis.fleet.sketch import ZERO, bucket_of
from stream_app.analysis.fleet.snapshot import PipelineSnapshot
from stream_app.analysis.fleet_snapshots import KnownPipeline
from stream_app.analysis.rates import week_of_time
from stream_app.analysis.redundancy import Figures, Group, Row, how_to_get
from stream_app.times import LATEST_MS

VERSION = 1
#: Bytes of the largest record: below Kafka's default of the largest message, so that it can be copied to any topic.
MAX_BYTES = 1_000_000
#: The largest amount, and the bucket of the largest value, that are taken for true.
_AMOUNT_MAX = 1 << 62
_BUCKET_MAX = bucket_of(_AMOUNT_MAX)
_KINDS, _ACTS = frozenset(map(str, Kind)), frozenset(map(str, ActKind))

T = TypeVar("T")


class UnreadableRecordError(Exception):
    """A record that cannot be read; the message says why, in one line."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a record comes from.

    Attributes
    ----------
    partition
        The partition of the topic of events that the pipeline belongs to.
    epoch
        Rises each time that another process takes the partition over.
    position
        The offset of the next event: what is before it is in the figures.
    as_of_ms
        The log time of the event before, in ms since 1970 UTC.
    """

    partition: int
    epoch: int
    position: int
    as_of_ms: int

    @property
    def rank(self) -> tuple[int, int]:
        """Of two records of a pipeline the one with the higher rank counts."""
        return self.epoch, self.position


@dataclass(frozen=True, slots=True)
class FleetRecord:
    """A pipeline as it was published.

    Attributes
    ----------
    known
        What is known of the pipeline.
    origin
        Where that comes from.
    currency
        Of the amounts of money in it; None without a rate card.
    omitted
        What was left out because the record would have been too large: `weeks`, `quantiles`, `redundant`, `figures`.
    """

    known: KnownPipeline
    origin: Origin
    currency: str | None
    omitted: tuple[str, ...] = ()


def encode(record: FleetRecord, max_bytes: int = MAX_BYTES) -> tuple[bytes, tuple[str, ...]]:
    """The JSON of a record.

    Parameters
    ----------
    record
        A record with everything in it.
    max_bytes
        How large it may be.

    Returns
    -------
    bytes
        The JSON.
    tuple of str
        What was left out so that it fits; see `FleetRecord.omitted`. Weeks and quantiles are left out first, from which
        no total is made.
    """
    snapshot = record.known.snapshot
    # Weeks that no figure lists any more are one, as those before them are in the analysis.
    listed = _folded(snapshot, week_of_time(snapshot.now_ms) - WEEKS_MAX)
    written, omitted = _json(record, listed, ()), []
    for part, reduce in _REDUCTIONS.items():
        if len(written) <= max_bytes:
            break
        omitted.append(part)
        listed = reduce(listed)
        written = _json(record, listed, omitted)
    return written, tuple(omitted)


def _json(record: FleetRecord, snapshot: PipelineSnapshot, omitted: Iterable[str]) -> bytes:
    document = {
        "version": VERSION,
        "pipeline": snapshot.name,
        **asdict(record.origin),
        "owner": record.known.owner,
        "labels": snapshot.labels,
        "currency": record.currency,
        "now_ms": snapshot.now_ms,
        "first_ms": snapshot.first_ms,
        "last_ms": snapshot.last_ms,
        "wasted_ms": snapshot.wasted_ms,
        "since": snapshot.since,
        "cells": [
            {"week": week, "model_type": model_type, "sums": cell.to_row()}
            for (week, model_type), cell in snapshot.cells.items()
        ],
        "redundant": snapshot.redundancy,
        "findings": record.known.findings,
        "omitted": list(omitted),
    }
    return orjson.dumps(document)


def _folded(snapshot: PipelineSnapshot, last_week: int) -> PipelineSnapshot:
    """The snapshot with its weeks up to one as one."""
    cells: dict[Key, Cell] = {}
    for (week, model_type), cell in snapshot.cells.items():
        cells.setdefault((OLDER if week <= last_week else week, model_type), Cell()).merge(cell)
    return replace(snapshot, cells=cells)


def _without_quantiles(snapshot: PipelineSnapshot) -> PipelineSnapshot:
    return replace(snapshot, cells={key: Cell(cell.counters) for key, cell in snapshot.cells.items()})


#: What is left out of a record that is too large, in this order.
_REDUCTIONS: Mapping[str, Callable[[PipelineSnapshot], PipelineSnapshot]] = {
    "weeks": lambda snapshot: _folded(snapshot, week_of_time(LATEST_MS)),
    "quantiles": _without_quantiles,
    "redundant": lambda snapshot: replace(snapshot, redundancy=Figures((), ())),
    "figures": lambda snapshot: replace(snapshot, cells={}, labels={}),
}


def decode(written: bytes) -> FleetRecord:
    """Reads a record.

    Parameters
    ----------
    written
        Its JSON.

    Returns
    -------
    FleetRecord
        The record; figures can be made of whatever is returned.

    Raises
    ------
    UnreadableRecordError
        It is no such record, or of a later version.
    """
    try:
        document = orjson.loads(written)
        version = _whole(document["version"])
    except (orjson.JSONDecodeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableRecordError(f"it is no snapshot of a pipeline: {_fault(error)}") from None
    if version > VERSION:
        raise UnreadableRecordError(f"it has version {version}, this program reads up to {VERSION}")
    try:
        return _record(document)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnreadableRecordError(f"it cannot be read: {_fault(error)}") from None


def _fault(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:200]


def _record(document: Mapping[str, Any]) -> FleetRecord:
    redundant = document["redundant"]
    snapshot = PipelineSnapshot(
        name=_text(document["pipeline"]),
        now_ms=_time(document["now_ms"]),
        cells={(_week(each["week"]), _text(each["model_type"])): _cell(each["sums"]) for each in document["cells"]},
        first_ms=_optional(_time, document["first_ms"]),
        last_ms=_optional(_time, document["last_ms"]),
        since=Since(*(_amount(document["since"][name]) for name in ("node_ms", "micros", "tries"))),
        redundancy=Figures(tuple(map(_row, redundant["rows"])), tuple(map(_group, redundant["groups"]))),
        labels={_text(name): (_whole(at), _text(value)) for name, (at, value) in document["labels"].items()},
        wasted_ms=_amount(document["wasted_ms"]),
    )
    findings = tuple(_finding(each, snapshot.name) for each in document["findings"] if _is_known(each))
    return FleetRecord(
        KnownPipeline(snapshot, findings, _text(document["owner"])),
        Origin(
            partition=_amount(document["partition"]),
            epoch=_amount(document["epoch"]),
            position=_amount(document["position"]),
            as_of_ms=_time(document["as_of_ms"]),
        ),
        _optional(_text, document["currency"]),
        tuple(map(_text, document["omitted"])),
    )


def _is_known(finding: Mapping[str, Any]) -> bool:
    """Whether this program knows the rule of a finding and its act; a later release may have more."""
    return finding["kind"] in _KINDS and finding["act"]["kind"] in _ACTS


def _cell(row: Any) -> Cell:
    """A cell of which every figure can be made: all amounts in it are positive."""
    counters, measures = row
    cell = Cell(
        {_text(name): _positive(amount) for name, amount in counters.items()},
        {
            _text(name): {_bucket(bucket): _positive(count) for bucket, count in buckets}
            for name, buckets in measures.items()
        },
    )
    if not all(cell.measures.values()):
        raise ValueError("a measure has no values")
    return cell


def _row(row: Mapping[str, Any]) -> Row:
    kind, group = _text(row["kind"]), _text(row["group"])
    how_to_get(kind, group)  # raises KeyError for what no remedy is known
    names = ("executions", "node_ms", "micros", "unpriced_ms", "assumed_ms")
    return Row(kind, _text(row["type"]), group, *(_amount(row[name]) for name in names))


def _group(group: Mapping[str, Any]) -> Group:
    share = float(group["share"])
    if not 0 <= share <= 1:
        raise ValueError(f"a share of {share}")
    return Group(
        _row(group["row"]),
        _optional(_text, group["code"]),
        _optional(_text, group["original"]),
        share,
        tuple(map(_text, group["examples"])),
    )


def _finding(row: Mapping[str, Any], pipeline: str) -> Finding:
    act, effect = row["act"], row["effect"]
    amounts = ("node_ms", "micros", "month_node_ms", "counted", "counted_node_ms", "counted_micros")
    return Finding(
        id=_text(row["id"]),
        revision=_amount(row["revision"]),
        kind=Kind(row["kind"]),
        pipeline=pipeline,
        since_ms=_time(row["since_ms"]),
        last_ms=_time(row["last_ms"]),
        trainings=_amount(row["trainings"]),
        count=_amount(row["count"]),
        graphlets=tuple(map(_text, row["graphlets"])),
        **{name: _amount(row[name]) for name in amounts},
        act=Act(ActKind(act["kind"]), _optional(_amount, act["parameter"])),
        effect=Effect(
            *(_amount(effect[name]) for name in ("skipped", "node_ms", "micros", "month_node_ms")),
            *(_amount(effect[name]) for name in ("pushes", "lost", "delayed")),
            *(_optional(_amount, effect[name]) for name in ("delay_median_ms", "delay_worst_ms")),
        ),
    )


def _optional(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{str(value)[:40]!r} is no whole number")
    return value


def _within(value: Any, least: int, most: int) -> int:
    if not least <= _whole(value) <= most:
        raise ValueError(f"{value} is not between {least} and {most}")
    return int(value)


def _amount(value: Any) -> int:
    return _within(value, 0, _AMOUNT_MAX)


def _positive(value: Any) -> int:
    return _within(value, 1, _AMOUNT_MAX)


def _time(value: Any) -> int:
    return _within(value, 0, LATEST_MS - 1)


def _week(value: Any) -> int:
    return _within(value, 0, week_of_time(LATEST_MS - 1))


def _bucket(value: Any) -> int:
    return _within(value, ZERO, _BUCKET_MAX)
