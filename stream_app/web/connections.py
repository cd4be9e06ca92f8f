"""How many connections may be open, of one address and of all, and which one makes room for another.

A new connection over a limit replaces the one that has been idle for longest, first those that never made a request: of
the same address where that has its share, else of the address with most connections. So somebody who opens connections
and says nothing loses those, and nobody else is kept out. Where all are at work, a few more are let in for probes.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

#: File descriptors that are not for connections: of the log, of Kafka, of those accepted and not yet closed.
RESERVED_DESCRIPTORS = 64
#: Connections in which only probes are answered, beyond the limit.
PROBES = 16
#: The largest limit: each connection takes some 20 kB.
CONNECTIONS_MAX = 4_096

ADDRESS, TOTAL = "address", "total"


class Closable(Protocol):
    """A connection."""

    #: Whether only probes are answered in it.
    probes_only: bool

    def abort(self) -> None:
        """Closes it at once."""


@dataclass(slots=True)
class _Sender:
    """The connections of one address."""

    count: int = 0
    #: Without a request so far, and idle after one; the oldest first.
    silent: dict[Closable, None] = field(default_factory=dict)
    idle: dict[Closable, None] = field(default_factory=dict)

    def oldest(self) -> Closable | None:
        """The connection to be closed first; None where all are at work."""
        return next(iter(self.silent or self.idle), None)


class Connections:
    """The open connections.

    Parameters
    ----------
    limit
        The most connections.
    refused
        Called with `ADDRESS` or `TOTAL`, the limit for which a connection is closed or refused.
    """

    def __init__(self, limit: int, refused: Callable[[str], object] = lambda _: None) -> None:
        self.limit = limit
        #: The most connections of one address.
        self.share = max(1, limit // 2)
        self._refused = refused
        self._ordinary: dict[Closable, str] = {}
        self._senders: dict[str, _Sender] = {}
        #: Those for probes, and whether each is idle; the oldest first.
        self._probing: dict[Closable, bool] = {}

    def __len__(self) -> int:
        """Connections that are open."""
        return len(self._ordinary) + len(self._probing)

    def add(self, connection: Closable, address: str) -> bool:
        """Adds a new connection, if need be in place of another, and sets whether it is for probes only.

        Parameters
        ----------
        connection
            The connection.
        address
            Who opened it.

        Returns
        -------
        bool
            Whether it may stay open.
        """
        sender = self._senders.get(address) or _Sender()
        reason = ADDRESS if sender.count >= self.share else TOTAL if len(self._ordinary) >= self.limit else ""
        if reason:
            self._refused(reason)
            oldest = sender.oldest() if reason == ADDRESS else self._oldest()
            if oldest is None:
                return self._add_probing(connection)
            self._close(oldest)
        connection.probes_only = False
        self._ordinary[connection] = address
        sender = self._senders.setdefault(address, _Sender())
        sender.count += 1
        sender.silent[connection] = None
        return True

    def _add_probing(self, connection: Closable) -> bool:
        if len(self._probing) >= PROBES:
            oldest = next((each for each, idle in self._probing.items() if idle), None)
            if oldest is None:
                return False
            self._close(oldest)
        connection.probes_only = True
        self._probing[connection] = True
        return True

    def busy(self, connection: Closable) -> None:
        """A request of the connection has begun."""
        if connection in self._probing:
            self._probing[connection] = False
        elif connection in self._ordinary:
            sender = self._senders[self._ordinary[connection]]
            sender.silent.pop(connection, None)
            sender.idle.pop(connection, None)

    def idle(self, connection: Closable) -> None:
        """The request of the connection has been answered."""
        if connection in self._probing:
            self._probing[connection] = True
        elif connection in self._ordinary:
            self._senders[self._ordinary[connection]].idle[connection] = None

    def remove(self, connection: Closable) -> None:
        """Removes a connection that is closed; it may have been removed before."""
        self._probing.pop(connection, None)
        address = self._ordinary.pop(connection, None)
        if address is not None:
            sender = self._senders[address]
            sender.count -= 1
            sender.silent.pop(connection, None)
            sender.idle.pop(connection, None)
            if not sender.count:
                del self._senders[address]

    def close_oldest(self) -> bool:
        """Closes the connection that makes room first; returns whether there was one."""
        oldest = self._oldest()
        if oldest is not None:
            self._close(oldest)
        return oldest is not None

    def _oldest(self) -> Closable | None:
        senders = [sender for sender in self._senders.values() if sender.silent or sender.idle]
        return max(senders, key=lambda each: each.count).oldest() if senders else None

    def _close(self, connection: Closable) -> None:
        self.remove(connection)
        connection.abort()


def connections_limit() -> int:
    """The connections that the limit of open files (RLIMIT_NOFILE) leaves room for.

    Returns
    -------
    int
        At least 16, at most `CONNECTIONS_MAX`.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = 32
    return max(16, min(CONNECTIONS_MAX, descriptors - used - RESERVED_DESCRIPTORS - PROBES))
