"""Times of past pushes, which the registry does not keep: in a tag of a model version, or in a CSV file."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from stream_app.errors import OptionsError
from stream_app.times import EARLIEST_MS, LATEST_MS, foreign_to_time

COLUMNS = ("model", "version", "pushed_at")
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = "a time in 1990 or after, such as 2026-03-01T12:34:56Z, or seconds since 1970"
#: Faults of a file that one message lists.
_FAULTS = 5


def time_of(text: str) -> int | None:
    """Reads the time of a push.

    Parameters
    ----------
    text
        RFC 3339 (without an offset: UTC), or seconds or milliseconds since 1970.

    Returns
    -------
    int or None
        The time in ms since 1970 UTC; None when it is not a time from 1990 to 9998.

    Examples
    --------
    >>> time_of("2026-03-01T12:34:56Z"), time_of("1772368496"), time_of("yesterday")
    (1772368496000, 1772368496000, None)
    """
    stripped = text.strip()
    try:
        found = foreign_to_time(
            f"{stripped}T00:00:00" if len(stripped) == len("2026-03-01") and "-" in text else stripped
        )
    except ValueError:
        return None
    return found if EARLIEST_MS <= found < LATEST_MS else None


def read_promotions(path: Path) -> dict[tuple[str, str], int]:
    """Reads a CSV file of past pushes.

    Parameters
    ----------
    path
        The file. Its first line names the columns `model`, `version` and `pushed_at`, in any order; others are ignored.

    Returns
    -------
    dict of (str, str) to int
        Model and version -> the time of its first push, in ms since 1970 UTC.

    Raises
    ------
    OptionsError
        The file cannot be read, or some of its lines are no pushes; the message names the lines.
    """
    found: dict[tuple[str, str], int] = {}
    faults: list[str] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            missing = [each for each in COLUMNS if each not in (reader.fieldnames or ())]
            if missing:
                raise OptionsError(
                    f"mlflow.promotions: {path}: line 1: no column {', '.join(missing)}; expected {','.join(COLUMNS)}"
                )
            for row in reader:
                model, version, text = ((row[each] or "").strip() for each in COLUMNS)
                time_ms = time_of(text)
                if not model or not version:
                    faults.append(f"line {reader.line_num}: expected a model and a version")
                elif time_ms is None:
                    faults.append(f"line {reader.line_num}: pushed_at: expected {_TIME}, got {text[:40]!r}")
                else:
                    found[model, version] = min(time_ms, found.get((model, version), time_ms))
    except OSError as error:
        raise OptionsError(f"mlflow.promotions: cannot read {path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise OptionsError(f"mlflow.promotions: {path}: is not CSV in UTF-8: {error}") from None
    if faults:
        more = f"; and {len(faults) - _FAULTS} more" if len(faults) > _FAULTS else ""
        raise OptionsError(f"mlflow.promotions: {path}: {'; '.join(faults[:_FAULTS])}{more}")
    return found
