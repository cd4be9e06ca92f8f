"""Who makes room where there are too many connections."""

from __future__ import annotations

from collections import Counter

import pytest

from stream_app.web import connections as module
from stream_app.web.connections import PROBES, Connections, connections_limit


class Peer:
    """A connection that notes whether it was closed."""

    probes_only = False
    closed = False

    def abort(self) -> None:
        self.closed = True


class Opened:
    """Connections over a limit of ten, five of one address."""

    def __init__(self) -> None:
        self.reasons: Counter[str] = Counter()
        self.connections = Connections(10, lambda reason: self.reasons.update([reason]))

    def open(self, address: str, busy: bool = False) -> Peer:
        peer = Peer()
        assert self.connections.add(peer, address)
        if busy:
            self.connections.busy(peer)
        return peer


@pytest.fixture
def opened() -> Opened:
    return Opened()


def test_an_address_replaces_its_own_silent_connections(opened: Opened) -> None:
    """The oldest first, and nobody else's."""
    other = opened.open("other")
    silent = [opened.open("attacker") for _ in range(8)]

    assert [peer.closed for peer in silent] == [True] * 3 + [False] * 5
    assert not other.closed
    assert opened.reasons == {"address": 3}


def test_what_made_requests_stays_longer_than_what_made_none(opened: Opened) -> None:
    """An idle connection of a client, among silent ones of its own address."""
    client = opened.open("a", busy=True)
    opened.connections.idle(client)
    silent = [opened.open("a") for _ in range(8)]

    assert not client.closed
    assert sum(peer.closed for peer in silent) == 4


def test_where_all_are_too_many_the_address_with_most_makes_room(opened: Opened) -> None:
    """A probe from elsewhere is let in."""
    few = [opened.open(str(number)) for number in range(5)]
    many = [opened.open("many") for _ in range(5)]
    probe = opened.open("kubelet")

    assert not any(peer.closed for peer in few)
    assert [peer.closed for peer in many] == [True] + [False] * 4
    assert not probe.probes_only
    assert opened.reasons == {"total": 1}


def test_requests_in_progress_are_not_closed_and_probes_have_room(opened: Opened) -> None:
    """Where all are at work, some more are let in for probes, and those replace each other."""
    working = [opened.open(f"{number % 3}", busy=True) for number in range(10)]
    probes = [opened.open("attacker") for _ in range(PROBES + 3)]

    assert not any(peer.closed for peer in working)
    assert all(peer.probes_only for peer in probes)
    assert [peer.closed for peer in probes] == [True] * 3 + [False] * PROBES
    assert len(opened.connections) == 10 + PROBES


def test_beyond_those_nothing_is_let_in(opened: Opened) -> None:
    for number in range(10):
        opened.open(f"{number % 3}", busy=True)
    for _ in range(PROBES):
        opened.open("kubelet", busy=True)

    assert not opened.connections.add(Peer(), "another")


def test_what_is_closed_makes_room(opened: Opened) -> None:
    """However often it is said."""
    peers = [opened.open("a") for _ in range(5)]
    for peer in peers * 2:
        opened.connections.remove(peer)
    again = [opened.open("a") for _ in range(5)]

    assert not any(peer.closed for peer in again)
    assert len(opened.connections) == 5


@pytest.mark.parametrize(
    ("files", "least", "most"), [(256, 100, 176), (1_024, 800, 944), (1 << 20, 4_096, 4_096), (20, 16, 16)]
)
def test_the_limit_leaves_files_for_others(monkeypatch: pytest.MonkeyPatch, files: int, least: int, most: int) -> None:
    """By the limit of open files, whatever that is."""
    monkeypatch.setattr(module.os, "listdir", lambda _: ["0"] * 20)
    monkeypatch.setattr(module.resource, "getrlimit", lambda _: (files, files))

    assert least <= connections_limit() <= most
