"""The embedded detector: one thread that writes the log, answers for it, and lets the detector follow.

What waits is written together in one transaction (group commit) and only then acknowledged; what is written is
applied in small slices, so that the next group is not kept waiting. State is saved every second or so, and a restart
applies the rest of the log again.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream_app import wire
from stream_app.core.decisions.policy import ENFORCE
from stream_app.core.detector import Detector, Settings, describe
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.ids import parse_graphlet_id
from stream_app.core.outputs import Closed, Example, Output, Verdict
from stream_app.core.state.entities import DAY_MS
from stream_app.errors import MalformedEvent, StateError
from stream_app.service.event_log import Changes, Entry, EventLog, LogUnavailableError
from stream_app.service.verdict_index import Verdicts, Words
from stream_app.sources import SOURCES, Sources, detect

log = logging.getLogger(__name__)

#: Messages and bytes that may wait to be written, and entries that may wait to be applied.
WAITING_MAX, WAITING_BYTES, BEHIND_MAX = 10_000, 64 << 20, 50_000
#: Messages and bytes written in one transaction.
_GROUP_MAX, _GROUP_BYTES = 2_000, 8 << 20
#: Seconds of applying before the next group is looked for, and between two times the state is saved.
_SLICE, _SAVE = 0.005, 1.0


class OverloadedError(Exception):
    """More waits than is held; try again later."""


@dataclass(slots=True)
class _Waiting:
    entries: list[Entry]
    size: int
    written: Future[None]


@dataclass(frozen=True)
class EmbeddedSettings:
    """What the service is told once."""

    detector: Settings = field(default_factory=Settings)
    sources: Sources = field(default_factory=lambda: SOURCES)
    #: Seconds between two ticks, which let time pass for pipelines that are silent.
    tick_seconds: float = 60.0
    #: Days for which entries are kept after they were applied.
    keep_days: float = 30.0


class Embedded:
    """A log with its detector; `start` it, and `stop` it in the end.

    Parameters
    ----------
    observe
        Told the outputs of the detector, from its thread.
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
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting = self._waiting_bytes = 0
        self._group: list[_Waiting] = []
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._stopping = False
        #: Why the log takes nothing at the moment; "" when it does.
        self.unavailable_reason = ""
        #: Done when the thread has failed: nothing is written any more, and the process should end.
        self.failed: Future[None] = Future()
        #: Held while the detector is at work.
        self.at_work = threading.Lock()
        self._poison: set[int] = set()
        self._handlers = Handlers(self._verdict, self._example, self._closed)
        self._load()

    def _load(self) -> None:
        """Brings detector, learner and verdicts to the saved state; the rest of the log waits to be applied."""
        self.learner = self.settings.detector.learner()
        for number, example in enumerate(self._log.examples(), 1):
            try:
                self.learner.learn(wire.example_from_dict(orjson.loads(example)))
            except (StateError, orjson.JSONDecodeError, TypeError, ArithmeticError) as error:
                raise StateError(f"{self._log.path}: example {number} cannot be read: {error}") from None
        self.detector = Detector.load(self.settings.detector, self._log.rows(), self.learner)
        self.verdicts = Verdicts(orjson.loads(verdict) for verdict in self._log.verdicts())
        self._changes = Changes(self._log.applied())
        self._behind = deque(self._log.after(self._changes.applied))

    @property
    def behind(self) -> int:
        """Entries written and not applied yet."""
        return len(self._behind)

    def start(self) -> None:
        """Begins to write and to apply."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what waits, applies what is written, saves the state, and ends.

        Raises what the thread failed with, if it has.
        """
        with self._lock:
            self._stopping = True
            self._queue.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def submit(self, messages: Sequence[bytes]) -> Future[None]:
        """Messages to be written, as one; the future is done when they are on disk.

        Its exception is LogUnavailableError when they cannot be. Raises OverloadedError.
        """
        size = sum(map(len, messages))
        received_ms = self._now_ms()
        waiting = _Waiting([Entry(0, received_ms, message) for message in messages], size, Future())
        # Whoever waits may give up, which must not cancel a future that the thread is going to set.
        waiting.written.set_running_or_notify_cancel()
        with self._lock:
            full = self._waiting >= WAITING_MAX or self._waiting_bytes + size > WAITING_BYTES
            if self._stopping or full or len(self._behind) > BEHIND_MAX:
                raise OverloadedError
            self._waiting += len(messages)
            self._waiting_bytes += size
            self._queue.put(waiting)
        return waiting.written

    def enforces(self, _: Words) -> bool:
        """Whether a run stops where a verdict says so."""
        return self.settings.detector.policy.mode == ENFORCE

    def graphlet(self, graphlet: str) -> dict[str, Any] | None:
        """A graphlet as the detector describes it; waits while the detector is at work."""
        name = parse_graphlet_id(graphlet)
        if name is None or name.trainer is None:
            return None
        with self.at_work:
            pipeline = self.detector.pipelines.get(name.pipeline)
            found = pipeline.graphlets.get(name.trainer) if pipeline is not None else None
            if pipeline is None or found is None:
                return None
            return describe(pipeline, found, self.settings.detector.operators)

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # whatever it is, nobody must wait for a thread that is gone
            log.exception("the service can write no more")
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Refuses all that waits and all that comes, and says why."""
        with self._lock:
            self._stopping = True
            self.unavailable_reason = f"the service can write no more: {type(error).__name__}: {error}"
        group = self._group
        while group:
            for waiting in group:
                if not waiting.written.done():
                    waiting.written.set_exception(LogUnavailableError(self.unavailable_reason))
            group = self._gather(wait=0.0)
        self._failure = error
        self.failed.set_result(None)

    def _work(self) -> None:
        saved = ticked = time.monotonic()
        forgetting = True  # also what grew old while the service was down
        while True:
            group = self._group = self._gather(wait=0.0 if self._behind or forgetting else 0.2)
            if time.monotonic() - ticked >= self.settings.tick_seconds:
                group.append(_Waiting([Entry(0, self._now_ms(), None)], 0, Future()))
                ticked = time.monotonic()
                forgetting = True
            forgetting = forgetting and self._forget()
            if group:
                self._write(group)
            self._apply(None if self._stopping else time.monotonic() + _SLICE)
            if time.monotonic() - saved >= _SAVE:
                self._save()
                saved = time.monotonic()
            if self._stopping and self._queue.empty() and not self._behind:
                self._save()
                return

    def _gather(self, wait: float) -> list[_Waiting]:
        """What waits, up to the size of a group; waits some seconds for the first."""
        group: list[_Waiting] = []
        count = size = 0
        try:
            while count < _GROUP_MAX and size < _GROUP_BYTES:
                waiting = self._queue.get(timeout=wait) if wait and not group else self._queue.get_nowait()
                if waiting is not None:
                    group.append(waiting)
                    count, size = count + len(waiting.entries), size + waiting.size
        except queue.Empty:
            pass
        return group

    def _write(self, group: list[_Waiting]) -> None:
        entries = [entry for waiting in group for entry in waiting.entries]
        try:
            self._log.append(entries)
        except LogUnavailableError as error:
            self._note(str(error))
            for waiting in group:
                waiting.written.set_exception(error)
        else:
            self._note("")
            self._behind.extend(entries)
            for waiting in group:
                waiting.written.set_result(None)
        with self._lock:
            self._waiting -= sum(len(waiting.entries) for waiting in group if waiting.size)
            self._waiting_bytes -= sum(waiting.size for waiting in group)

    def _note(self, reason: str) -> None:
        if reason and reason != self.unavailable_reason:
            log.error("%s", reason)
        self.unavailable_reason = reason

    def _apply(self, until: float | None) -> None:
        """Gives entries to the detector until a time, one at least."""
        if not self._behind:
            return
        outputs: list[Output] = []
        with self.at_work:
            while self._behind:
                entry = self._behind.popleft()
                if entry.position not in self._poison:
                    try:
                        outputs += self._take(entry)
                    except Exception:  # a defect of ours must not stop the service for ever
                        log.exception("the detector failed on entry %d, which is passed over", entry.position)
                        self._poison.add(entry.position)
                        self._load()
                        outputs = []
                        continue
                self._changes.applied = entry.position
                if until is not None and time.monotonic() >= until:
                    break
        self._observe(outputs)

    def _take(self, entry: Entry) -> list[Output]:
        if entry.message is None:
            outputs = self.detector.tick(entry.received_ms)
            self._forget_old_verdicts(entry.received_ms)
        else:
            try:
                event = self.settings.sources[detect(entry.message)](entry.message, entry.received_ms + DAY_MS)
            except MalformedEvent as error:
                log.warning("entry %d is an event no longer: %s", entry.position, error)
                return []
            outputs = self.detector.step(event, entry.received_ms) if event is not None else []
        dispatch(outputs, self.learner, self._handlers)
        return outputs

    def _verdict(self, verdict: Verdict) -> None:
        words = wire.verdict_to_dict(verdict)
        self.verdicts.add(words)
        self._changes.verdicts[verdict.graphlet] = orjson.dumps(words)

    def _example(self, example: Example) -> None:
        self._changes.examples.append(orjson.dumps(wire.example_to_dict(example)))

    def _closed(self, closed: Closed) -> None:
        self._drop(closed.graphlet["graphlet"])

    def _forget_old_verdicts(self, now_ms: int) -> None:
        """Runs without a trainer are never closed; what was said of them goes when it is as old as closed ones."""
        settings = self.settings.detector
        for graphlet in self.verdicts.before(now_ms - 2 * (settings.retention_ms + settings.lateness_ms)):
            self._drop(graphlet)

    def _drop(self, graphlet: str) -> None:
        if self.verdicts.drop(graphlet):
            self._changes.verdicts[graphlet] = None

    def _forget(self) -> bool:
        """Drops some of the entries that are old; whether there may be more."""
        try:
            return self._log.forget(self._now_ms() - round(self.settings.keep_days * DAY_MS))
        except LogUnavailableError as error:
            self._note(str(error))
            return False

    def _save(self) -> None:
        """Saves the state; what cannot be saved is kept for the next time."""
        changes = self._changes
        with self.at_work:
            changes.rows.update(self.detector.take_rows())
        try:
            if changes.applied == self._log.applied():
                return
            self._log.save(changes)
        except LogUnavailableError as error:
            self._note(str(error))
        else:
            self._changes = Changes(changes.applied)
