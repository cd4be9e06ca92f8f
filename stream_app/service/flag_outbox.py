"""The flags of an embedded detector: their state in its rows, and the records that wait to be handed on.

Records of findings wait among those of flags.

Records are saved together with the state that they follow from, and deleted after whoever sends them has stored them.
So a crash at any moment neither loses one nor makes another of the same id.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import orjson

from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.records import AlertRecord, record_to_dict
from stream_app.alerts.tracking import FORGET_MS, MAX_AGE_MS, FlagTracker
from stream_app.core.outputs import Example, Verdict
from stream_app.service.event_log import Changes, StoredFlag

R = TypeVar("R", bound=AlertRecord)

#: Prefix of the key of a flag's row; the flag's id follows. The detector reads no key that begins like this.
FLAG = b"\x00flag/"


class Flags:
    """Follows the flags, and adds what changes to the changes that are saved.

    Parameters
    ----------
    rows
        The rows of the saved state; only those of flags are read.
    last
        The number of the last record saved.
    max_age_ms
        As of `FlagTracker`.

    Raises
    ------
    StateError
        The row of a flag cannot be read.
    """

    def __init__(self, rows: Mapping[bytes, bytes], last: int, max_age_ms: int = MAX_AGE_MS) -> None:
        stored = {key[len(FLAG) :].decode(): row for key, row in rows.items() if key.startswith(FLAG)}
        self._tracker = FlagTracker(stored, max_age_ms)
        self._last = last

    @property
    def open_flags(self) -> int:
        """Flags that are open."""
        return self._tracker.open_flags

    def is_open(self, flag: str) -> bool:
        """Whether a flag is open, and was reported."""
        return self._tracker.is_open(flag)

    def verdict(self, verdict: Verdict, log_ms: int, changes: Changes) -> FlagRecord | None:
        """Applies a verdict; see `FlagTracker.verdict`."""
        return self.add(self._tracker.verdict(verdict, log_ms), log_ms, changes)

    def example(self, example: Example, log_ms: int, changes: Changes) -> FlagRecord | None:
        """Applies an outcome; see `FlagTracker.example`."""
        return self.add(self._tracker.example(example, log_ms), log_ms, changes)

    def tick(self, clocks: Mapping[str, int], log_ms: int, changes: Changes) -> None:
        """Takes the steps of ladders whose time has come; see `FlagTracker.tick`."""
        for record in self._tracker.tick(clocks, log_ms):
            self.add(record, log_ms, changes)

    def forget(self, log_ms: int) -> int:
        """Forgets flags that nothing has changed for long; returns how many of them were open.

        Parameters
        ----------
        log_ms
            The time of a tick in ms since 1970 UTC.
        """
        return self._tracker.forget(log_ms - FORGET_MS)

    def take_rows(self, changes: Changes) -> None:
        """Adds the rows of flags that have changed since the last call."""
        changes.rows.update((FLAG + flag.encode(), row) for flag, row in self._tracker.take_rows())

    def add(self, record: R | None, log_ms: int, changes: Changes) -> R | None:
        """Adds a record to the changes, and returns it; None: there is none.

        Parameters
        ----------
        record
            Of a flag or a finding.
        log_ms
            Log time, in ms since 1970 UTC.
        changes
            The changes that are saved.
        """
        if record is not None:
            self._last += 1
            changes.flags.append(StoredFlag(self._last, log_ms, orjson.dumps(record_to_dict(record))))
        return record


class FlagOutbox:
    """The saved records that wait to be stored by whoever sends them. Any thread may use it.

    Parameters
    ----------
    stored
        The records that an earlier process left, in order.
    """

    def __init__(self, stored: Iterable[StoredFlag] = ()) -> None:
        self._lock = threading.Lock()
        self._waiting = deque(stored)
        self._done = 0
        #: Called by the thread of the detector when there are records.
        self.on_records: Callable[[], None] = lambda: None

    def add(self, saved: Iterable[StoredFlag]) -> None:
        """Adds records that were saved."""
        with self._lock:
            before = len(self._waiting)
            self._waiting.extend(saved)
            added = len(self._waiting) > before
        if added:
            self.on_records()

    def first(self, limit: int = 1_000) -> list[StoredFlag]:
        """The records that have waited for longest, in order."""
        with self._lock:
            return [self._waiting[place] for place in range(min(limit, len(self._waiting)))]

    def done(self, number: int) -> None:
        """The records up to a number are stored elsewhere, and need not be kept."""
        with self._lock:
            self._done = number
            while self._waiting and self._waiting[0].number <= number:
                self._waiting.popleft()

    def take_done(self) -> int:
        """The number up to which records need not be kept; 0: there is nothing new."""
        with self._lock:
            done, self._done = self._done, 0
            return done
