"""Addresses that a sink may not have are never connected to, whatever they are written as."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.guard import AddressGuard, RefusedAddressError, is_public
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.subscriptions import SubscriptionError, make_subscription
from tests.support.url_forms import FORMS


@pytest.fixture
def listening() -> Iterator[tuple[int, list[object]]]:
    """A port of this machine at all its addresses, and who connected to it."""
    connected: list[object] = []
    listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=200)
    listener.setblocking(False)
    yield listener.getsockname()[1], connected
    while True:
        try:
            accepted, peer = listener.accept()
        except BlockingIOError:
            break
        accepted.close()
        connected.append(peer)
    listener.close()
    assert connected == [], "somebody connected"


def test_at_least_forty_forms() -> None:
    """As many as the list promises."""
    assert len(set(FORMS)) >= 40


@pytest.mark.parametrize("form", FORMS)
def test_no_form_of_a_url_reaches_this_machine(form: str, listening: tuple[int, list[object]]) -> None:
    """It is refused when the subscription is made, or when it would be connected to; the fixture saw nobody."""
    url = form.replace("{port}", str(listening[0]))
    sink = {"kind": "webhook", "url": url}
    checked = url  # what a mistake in the check would let through is tried as well
    with suppress(SubscriptionError):
        made = make_subscription({"id": "s", "name": "s", "owner": "ann", "sink": sink})
        checked = made.sink.url  # type: ignore[union-attr]

    async def body() -> object:
        async with HttpClient(AddressGuard(), timeout_seconds=5.0) as http:
            return await http.post(checked, b"{}", {})

    assert isinstance(asyncio.run(body()), str)


class Resolver(aiohttp.abc.AbstractResolver):
    """Answers each question with the same addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self.asked = 0

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: int = 0,  # noqa: ARG002 (named by its caller)
    ) -> list[aiohttp.abc.ResolveResult]:
        self.asked += 1
        return [
            aiohttp.abc.ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=0,
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


def posted(resolver: Resolver, url: str, times: int = 1) -> list[object]:
    """What is said of posts to a name."""

    async def body() -> list[object]:
        async with HttpClient(AddressGuard(), timeout_seconds=5.0) as http:
            assert http._session is not None
            connector = http._session.connector
            assert isinstance(connector, aiohttp.TCPConnector)
            connector._resolver = resolver
            return [await http.post(url, b"{}", {}) for _ in range(times)]

    return asyncio.run(body())


def test_a_name_that_changes_its_address_is_checked_at_each_connection(listening: tuple[int, list[object]]) -> None:
    """A resolver that answers with a public address first and then with this machine gains nothing."""
    resolver = Resolver("127.0.0.1")

    answers = posted(resolver, f"http://rebinding.example:{listening[0]}/", 3)
    assert all("is no public address" in str(each) for each in answers)
    assert resolver.asked


def test_a_name_of_which_no_address_is_public_is_refused_in_one_sentence(listening: tuple[int, list[object]]) -> None:
    """Of one of its addresses, as it is of a name with one."""
    addresses = ("127.0.0.1", "127.0.0.2", "::1")
    alone, *_ = posted(Resolver("127.0.0.1"), f"http://two.example:{listening[0]}/")
    several, *_ = posted(Resolver(*addresses), f"http://two.example:{listening[0]}/")

    assert str(alone).startswith("127.0.0.1 is no public address; an administrator")
    assert several in {str(alone).replace("127.0.0.1", address) for address in addresses}


def test_an_allowed_network_can_be_reached() -> None:
    """Sinks in the cluster, and no others."""
    guard = AddressGuard(["10.0.0.0/8", "fd00::/8"])
    for allowed in ("10.1.2.3", "::ffff:10.1.2.3", "fd00::1", "8.8.8.8", "2a00:1450:4001:80b::200e"):
        guard.check(allowed)
    for refused in ("127.0.0.1", "192.168.0.1", "fe80::1%lo", "::1"):
        with pytest.raises(RefusedAddressError):
            guard.check(refused)


@given(st.ip_addresses(v=4), st.sampled_from(["::ffff:", "64:ff9b::", "::"]))
def test_an_address_within_another_counts_as_itself(inner: ipaddress.IPv4Address, prefix: str) -> None:
    """What holds an address that is not public is not public."""
    outer = ipaddress.ip_address(f"{prefix}{inner}")
    guard = AddressGuard()
    if is_public(inner):
        return
    with pytest.raises(RefusedAddressError):
        guard.check(str(outer))


@pytest.mark.parametrize("wrong", ["10.0.0.1/8", "everything", ""])
def test_a_network_that_is_none_is_refused(wrong: str) -> None:
    """When the settings are read."""
    with pytest.raises(ValueError, match=r"."):
        AddressGuard([wrong])
