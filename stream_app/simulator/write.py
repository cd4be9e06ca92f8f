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
from stream_app.simulator.truth import FleetSummary, TruthTally

#: Events between two writes of truth and two words of progress.
BATCH = 5000


def write_fleet(
    options: FleetOptions,
    out: str | Path,
    truth: str | Path | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> FleetSummary:
    """Write a fleet's events in the order of arrival, one a line, and its truth beside them.

    Args:
        options: what fleet it is; the same options give the same bytes.
        out: where the events go: a path, gzipped when it ends in `.gz`, or `-` for standard output.
        truth: where the truth goes, likewise.
        progress: told, now and then, the events so far and the share of the fleet's days passed (0 to 1).

    Returns the fleet's figures. Raises OSError where a file cannot be written.
    """
    fleet, tally, count = Fleet(options), TruthTally(), 0
    with _open(out) as events_to, _open(truth) as truth_to:
        lines: list[bytes] = []
        for event in fleet.events():
            lines.append(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))
            if len(lines) == BATCH:
                count += BATCH
                _flush(events_to, lines)
                _tell_truth(fleet, tally, truth_to)
                if progress is not None:
                    progress(count, fleet.passed)
        count += len(lines)
        _flush(events_to, lines)
        _tell_truth(fleet, tally, truth_to)
    if progress is not None:
        progress(count, 1.0)
    return tally.summary(count)


def _flush(stream: IO[bytes] | None, lines: list[bytes]) -> None:
    if stream is not None:
        stream.write(b"".join(lines))
    lines.clear()


def _tell_truth(fleet: Fleet, tally: TruthTally, stream: IO[bytes] | None) -> None:
    for row in fleet.truth():
        tally.add(row)
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
