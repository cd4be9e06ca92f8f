"""A fleet written to files: JSON lines, gzipped where the name ends so."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson

from stream_app.simulator.fleet import Fleet
from stream_app.simulator.options import FleetOptions
from stream_app.simulator.truth import FleetSummary, TruthSums

#: Events between two writes of truth and two calls of `progress`.
BATCH = 5000


def write_fleet(
    options: FleetOptions,
    out: str | Path,
    truth: str | Path | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> FleetSummary:
    """Writes a fleet's events in the order of arrival, one a line, and its truth.

    Parameters
    ----------
    options
        The options of the fleet; the same options give the same bytes.
    out
        Where events are written: a path, gzipped when it ends in `.gz`, or `-` for standard output.
    truth
        Where the truth is written, likewise; None: it is not.
    progress
        Called now and then with the number of events so far and the share of the fleet's days passed, from 0 to 1.

    Returns
    -------
    FleetSummary
        The fleet's figures.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    fleet, sums, count = Fleet(options), TruthSums(), 0
    with _open(out) as events_to, _open(truth) as truth_to:
        lines: list[bytes] = []
        for event in fleet.events():
            lines.append(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            if len(lines) == BATCH:
                count += BATCH
                _flush(events_to, lines)
                _write_truth(fleet, sums, truth_to)
                if progress is not None:
                    progress(count, fleet.passed)
        count += len(lines)
        _flush(events_to, lines)
        _write_truth(fleet, sums, truth_to)
    if progress is not None:
        progress(count, 1.0)
    return sums.summary(count)


def _flush(stream: IO[bytes] | None, lines: list[bytes]) -> None:
    if stream is not None:
        stream.write(b"".join(lines))
    lines.clear()


def _write_truth(fleet: Fleet, sums: TruthSums, stream: IO[bytes] | None) -> None:
    for row in fleet.truth():
        sums.add(row)
        if stream is not None:
            stream.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def _open(path: str | Path | None) -> Iterator[IO[bytes] | None]:
    """The stream to write to; gzip without name and time of day, so that the same fleet gives the same bytes."""
    if path is None:
        yield None
    elif str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    else:
        with open(path, "wb") as file:
            if str(path).endswith(".gz"):
                with gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=file, mtime=0) as packed:
                    yield packed  # type: ignore[misc]
            else:
                yield file
