"""Whether the event log can be written, and why not."""

from __future__ import annotations

import logging
import threading
import time

from stream_app.service.event_log import EventLog, LogUnavailableError

log = logging.getLogger(__name__)

#: Seconds after which an access to the disk that has not ended counts as hanging.
HANGING_SECONDS = 5.0
#: Seconds between two attempts to write while writing fails, and for which stopping waits for a disk that hangs.
RETRY_SECONDS, STOP_SECONDS = 2.0, 10.0


class Availability:
    """Records how accesses to a log end; a reason is logged when it changes.

    Parameters
    ----------
    event_log
        The log.
    """

    def __init__(self, event_log: EventLog) -> None:
        self._log = event_log
        self._reason = ""
        self._ended = self._reported = False
        self._tried = 0.0

    @property
    def hanging(self) -> bool:
        """Whether the disk does not answer; any thread may ask."""
        since = self._log.busy_since
        return since is not None and time.monotonic() - since > HANGING_SECONDS

    @property
    def reason(self) -> str:
        """Why the log cannot be written; "" when it can."""
        if self._ended or not self.hanging:
            return self._reason
        reason = f"the disk of {self._log.path} has not answered for over {HANGING_SECONDS:.0f} s"
        if not self._reported:
            self._reported = True
            log.error("%s", reason)
        return reason

    def note(self, reason: str) -> None:
        """Records how an access ended: "" is success."""
        self._tried = time.monotonic()
        if reason and reason != self._reason:
            log.error("%s", reason)
        elif not reason and (self._reason or self._reported):
            log.info("%s can be written again", self._log.path)
            self._reported = False
        self._reason = reason

    def end(self, reason: str) -> None:
        """Records why nothing is written any more."""
        self._ended = True
        self._reason = reason

    def retry(self) -> None:
        """While writing fails, tries it now and then: senders may wait until the service is ready."""
        if not self._reason or time.monotonic() - self._tried < RETRY_SECONDS:
            return
        try:
            self._log.check()
        except LogUnavailableError as error:
            self.note(str(error))
        else:
            self.note("")

    def join(self, thread: threading.Thread) -> None:
        """Waits for the end of a thread that writes the log.

        Raises
        ------
        LogUnavailableError
            The disk does not answer. The log must not be closed.
        """
        since: float | None = None
        while thread.is_alive():
            thread.join(0.5)
            since = (since or time.monotonic()) if self.hanging else None
            if since is not None and time.monotonic() - since > STOP_SECONDS:
                raise LogUnavailableError(f"{self.reason}; at the next start the state is restored from the log")
