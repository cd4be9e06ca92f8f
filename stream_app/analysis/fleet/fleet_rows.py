"""The sums of evicted work as rows, which are stored beside the rows of the detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.errors import StateError

#: How the keys of these rows begin. The detector reads no key that begins like this.
FLEET = b"\x00fleet/"
#: Raised when the form of a row changes so that a reader of the version before would misread it.
VERSION = 1

#: A pipeline's cells by week and model type are rows of their own; all else is in one, or in several where it is long.
_CELL, _HEAD, _PART = "cell", "head", "part"
#: Characters of the JSON in one row: a topic, in which rows may be stored, does not take rows of any size.
PART_CHARACTERS = 500_000
#: A row's kind, week and model type, and its value.
StoredRow = tuple[str, int, str, Any]


def changed_rows(analysis: PipelineAnalysis, parts: int) -> tuple[list[tuple[bytes, bytes | None]], int]:
    """The rows of a pipeline from which something was evicted.

    Parameters
    ----------
    analysis
        Its analysis; its cells count as stored from now on.
    parts
        How many rows beside `head` are stored now of what is no cell.

    Returns
    -------
    list of tuple
        Key and value; the value is None for a row that is no longer there.
    int
        How many such rows there are then.
    """
    name = analysis.pipeline.name
    rows: list[tuple[bytes, bytes | None]] = [
        (_key(_CELL, name, str(week), model_type), None if cell is None else _encoded(cell.to_row()))
        for (week, model_type), cell in analysis.frozen.take_changed()
    ]
    head = analysis.to_row()
    text = orjson.dumps(head, option=orjson.OPT_NON_STR_KEYS).decode()
    texts: list[str] = []
    if len(text) > PART_CHARACTERS:
        texts = [text[first : first + PART_CHARACTERS] for first in range(0, len(text), PART_CHARACTERS)]
        head = {"parts": len(texts)}
    rows.append((_key(_HEAD, name), _encoded(head)))
    rows += [(_key(_PART, name, str(number)), _encoded(part)) for number, part in enumerate(texts)]
    rows += [(_key(_PART, name, str(number)), None) for number in range(len(texts), parts)]
    analysis.is_unsaved = False
    return rows, len(texts)


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


def load(analysis: PipelineAnalysis, stored: list[StoredRow]) -> int:
    """Loads the rows of a pipeline.

    Parameters
    ----------
    analysis
        Its analysis, which is new.
    stored
        As of `by_pipeline`.

    Returns
    -------
    int
        How many rows beside `head` there are of what is no cell.

    Raises
    ------
    StateError
        A row cannot be read.
    """
    parts = {number: value for kind, number, _, value in stored if kind == _PART}
    try:
        for kind, week, model_type, value in stored:
            if kind == _CELL:
                analysis.frozen.load((week, model_type), Cell.of_row(value))
            elif kind == _HEAD:
                analysis.load_row(_joined(parts, value["parts"]) if "parts" in value else value)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        fault = f"{type(error).__name__}: {error}"
        name = analysis.pipeline.name
        raise StateError(f"the analysis of pipeline {name[:80]!r} cannot be read: {fault}") from error
    return len(parts)


def _joined(parts: Mapping[int, str], count: int) -> Any:
    return orjson.loads("".join(parts[number] for number in range(count)))


def _key(kind: str, pipeline: str, week: str = "", model_type: str = "") -> bytes:
    return FLEET + "\x00".join((kind, pipeline, week, model_type)).encode()


def _encoded(value: Any) -> bytes:
    return orjson.dumps([VERSION, value], option=orjson.OPT_NON_STR_KEYS)
