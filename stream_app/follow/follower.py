"""Follows a store in passes: changes are read and sent, and the cursor is saved when all of them are acknowledged.

So every change is sent at least once, even if the process dies; a repeated event changes nothing.
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
from stream_app.sources import NOTHING, Redaction
from stream_app.sources.tolerant_json import READ_BYTES
from stream_app.wire import event_to_dict

log = logging.getLogger(__name__)

#: An event in its native form, and its pipeline.
Message = tuple[bytes, str]
#: Begins a pass at a saved cursor (None: at the beginning); returns its events, and a function that returns the cursor
#: after all of them have been read.
Begin = Callable[[bytes | None], tuple[Iterator[Event], Callable[[], bytes]]]

#: Messages, and their bytes, that are sent and acknowledged together.
GROUP_MAX, GROUP_BYTES = 500, 4 << 20
#: Seconds between two attempts.
RETRY_SECONDS = 2.0


class Outlet(Protocol):
    """Where events go."""

    def send(self, messages: Sequence[Message]) -> None:
        """Sends messages and returns when all are stored; without messages, checks that some could be sent.

        Raises
        ------
        OptionsError
            They cannot be sent with these settings.
        StreamAppError
            They cannot be sent at the moment.
        """


class Follower:
    """Follows one store.

    Parameters
    ----------
    begin
        Begins a pass.
    outlet
        Where events are sent.
    file
        Where the cursor is saved.
    redaction
        What is not kept of events.
    retries
        Whether failed reads and sends are repeated without end; otherwise their errors are raised.
    """

    def __init__(
        self, begin: Begin, outlet: Outlet, file: CursorFile, redaction: Redaction = NOTHING, *, retries: bool
    ) -> None:
        self._begin = begin
        self._outlet = outlet
        self._file = file
        self._redaction = redaction
        self._patient = retries
        self._saved = file.read()
        self._reached = False
        self._problem = ""

    def run(self, interval: float) -> None:
        """Makes one pass after the other without end.

        Parameters
        ----------
        interval
            Seconds from the end of one pass to the next.
        """
        while True:
            sent = self.one_pass()
            if sent:
                log.info("%d events sent", sent)
            time.sleep(interval)

    def one_pass(self) -> int:
        """Sends the changes since the saved cursor, and saves the new cursor.

        Returns
        -------
        int
            How many events were sent.

        Raises
        ------
        OptionsError, StateError
            Repeating it is of no use; the cursor is not saved.
        StreamAppError
            Any other failure, unless it `retries`; the cursor is not saved.
        """
        while True:
            try:
                sent = self._pass()
            except StreamAppError as error:
                self._wait_or_raise(error)
            else:
                self._note("")
                return sent

    def _pass(self) -> int:
        events, cursor = self._begin(self._saved)
        sent = 0
        for group in _groups(map(self._redaction.event, events)):
            self._send(group)
            sent += len(group)
        if not sent and not self._reached:  # a wrong setting is reported at once, not when something changes
            self._send([])
        self._reached = True
        after = cursor()
        if after != self._saved:
            self._file.write(after)
            self._saved = after
        return sent

    def _send(self, group: Sequence[Message]) -> None:
        while True:  # not by a new pass, which would repeat all groups before this one
            try:
                self._outlet.send(group)
            except StreamAppError as error:
                self._wait_or_raise(error)
            else:
                self._note("")
                return

    def _wait_or_raise(self, error: StreamAppError) -> None:
        """Waits before another attempt, or raises the error."""
        if not self._patient or isinstance(error, OptionsError | StateError):
            raise error
        self._note(" ".join(str(error).split()))
        time.sleep(RETRY_SECONDS)

    def _note(self, problem: str) -> None:
        if problem and problem != self._problem:
            log.error("%s; trying again every %g s", problem, RETRY_SECONDS)
        elif self._problem and not problem:
            log.info("following again")
        self._problem = problem


def _groups(events: Iterator[Event]) -> Iterator[list[Message]]:
    group: list[Message] = []
    size = 0
    for event in events:
        message = orjson.dumps(event_to_dict(event))
        if len(message) > READ_BYTES:
            log.error("%s of %s is ignored: %d bytes", event.execution_id, event.pipeline, len(message))
            continue
        if len(group) >= GROUP_MAX or size + len(message) > GROUP_BYTES:
            yield group
            group, size = [], 0
        group.append((message, event.pipeline))
        size += len(message)
    if group:
        yield group
