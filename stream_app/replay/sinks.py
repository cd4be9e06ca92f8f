"""The files that a replay writes: JSON lines, the same bytes for the same input.

Verdicts, examples, alerts and dead letters are written at once. Graphlets and outcomes are sorted by graphlet, so they
are kept in a temporary file until the end.
"""

from __future__ import annotations

import os
import sys
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from types import TracebackType
from typing import IO, Any

import orjson

from stream_app.alerts.finding_tracking import FindingTracker, LookAt
from stream_app.alerts.records import AlertRecord, cloud_event
from stream_app.alerts.tracking import FlagTracker
from stream_app.core.outputs import Example, Verdict
from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError
from stream_app.sources import DeadLetter
from stream_app.wire import example_to_dict, graphlet_to_dict, outcome_of, verdict_to_dict

STDOUT = "-"
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Sinks:
    """Paths, or `-` for standard output; None: not written."""

    verdicts: str | None = None
    graphlets: str | None = None
    outcomes: str | None = None
    examples: str | None = None
    dead_letters: str | None = None
    alerts: str | None = None

    def paths(self) -> dict[str, str]:
        """The given paths by the names of their flags."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name.replace("_", "-"): path for name, path in given.items() if path is not None}


class SinkWriter:
    """The open files of one replay; a context manager.

    Parameters
    ----------
    sinks
        The paths.
    inputs
        Files that are read, and must not be written.

    Raises
    ------
    OptionsError
        A path cannot be written, is an input, or is named twice.
    """

    def __init__(self, sinks: Sinks, inputs: Sequence[str] = ()) -> None:
        check_outputs(sinks.paths(), inputs)
        self._stack = ExitStack()
        self._verdicts = self._open(sinks.verdicts)
        self._examples = self._open(sinks.examples)
        self._dead_letters = self._open(sinks.dead_letters)
        self._alerts = self._open(sinks.alerts)
        self._flags = FlagTracker()
        self._findings = FindingTracker(look_ms=DAY_MS)
        self._graphlets = self._sorted(sinks.graphlets)
        self._outcomes = self._sorted(sinks.outcomes)

    def __enter__(self) -> SinkWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        with self._stack:
            if kind is None:
                for waiting in (self._graphlets, self._outcomes):
                    if waiting is not None:
                        waiting.write()

    @property
    def wants_graphlets(self) -> bool:
        """Whether `graphlet` writes anything."""
        return self._graphlets is not None or self._outcomes is not None

    def verdict(self, verdict: Verdict) -> None:
        """Writes a revision of a verdict, and the change of a flag that it makes."""
        if self._verdicts is not None:
            self._verdicts.write(_line(verdict_to_dict(verdict)))
        if self._alerts is not None:
            self._alert(self._flags.verdict(verdict, verdict.time_ms))  # a recording is as if it were live

    def example(self, example: Example) -> None:
        """Writes a record of the examples log, and the change of a flag that it makes."""
        if self._examples is not None:
            self._examples.write(_line(example_to_dict(example)))
        if self._alerts is not None:
            self._alert(self._flags.example(example, example.announced_ms))

    def clocks(self, clocks: Mapping[str, int]) -> None:
        """Writes the steps of ladders whose time has come.

        Parameters
        ----------
        clocks
            Pipeline -> its clock, in ms since 1970 UTC.
        """
        if self._alerts is not None:
            for pipeline, now_ms in clocks.items():
                for record in self._flags.tick({pipeline: now_ms}, now_ms):
                    self._alert(record)

    @property
    def wants_findings(self) -> bool:
        """Whether `finding` writes anything."""
        return self._alerts is not None

    def finding(self, pipeline: str, now_ms: int, look_at: LookAt) -> None:
        """Looks at a pipeline where that is due, and writes the changes of its findings.

        Parameters
        ----------
        pipeline
            Its name.
        now_ms
            Its clock, in ms since 1970 UTC.
        look_at
            Looks at it.
        """
        for record in self._findings.look(pipeline, now_ms, look_at):
            self._alert(record)

    def dead_letter(self, letter: DeadLetter) -> None:
        """Writes a message that is not an event."""
        if self._dead_letters is not None:
            self._dead_letters.write(_line(letter.to_dict()))

    def graphlet(self, record: Mapping[str, Any]) -> None:
        """Keeps the final record of a graphlet, as the detector describes it, to be written at the end."""
        name = record["graphlet"]
        if self._graphlets is not None:
            self._graphlets.add(name, _line(graphlet_to_dict(record)))
        outcome = outcome_of(record) if self._outcomes is not None else None
        if self._outcomes is not None and outcome is not None:
            self._outcomes.add(name, _line(outcome))

    def _alert(self, record: AlertRecord | None) -> None:
        if self._alerts is not None and record is not None:
            self._alerts.write(_line(cloud_event(record)))

    def _open(self, path: str | None) -> IO[bytes] | None:
        if path is None:
            return None
        if path == STDOUT:
            self._stack.callback(sys.stdout.buffer.flush)
            return sys.stdout.buffer
        try:
            return self._stack.enter_context(open(path, "wb", buffering=_BUFFER))
        except OSError as error:
            raise OptionsError(f"{path}: cannot be written: {(error.strerror or 'no reason given').lower()}") from None

    def _sorted(self, path: str | None) -> _Sorted | None:
        stream = self._open(path)
        return _Sorted(stream, self._stack.enter_context(tempfile.TemporaryFile())) if stream is not None else None


class _Sorted:
    """Lines that are written in the order of their keys; only keys and offsets are kept in memory."""

    def __init__(self, stream: IO[bytes], waiting: IO[bytes]) -> None:
        self._stream, self._waiting = stream, waiting
        self._keys: list[str] = []
        #: The offset of each line, and the end of the last.
        self._offsets = array("Q", [0])

    def add(self, key: str, line: bytes) -> None:
        self._keys.append(key)
        self._waiting.write(line)
        self._offsets.append(self._offsets[-1] + len(line))

    def write(self) -> None:
        for index in sorted(range(len(self._keys)), key=self._keys.__getitem__):
            offset = self._offsets[index]
            self._waiting.seek(offset)
            self._stream.write(self._waiting.read(self._offsets[index + 1] - offset))


def check_outputs(paths: Mapping[str, str], inputs: Sequence[str]) -> None:
    """Checks that no output is an input, and that no two outputs are one file.

    Parameters
    ----------
    paths
        The outputs by the names of their flags.
    inputs
        The files that are read.

    Raises
    ------
    OptionsError
        A file would be read and written, or written twice.
    """
    read = {_same(path): path for path in inputs if path != STDOUT}
    written: dict[str, str] = {}
    for flag, path in paths.items():
        name = _same(path)
        if name in read:
            raise OptionsError(f"--{flag} {path}: is one of the files to be read; name another")
        if name in written:
            raise OptionsError(f"--{flag} {path}: --{written[name]} writes there already; name another")
        written[name] = flag


def _same(path: str) -> str:
    return path if path == STDOUT else os.path.realpath(path)


def _line(record: Mapping[str, Any]) -> bytes:
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
