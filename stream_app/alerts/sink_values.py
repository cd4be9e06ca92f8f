"""Values of sinks that connect over HTTP: checked when they are made."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import SecretStr

#: Bytes of a URL, and headers of one sink.
URL_MAX, HEADERS_MAX = 2_048, 20
#: Headers that a subscription may set; those of HTTP itself and of the signature are not among them.
_HEADER = re.compile(r"(?i)(?:authorization|x-[a-z0-9-]{1,60})\Z")
_VISIBLE = re.compile(r"[\x20-\x7e]*\Z")


def checked_headers(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    """Returns headers that a sink sends.

    Parameters
    ----------
    headers
        Name to value, which is a secret.

    Raises
    ------
    ValueError
        A name is none that may be set, or a value cannot be sent.
    """
    for name, value in headers.items():
        if not _HEADER.match(name):
            raise ValueError(f"{name[:60]!r} cannot be set; Authorization and X-... can")
        if not _VISIBLE.match(value.get_secret_value()) or len(value.get_secret_value()) > 1_000:
            raise ValueError(f"the value of {name[:60]!r} should be at most 1,000 printable ASCII characters")
    return headers


def checked_url(url: str) -> str:
    """Returns a URL of a sink, in ASCII.

    Parameters
    ----------
    url
        An address of HTTP. Whether it may be connected to is checked at each connection.

    Raises
    ------
    ValueError
        It is no such URL, or holds a login or a fragment.
    """
    if len(url) > URL_MAX:
        raise ValueError(f"expected at most {URL_MAX:,} characters")
    if any(character.isspace() or not character.isprintable() or character == "\\" for character in url):
        raise ValueError("there are spaces, control characters or backslashes in the URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"no URL: {error}") from None
    if parts.scheme not in ("https", "http"):
        raise ValueError("expected a URL that begins with https:// or http://")
    if not host or port == 0:
        raise ValueError("there is no host in the URL" if not host else "port 0 cannot be connected to")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a URL may not hold a login; set the header Authorization instead")
    if parts.fragment:
        raise ValueError("a URL of a sink has no fragment")
    try:
        name = host.encode("idna").decode() if not host.isascii() else host
    except UnicodeError:
        raise ValueError(f"{host[:100]!r} is no name of a host") from None
    return url if host.isascii() else url.replace(parts.netloc, f"{name}:{port}" if port is not None else name, 1)
