"""The sums of evicted work as rows, which are stored beside the rows of the detector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.errors import StateError

#: How the keys of these rows begin. The detector reads no key that begins like this.
FLEET = b"\x00fleet/"
#: Raised when the form of a row changes so that a reader of the version before would misread it.
VERSION = 1

#: A pipeline's cells by week and model type are rows of their own; all else is in one.
_CELL, _HEAD = "cell", "head"
#: A row's kind, week and model type, and its value.
StoredRow = tuple[str, int, str, Any]


def changed_rows(analysis: PipelineAnalysis) -> Iterator[tuple[bytes, bytes | None]]:
    """The rows of a pipeline from which something was evicted.

    Parameters
    ----------
    analysis
        Its analysis; its cells count as stored from now on.

    Yields
    ------
    tuple
        Key and value; the value is None for a row that is no longer there.
    """
    name = analysis.pipeline.name
    for (week, model_type), cell in analysis.frozen.take_changed():
        yield _key(_CELL, name, str(week), model_type), None if cell is None else _encoded(cell.to_row())
    yield _key(_HEAD, name), _encoded(analysis.to_row())
    analysis.is_unsaved = False


def by_pipeline(rows: Mapping[bytes, bytes]) -> dict[str, list[StoredRow]]:
    """The rows of each pipeline, decoded.

    Parameters
    ----------
    rows
        Rows by key; those of others are left alone.

    Returns
    -------
    dict of str to list of StoredRow
        By the name of the pipeline.

    Raises
    ------
    StateError
        A row has a later version or cannot be read.
    """
    found: dict[str, list[StoredRow]] = {}
    for key, row in rows.items():
        if not key.startswith(FLEET):
            continue
        try:
            kind, pipeline, week, model_type = key[len(FLEET) :].decode().split("\x00", 3)
            version, value = orjson.loads(row)
            number = int(week or 0)
        except (ValueError, TypeError) as error:
            raise StateError(f"row {key[:80]!r} of the analysis cannot be read: {error}") from None
        if version != VERSION:
            raise StateError(f"row {key[:80]!r} of the analysis has version {version}, not {VERSION}")
        found.setdefault(pipeline, []).append((kind, number, model_type, value))
    return found


def load(analysis: PipelineAnalysis, stored: list[StoredRow]) -> None:
    """Loads the rows of a pipeline.

    Parameters
    ----------
    analysis
        Its analysis, which is new.
    stored
        As of `by_pipeline`.

    Raises
    ------
    StateError
        A row cannot be read.
    """
    try:
        for kind, week, model_type, value in stored:
            if kind == _CELL:
                analysis.frozen.load((week, model_type), Cell.of_row(value))
            elif kind == _HEAD:
                analysis.load_row(value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        fault = f"{type(error).__name__}: {error}"
        name = analysis.pipeline.name
        raise StateError(f"the analysis of pipeline {name[:80]!r} cannot be read: {fault}") from error


def _key(kind: str, pipeline: str, week: str = "", model_type: str = "") -> bytes:
    return FLEET + "\x00".join((kind, pipeline, week, model_type)).encode()


def _encoded(value: Any) -> bytes:
    return orjson.dumps([VERSION, value], option=orjson.OPT_NON_STR_KEYS)
