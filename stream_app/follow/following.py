"""Passes over what is followed: read what changed, send it, and save the cursor when all of it is acknowledged.

So every change is sent at least once, whenever the process dies; an event said twice changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import orjson

from stream_app.core.events import Event
from stream_app.errors import OptionsError, StateError, StreamAppError
from stream_app.follow.cursor_file import CursorFile
from stream_app.sources.strict_json import MAX_BYTES
from stream_app.wire import event_to_dict

log = logging.getLogger(__name__)

#: An event in its native form, and its pipeline.
Message = tuple[bytes, str]
#: Begins a pass at a saved cursor (None: at the beginning): the events, and the cursor when all of them were taken.
Begin = Callable[[bytes | None], tuple[Iterator[Event], Callable[[], bytes]]]

#: Messages and bytes that are sent, and acknowledged, together.
GROUP_MAX, GROUP_BYTES = 500, 4 << 20
#: Seconds between two attempts.
AGAIN = 2.0


class Outlet(Protocol):
    """Where events go."""

    def send(self, messages: Sequence[Message]) -> None:
        """Returns when all are safe there; given none, when it would take some.

        Raises OptionsError when they never will be, another StreamAppError when they are not now.
        """


class Following:
    """One thing that is followed.

    Parameters
    ----------
    patient
        What does not answer is asked again for ever; otherwise its error is raised.
    """

    def __init__(self, begin: Begin, outlet: Outlet, file: CursorFile, *, patient: bool) -> None:
        self._begin = begin
        self._outlet = outlet
        self._file = file
        self._patient = patient
        self._saved = file.read()
        self._reached = False
        self._trouble = ""

    def run(self, every: float) -> None:
        """One pass after the other, for ever; `every`: seconds from one to the next."""
        while True:
            sent = self.one_pass()
            if sent:
                log.info("%d events sent", sent)
            time.sleep(every)

    def one_pass(self) -> int:
        """Sends what changed since the saved cursor and saves where it stands then; returns how many events.

        Raises OptionsError, StateError, and if not `patient` any other StreamAppError; then nothing is saved.
        """
        while True:
            try:
                sent = self._pass()
            except StreamAppError as error:
                self._bear(error)
            else:
                self._note("")
                return sent

    def _pass(self) -> int:
        events, cursor = self._begin(self._saved)
        sent = 0
        for group in _groups(events):
            self._send(group)
            sent += len(group)
        if not sent and not self._reached:  # a mistake is told at once, not when something changes
            self._send([])
        self._reached = True
        after = cursor()
        if after != self._saved:
            self._file.write(after)
            self._saved = after
        return sent

    def _send(self, group: Sequence[Message]) -> None:
        while True:  # here and not by a new pass, which would send all before it again
            try:
                self._outlet.send(group)
            except StreamAppError as error:
                self._bear(error)
            else:
                self._note("")
                return

    def _bear(self, error: StreamAppError) -> None:
        """Waits until it is worth another attempt, or raises the error."""
        if not self._patient or isinstance(error, OptionsError | StateError):
            raise error
        self._note(" ".join(str(error).split()))
        time.sleep(AGAIN)

    def _note(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            log.error("%s; trying again every %g s", trouble, AGAIN)
        elif self._trouble and not trouble:
            log.info("goes on")
        self._trouble = trouble


def _groups(events: Iterator[Event]) -> Iterator[list[Message]]:
    group: list[Message] = []
    size = 0
    for event in events:
        message = orjson.dumps(event_to_dict(event))
        if len(message) > MAX_BYTES:
            log.error("%s of %s is ignored: %d bytes", event.execution_id, event.pipeline, len(message))
            continue
        if len(group) >= GROUP_MAX or size + len(message) > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append((message, event.pipeline))
        size += len(message)
    if group:
        yield group
