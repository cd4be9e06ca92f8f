"""When a delivery that failed is tried again, and when a sink is left alone. Values and functions; no clock, no chance.

The delays are those that Standard Webhooks recommends, with the first attempt at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

#: Seconds before each further attempt.
DELAYS = (5.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 36_000.0)
#: The share of a delay by which it may be longer or shorter.
JITTER = 0.2
#: The longest time in seconds that an answer may ask to wait.
RETRY_AFTER_MAX = 86_400.0
#: Hours of nothing but failures after which a subscription is disabled.
DISABLE_AFTER_HOURS = 120.0

#: A breaker opens at this share of failures of at least so many attempts within so many seconds,
OPEN_SHARE, OPEN_ATTEMPTS, OPEN_WINDOW = 0.7, 10, 300.0
#: or after so many failures in a row; it lets one attempt through each so many seconds then.
OPEN_STREAK, PROBE_SECONDS = 10, 30.0
#: Attempts that a breaker remembers; a busy sink needs no more.
_RECENT_MAX = 1_000


def retry_delay(failures: int, draw: float, retry_after: float | None = None) -> float | None:
    """Seconds until a delivery is tried again.

    Parameters
    ----------
    failures
        Attempts that have failed, from 1.
    draw
        A number from 0 up to 1, which decides the jitter.
    retry_after
        Seconds that the answer asked to wait; None: it did not.

    Returns
    -------
    float or None
        None: it is not tried again.

    Examples
    --------
    >>> [retry_delay(failures, 0.5) for failures in (1, 2, 8)]
    [5.0, 300.0, None]
    >>> retry_delay(1, 0.5, retry_after=60.0)
    60.0
    """
    if failures > len(DELAYS):
        return None
    delay = DELAYS[failures - 1] * (1.0 + JITTER * (2.0 * draw - 1.0))
    return max(delay, min(retry_after or 0.0, RETRY_AFTER_MAX))


@dataclass(slots=True)
class Breaker:
    """Decides whether a sink is tried at all. Times are seconds of a monotonic clock.

    Closed, it lets every attempt through. It opens when too many fail; then one attempt each 30 seconds probes the
    sink, and the first that succeeds closes it.
    """

    open: bool = False
    _streak: int = 0
    _probed: float = 0.0
    #: The end and the success of recent attempts, and how many of them failed.
    _recent: deque[tuple[float, bool]] = field(default_factory=deque)
    _failed: int = 0

    def wait(self, now: float) -> float:
        """Seconds until an attempt may be made; 0: now."""
        return max(0.0, self._probed + PROBE_SECONDS - now) if self.open else 0.0

    def attempt(self, now: float) -> None:
        """An attempt begins: while the breaker is open the next may begin after 30 seconds."""
        self._probed = now

    def record(self, now: float, succeeded: bool) -> None:
        """An attempt has ended."""
        if succeeded and self.open:
            self.open = False
            self._recent.clear()
            self._failed = 0
        self._streak = 0 if succeeded else self._streak + 1
        self._recent.append((now, succeeded))
        self._failed += not succeeded
        while self._recent[0][0] <= now - OPEN_WINDOW or len(self._recent) > _RECENT_MAX:
            self._failed -= not self._recent.popleft()[1]
        many = len(self._recent) >= OPEN_ATTEMPTS and self._failed >= OPEN_SHARE * len(self._recent)
        if not succeeded and (many or self._streak >= OPEN_STREAK):
            self.open = True
