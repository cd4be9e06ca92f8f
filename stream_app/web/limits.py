"""Limits on rates: token buckets by key, in bounded memory."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

#: Keys that are remembered at one time; the one that was used longest ago is forgotten first.
KEYS_MAX = 10_000
#: Seconds of its rate that a sender may use at once.
BURST_SECONDS = 10.0


@dataclass(frozen=True)
class Limits:
    """What one sender may ask of the service; 0 is no limit."""

    #: Requests per second from one address.
    address_rate: float = 1_000.0
    #: Requests per second with one token.
    token_rate: float = 2_000.0
    #: Whether each request is logged.
    access_log: bool = False


class Buckets:
    """A token bucket for each key.

    Parameters
    ----------
    rate
        Tokens per second that a bucket gains; 0: buckets are never empty.
    burst
        Tokens of a full bucket.
    clock
        Returns the time in seconds.
    """

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        #: Key -> the tokens that it had, and when.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        """Keys that are remembered."""
        return len(self._left)

    def take(self, key: str) -> float:
        """Takes a token out of the bucket of a key.

        Parameters
        ----------
        key
            Whose bucket.

        Returns
        -------
        float
            0 when a token was taken, else the seconds until there is one.
        """
        if not self._rate:
            return 0.0
        now = self._clock()
        tokens, at = self._left.pop(key, (self._burst, now))
        tokens = min(self._burst, tokens + (now - at) * self._rate)
        taken = tokens >= 1.0
        self._left[key] = (tokens - 1.0 if taken else tokens, now)
        if len(self._left) > KEYS_MAX:
            self._left.popitem(last=False)
        return 0.0 if taken else (1.0 - tokens) / self._rate


def retry_after(seconds: float) -> dict[str, str]:
    """The header that says when to try again."""
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def sender_of(host: str) -> str:
    """What counts as one address: that of IPv4, and the network of 64 bits of IPv6, since each host has all of one."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host[:100]
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return f"{IPv6Address(int(address) >> 64 << 64)}/64"
