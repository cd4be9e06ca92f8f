"""Signatures of ticks: who may write to the topic of events must not be able to move the clocks of pipelines.

The key is that of the group's checkpoints. Where none is configured workers have no secret in common: ticks are
unsigned then, and each counts. Even so time does not pass the present, since the broker dates each record.
"""

from __future__ import annotations

import hmac
import struct

from stream_app.metrics.catalogue import FORGED, STALE, UNSIGNED

#: How far the clocks of a worker and a broker may be apart, and how long a tick that was copied counts, in ms.
TOLERANCE_MS = 600_000

_PURPOSE = b"stream-app tick 1"
_TIME = struct.Struct(">q")
_PLACE = struct.Struct(">iq")


class TickKey:
    """Signs and checks the ticks of one topic.

    Parameters
    ----------
    key
        The key of the group; None: ticks are not signed, and all count.
    topic
        The topic of events.
    """

    def __init__(self, key: bytes | None, topic: str) -> None:
        self._key = None if key is None else hmac.digest(key, _PURPOSE + b"\0" + topic.encode(), "sha256")

    def sign(self, partition: int, time_ms: int) -> bytes:
        """The content of the header of a tick.

        Parameters
        ----------
        partition
            The partition that it is written to.
        time_ms
            When it is written, in ms since 1970 UTC.
        """
        return b"" if self._key is None else _TIME.pack(time_ms) + self._digest(self._key, partition, time_ms)

    def fault(self, content: bytes | None, partition: int, log_ms: int) -> str | None:
        """Why a tick does not count; None when it does.

        Parameters
        ----------
        content
            The content of its header.
        partition
            The partition that it was read from.
        log_ms
            The time of its record, in ms since 1970 UTC.

        Returns
        -------
        str or None
            One of the reasons of `ticks_ignored_total`.
        """
        if self._key is None:
            return None
        if not content:
            return UNSIGNED
        try:
            (time_ms,) = _TIME.unpack_from(content)
        except struct.error:
            return FORGED
        if not hmac.compare_digest(content[_TIME.size :], self._digest(self._key, partition, time_ms)):
            return FORGED
        return None if abs(log_ms - time_ms) <= TOLERANCE_MS else STALE

    @staticmethod
    def _digest(key: bytes, partition: int, time_ms: int) -> bytes:
        return hmac.digest(key, _PLACE.pack(partition, time_ms), "sha256")


#: For partitions without a key.
NO_KEY = TickKey(None, "")
