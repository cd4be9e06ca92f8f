"""The embedded detector: one thread that writes the log, acknowledges messages, and applies them to the detector.

Waiting messages are written together in one transaction (group commit) and only then acknowledged. Written entries are
applied in small slices, so that the next group is not delayed. State is saved about once a second, and after a restart
the entries that it does not include are applied again.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

import orjson

from stream_app import wire
from stream_app.alerts.finding_alerts import FINDINGS, FindingAlerts
from stream_app.analysis.findings import FleetLooks
from stream_app.analysis.fleet.fleet_rows import FLEET
from stream_app.analysis.fleet.following import follow_fleet
from stream_app.analysis.fleet.state_owners import StateAttribution
from stream_app.core.detector import Detector
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.events import Event
from stream_app.core.outputs import Closed, Example, Output, Verdict
from stream_app.core.units import DAY_MS
from stream_app.errors import MalformedEvent, StateError
from stream_app.provenance.nearest import PastStages
from stream_app.service.availability import Availability
from stream_app.service.event_log import Accepted, Changes, Entry, EventLog, LogUnavailableError
from stream_app.service.flag_outbox import FLAG, FlagOutbox, Flags
from stream_app.service.issued_verdicts import IssuedVerdicts
from stream_app.service.settings import EmbeddedSettings
from stream_app.service.verdict_index import VerdictIndex
from stream_app.sources import detect

log = logging.getLogger(__name__)

#: Messages, and their bytes, that may wait to be written; entries that may wait to be applied.
WAITING_MAX, WAITING_BYTES, BEHIND_MAX = 10_000, 64 << 20, 50_000
#: Messages and bytes written in one transaction.
_GROUP_MAX, _GROUP_BYTES = 2_000, 8 << 20
#: Seconds of applying before the next group is written, and between two saves of the state: at most, and at least.
_SLICE, _SAVE, _SAVE_FLAGS = 0.005, 1.0, 0.05


class OverloadedError(Exception):
    """Too many messages are waiting; the sender should try again later."""


@dataclass(slots=True)
class _Submission:
    """Entries that are written as one, and the future of whoever waits for that."""

    entries: list[Entry]
    size: int
    written: Future[None]


class Embedded:
    """A log with its detector, run by a thread; see `start` and `stop`.

    Parameters
    ----------
    event_log
        The open log; used by the thread only.
    settings
        Settings of the service.
    observe
        Called with the outputs of the detector, from its thread.
    now_ms
        The clock, in ms since 1970 UTC.

    Raises
    ------
    StateError
        The state in the log cannot be read.
    """

    def __init__(
        self,
        event_log: EventLog,
        settings: EmbeddedSettings | None = None,
        observe: Callable[[Sequence[Output]], None] = lambda _: None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.settings = settings or EmbeddedSettings()
        self._log = event_log
        self._observe = observe
        self._now_ms = now_ms
        self._queue: queue.SimpleQueue[_Submission | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._waiting_bytes = 0
        self._group: list[_Submission] = []
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._stopping = False
        self._availability = Availability(event_log)
        #: Done when the thread has failed: nothing is written any more, and the process should exit.
        self.failed: Future[None] = Future()
        #: Held while the detector changes.
        self.detector_lock = threading.Lock()
        self._poison: set[int] = set()
        self._handlers = Handlers(self._verdict, self._example, self._closed)
        #: Deliveries that were taken before the start and may be sent again: id -> when, in ms since 1970 UTC.
        self.deliveries = event_log.deliveries(now_ms())
        #: Open flags that were forgotten, since nothing had changed them for long.
        self.flags_evicted = 0
        #: The records of flags that are to be stored elsewhere.
        self.outbox = FlagOutbox(event_log.flags())
        self._load()

    def _load(self) -> None:
        """Loads the saved state; the entries after it wait to be applied."""
        self.learner = self.settings.detector.learner()
        #: The labelled stages with which verdicts are compared.
        self.past = PastStages()
        for number, record in enumerate(self._log.examples(), 1):
            try:
                example = wire.example_from_dict(orjson.loads(record))
                self.learner.learn(example)
                self.past.learn(example)
            except (StateError, orjson.JSONDecodeError, TypeError, ArithmeticError) as error:
                raise StateError(f"{self._log.path}: example {number} cannot be read: {error}") from None
        rows = self._log.rows()
        own = {key: row for key, row in rows.items() if not key.startswith((FLAG, FINDINGS, FLEET))}
        self.detector = Detector.load(self.settings.detector, own, self.learner)
        #: The time of the entry that is being applied.
        self._applying_ms = 0
        self._changes = Changes(self._log.applied())
        try:
            self._issued = IssuedVerdicts(self._log.verdicts(), self._changes)
            self.flags = Flags(rows, self._log.last_flag(), self.settings.flag_age_ms)
            #: The sums of every pipeline.
            self.fleet = follow_fleet(self.detector, self.settings.fleet, rows)
            looks = FleetLooks(self.fleet, StateAttribution(self.settings.rates, self.settings.owners))
            self.findings = FindingAlerts(rows, looks.look_at, self.settings.flag_age_ms)
        except StateError as error:
            raise StateError(f"{self._log.path}: {error}") from None
        self._behind = deque(self._log.after(self._changes.applied))

    @property
    def verdicts(self) -> VerdictIndex:
        """The current verdicts."""
        return self._issued.index

    @property
    def open_flags(self) -> int:
        """Flags that are open."""
        return self.flags.open_flags

    @property
    def unavailable_reason(self) -> str:
        """Why messages cannot be accepted now; "" when they can."""
        return self._availability.reason

    @property
    def behind(self) -> int:
        """Entries written and not applied yet."""
        return len(self._behind)

    @property
    def as_of_ms(self) -> int:
        """Up to when what was received has been applied, in ms since 1970 UTC; asked for under `detector_lock`."""
        return self._behind[0].received_ms if self._behind else self._now_ms()

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Writes waiting messages, applies all entries, saves the state, and ends the thread.

        Raises
        ------
        LogUnavailableError
            The disk does not answer. What was acknowledged is in the log, which must not be closed.
        Exception
            The error with which the thread has failed.
        """
        with self._lock:
            self._stopping = True
            self._queue.put(None)
        self._availability.join(self._thread)
        if self._failure is not None:
            raise self._failure

    def submit(self, messages: Sequence[Accepted]) -> Future[None]:
        """Hands over messages, to be written together.

        Parameters
        ----------
        messages
            Messages that were decoded.

        Returns
        -------
        Future[None]
            Done when they are on disk; its exception is LogUnavailableError when they cannot be written.

        Raises
        ------
        OverloadedError
            Too many messages are waiting, or the service is stopping.
        """
        size = sum(len(each.message) for each in messages)
        received_ms = self._now_ms()
        entries = [Entry(0, received_ms, each.message, each.format, each) for each in messages]
        submission = _Submission(entries, size, Future())
        # A caller that no longer waits must not cancel a future that the thread is going to set.
        submission.written.set_running_or_notify_cancel()
        with self._lock:
            full = self._waiting >= WAITING_MAX or self._waiting_bytes + size > WAITING_BYTES
            if self._stopping or full or len(self._behind) > BEHIND_MAX or self._availability.hanging:
                raise OverloadedError
            self._waiting += len(messages)
            self._waiting_bytes += size
            self._queue.put(submission)
        return submission.written

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # whatever it is, no caller may wait for a thread that has ended
            log.exception("the service cannot continue")
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Refuses waiting and further messages, with the reason."""
        with self._lock:
            self._stopping = True
            self._availability.end(f"the service cannot continue: {type(error).__name__}: {error}")
        group = self._group
        while group:
            for submission in group:
                if not submission.written.done():
                    submission.written.set_exception(LogUnavailableError(self.unavailable_reason))
            group = self._next_group(wait=0.0)
        self._failure = error
        self.failed.set_result(None)

    def _work(self) -> None:
        saved = ticked = time.monotonic()
        deleting = True  # also what has become old while the service was down
        while True:
            group = self._group = self._next_group(wait=0.0 if self._behind or deleting else 0.2)
            if time.monotonic() - ticked >= self.settings.tick_seconds:
                group.append(_Submission([Entry(0, self._now_ms(), None)], 0, Future()))
                ticked, deleting = time.monotonic(), True
            deleting = deleting and self._delete_old_entries()
            self._availability.retry()
            if group:
                self._write(group)
            self._apply(None if self._stopping else time.monotonic() + _SLICE)
            if self._save_due(time.monotonic() - saved):
                self._save()
                saved = time.monotonic()
            if self._stopping and self._queue.empty() and not self._behind:
                self._save()
                return

    def _save_due(self, since: float) -> bool:
        """Whether the state is to be saved, given the seconds since it was last: a flag is handed on once it is."""
        soon = bool(self._changes.flags) and not self._availability.reason
        return since >= _SAVE or (soon and (not self._behind or since >= _SAVE_FLAGS))

    def _next_group(self, wait: float) -> list[_Submission]:
        """Waiting submissions, up to the size of a group; waits some seconds for the first."""
        group: list[_Submission] = []
        count = size = 0
        try:
            while count < _GROUP_MAX and size < _GROUP_BYTES:
                submission = self._queue.get(timeout=wait) if wait and not group else self._queue.get_nowait()
                if submission is not None:
                    group.append(submission)
                    count, size = count + len(submission.entries), size + submission.size
        except queue.Empty:
            pass
        return group

    def _write(self, group: list[_Submission]) -> None:
        entries = [entry for submission in group for entry in submission.entries]
        try:
            self._log.append(entries)
        except LogUnavailableError as error:
            self._availability.note(str(error))
            for submission in group:
                submission.written.set_exception(error)
        else:
            self._availability.note("")
            self._behind.extend(entries)
            for submission in group:
                submission.written.set_result(None)
        with self._lock:
            self._waiting -= sum(len(submission.entries) for submission in group if submission.size)
            self._waiting_bytes -= sum(submission.size for submission in group)

    def _apply(self, until: float | None) -> None:
        """Applies entries until a time, one at least."""
        if not self._behind:
            return
        outputs: list[Output] = []
        with self.detector_lock:
            while self._behind:
                entry = self._behind.popleft()
                if entry.position not in self._poison:
                    try:
                        outputs += self._step(entry)
                    except Exception:  # a defect of the detector must not stop the service for ever
                        log.exception("the detector failed on entry %d, which is ignored", entry.position)
                        self._poison.add(entry.position)
                        self._load()
                        outputs = []
                        continue
                self._changes.applied = entry.position
                if until is not None and time.monotonic() >= until:
                    break
        self._observe(outputs)

    def _step(self, entry: Entry) -> list[Output]:
        self._applying_ms = entry.received_ms
        if entry.message is None:
            return self._tick(entry.received_ms)
        event = entry.accepted.event if entry.accepted is not None else self._decode(entry, entry.message)
        outputs = self.detector.step(event, entry.received_ms) if event is not None else []
        dispatch(outputs, self.learner, self._handlers)
        return outputs

    def _decode(self, entry: Entry, message: bytes) -> Event | None:
        """The event of an entry that was read from the log; None where there is none."""
        try:
            return self.settings.sources[entry.format or detect(message)](message, entry.received_ms + DAY_MS)
        except MalformedEvent as error:
            log.warning("entry %d is no longer an event: %s", entry.position, error)
            return None

    def _verdict(self, verdict: Verdict) -> None:
        self._issued.issue(verdict, self._applying_ms, self._changes)
        self.flags.verdict(verdict, self._applying_ms, self._changes)

    def _example(self, example: Example) -> None:
        self._changes.examples.append(orjson.dumps(wire.example_to_dict(example)))
        self.past.learn(example)
        self.flags.example(example, self._applying_ms, self._changes)

    def _closed(self, closed: Closed) -> None:
        self._issued.drop(closed.graphlet["graphlet"], self._changes)

    def _tick(self, now_ms: int) -> list[Output]:
        """Lets time pass; drops verdicts on runs without a trainer, which are never closed, a while after their issue.

        Not a while after their event time: in a backfill that is long ago from the beginning.
        """
        settings = self.settings.detector
        outputs = self.detector.tick(now_ms)
        self._issued.drop_before(now_ms - 2 * (settings.retention_ms + settings.lateness_ms), self._changes)
        self.flags_evicted += self.flags.forget(now_ms)
        dispatch(outputs, self.learner, self._handlers)
        clocks = {name: pipeline.clock.now_ms for name, pipeline in self.detector.pipelines.items()}
        self.flags.tick(clocks, now_ms, self._changes)
        for record in self.findings.tick(clocks, now_ms):
            self.flags.add(record, now_ms, self._changes)
        return outputs

    def _delete_old_entries(self) -> bool:
        """Deletes some of the old entries; returns whether there may be more."""
        try:
            return self._log.delete(self._now_ms() - round(self.settings.keep_days * DAY_MS))
        except LogUnavailableError as error:
            self._availability.note(str(error))
            return False

    def _save(self) -> None:
        """Saves the state; changes that cannot be saved are kept for the next call."""
        changes = self._changes
        with self.detector_lock:
            changes.rows.update(self.detector.take_rows())
            changes.rows.update(self.fleet.take_rows())
            self.flags.take_rows(changes)
            changes.rows.update(self.findings.take_rows())
        changes.flags_done = max(changes.flags_done, self.outbox.take_done())
        try:
            if changes.applied == self._log.applied() and not changes.flags_done:
                return
            self._log.save(changes)
        except LogUnavailableError as error:
            self._availability.note(str(error))
        else:
            self._changes = Changes(changes.applied)
            self.outbox.add(changes.flags)
