"""Signed links in messages, by which whoever reads one keeps a run, prolongs it by a day, or calls its flag wrong.

A link is good for one flag, one act and one use, and only until it expires. Its key is derived from that of alerts. The
same message has the same links at every attempt to send it, but for the time at which they expire.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stream_app.alerts.flag_acts import FlagAct
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.records import AlertRecord
from stream_app.core.units import DAY_MS

#: Where links lead to, below the address of the service, and the parameter with the token.
PATH, PARAMETER = "/v1/act", "link"
#: What the key of links is derived for, from that of alerts.
LINKS = b"links"
#: For how long a link is good, in ms.
EXPIRES_MS = 7 * DAY_MS
#: Characters of a link: chats and mail clients cut longer ones, and a button of Slack holds no more.
LINK_MAX = 1_900
#: Bytes of a nonce and of a signature.
_NONCE_BYTES, _SIGNATURE_BYTES = 12, 24
_VERSION = 1
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,2000}\.[A-Za-z0-9_-]{32}\Z")
#: A token within a text, or the beginning of one.
_QUOTED = re.compile(rf"({PARAMETER}(?:=|%3[Dd]|\\u003d))[A-Za-z0-9_.%-]+")


class LinkError(ValueError):
    """A link is none that this service has made. The message does not quote it."""


@dataclass(frozen=True, slots=True)
class ActLink:
    """What a link says.

    Parameters
    ----------
    flag
        The id of the flag.
    act
        What it does.
    subscription
        The subscription in whose message it is.
    expires_ms
        Until when it is good, in ms since 1970 UTC.
    nonce
        What tells it from all others; it is used once.
    """

    flag: str
    act: FlagAct
    subscription: str
    expires_ms: int
    nonce: str


class LinkKey:
    """Signs links and reads them.

    Parameters
    ----------
    key
        The key: at least 32 bytes, which nothing else is signed with.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def token(self, link: ActLink) -> str:
        """A link as the text that goes into a URL.

        Parameters
        ----------
        link
            The link.

        Returns
        -------
        str
            Letters, digits, `-`, `_` and one point.
        """
        content = [_VERSION, link.flag, link.act, link.subscription, link.expires_ms // 1000, link.nonce]
        body = json.dumps(content, separators=(",", ":")).encode()
        return f"{_encoded(body)}.{_encoded(self._signature(body))}"

    def read(self, token: str) -> ActLink:
        """Reads a link. Whether it has expired, or was used, is for whoever asks to find out.

        Parameters
        ----------
        token
            As of `token`.

        Raises
        ------
        LinkError
            It is not whole, was changed, or was signed with another key.
        """
        if not _TOKEN.match(token):
            raise LinkError("it is no link of this service, or not a whole one")
        body, signature = (_decoded(part) for part in token.split("."))
        if not hmac.compare_digest(self._signature(body), signature):
            raise LinkError("its signature does not hold")
        try:
            version, flag, act, subscription, expires, nonce = json.loads(body)
            if version != _VERSION:
                raise ValueError(f"version {version}")
            return ActLink(flag, FlagAct(act), subscription, expires * 1000, nonce)
        except (ValueError, TypeError) as error:  # signed by another release
            raise LinkError("another release has made it") from error

    def nonce(self, *parts: str) -> str:
        """A nonce that follows from some texts, and that nobody can guess."""
        content = b"nonce " + json.dumps(parts).encode()
        return hmac.new(self._key, content, hashlib.sha256).hexdigest()[: 2 * _NONCE_BYTES]

    def _signature(self, body: bytes) -> bytes:
        return hmac.new(self._key, b"link " + body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]


class ActLinks:
    """Makes the links of messages.

    Parameters
    ----------
    key
        Signs them.
    address
        Where people reach the service, such as `https://stream-app.example.com`; "": messages have no links.
    now_ms
        The clock, in ms since 1970 UTC.
    """

    def __init__(self, key: LinkKey, address: str, now_ms: Callable[[], int]) -> None:
        self.key = key
        self._address = address.rstrip("/")
        self._now_ms = now_ms

    def of(self, record: AlertRecord, subscription: str) -> dict[str, str]:
        """The links of a record.

        Parameters
        ----------
        record
            The record.
        subscription
            The id of the subscription in whose message it is.

        Returns
        -------
        dict
            By the name of the act; empty for what is no open flag, and where links would be too long.
        """
        if not self._address or not isinstance(record, FlagRecord) or record.is_end:
            return {}
        expires_ms = self._now_ms() + EXPIRES_MS
        made = {}
        for act in FlagAct:
            nonce = self.key.nonce(record.id, subscription, act)
            token = self.key.token(ActLink(record.flag, act, subscription, expires_ms, nonce))
            made[act.value] = f"{self._address}{PATH}?{PARAMETER}={token}"
        return made if max(map(len, made.values())) <= LINK_MAX else {}


#: Returns the links of a record in a message of a subscription, by the name of the act.
LinksOf = Callable[[AlertRecord, str], Mapping[str, str]]


def token_of(link: str) -> str:
    """The token in a link."""
    return link.partition(f"?{PARAMETER}=")[2]


def without_links(text: str) -> str:
    """A text in which the tokens of links are hidden.

    Parameters
    ----------
    text
        What a sink answered, which may quote what it was sent.

    Examples
    --------
    >>> without_links("refused: https://x.example/v1/act?link=eyJ.abc, sorry")
    'refused: https://x.example/v1/act?link=**********, sorry'
    """
    return _QUOTED.sub(r"\1**********", text)


def _encoded(body: bytes) -> str:
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise LinkError("it is not a whole link") from None
