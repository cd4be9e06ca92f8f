"""Which addresses a sink may be connected to, checked at each connection, so that no name can lead elsewhere.

Subscribers choose URLs, and this service can reach what they cannot: its own ports, the cluster, the cloud's metadata.
Refused is every address that is not public, whatever form it is written in and whichever name resolves to it.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: IPv6 networks whose addresses hold an IPv4 address, by the bits below it; Python 3.11 takes some of them for public.
_EMBEDDING: tuple[tuple[ipaddress.IPv6Network, int | None], ...] = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),  # NAT64
    (ipaddress.IPv6Network("64:ff9b:1::/48"), None),  # NAT64 of a site: the place of the address differs
    (ipaddress.IPv6Network("2002::/16"), 80),  # 6to4
    (ipaddress.IPv6Network("2001::/32"), None),  # Teredo
    (ipaddress.IPv6Network("::/96"), 0),  # IPv4-compatible
)
#: Networks that are not public and that `ipaddress` of Python 3.11 takes for public, or did at some time.
_REFUSED: tuple[Network, ...] = (
    ipaddress.IPv4Network("100.64.0.0/10"),
    ipaddress.IPv4Network("192.0.0.0/24"),
    ipaddress.IPv4Network("192.88.99.0/24"),
    ipaddress.IPv6Network("fec0::/10"),
    ipaddress.IPv6Network("5f00::/16"),
)

#: What messages say of an address that may not be connected to.
NO_PUBLIC = "is no public address"


class RefusedAddressError(OSError):
    """An address may not be connected to."""


class AddressGuard:
    """Decides which addresses may be connected to.

    Parameters
    ----------
    allowed
        Networks that are allowed although they are not public, such as `10.0.0.0/8` for sinks in the cluster.

    Raises
    ------
    ValueError
        A text is no network.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = tuple(ipaddress.ip_network(each) for each in allowed)

    def check(self, host: str) -> None:
        """Checks an address.

        Parameters
        ----------
        host
            The address as a socket takes it, with the zone of a link-local address.

        Raises
        ------
        RefusedAddressError
            It may not be connected to.
        """
        address: Address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if any(address in network for network in self._allowed if network.version == address.version):
            return
        if not is_public(address):
            raise RefusedAddressError(
                f"{address} {NO_PUBLIC}; an administrator can allow its network with `alerts.allowed_networks`"
            )

    def socket(self, address_info: Any) -> socket.socket:
        """Makes the socket of a connection; a `socket_factory` of aiohttp.

        Parameters
        ----------
        address_info
            An address as `socket.getaddrinfo` gives it.

        Raises
        ------
        RefusedAddressError
            It may not be connected to.
        """
        family, kind, protocol, _, address = address_info
        self.check(address[0])
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        return made


def is_public(address: Address) -> bool:
    """Whether an address is one of the public Internet, and so is any that it holds."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    if any(address in network for network in _REFUSED if network.version == address.version):
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return True
    for network, shift in _EMBEDDING:
        if address in network:
            return shift is not None and is_public(ipaddress.IPv4Address((int(address) >> shift) & 0xFFFFFFFF))
    return True
