"""The links that were used, in the topic of subscriptions: of several uses the first in the topic counts.

Whoever uses a link writes so, and reads the topic up to there before it acts: nobody else can have been first then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import uuid4

from stream_app.kafka.alerting.in_time import taken
from stream_app.kafka.records import Record

#: How the keys of links begin, which no id of a subscription does.
PREFIX = "link:"
#: The header by which a writer finds its own use.
_USE = "use"
#: Records that nobody needs any more, of which so many are deleted at a time.
DELETED_AT_ONCE = 20

#: Appends a record to the topic, and returns its offset when this process has read it.
Append = Callable[[str, bytes | None, list[tuple[str, bytes]]], Awaitable[int]]


class _Use(NamedTuple):
    expires_ms: int
    #: What its writer has called it.
    name: bytes


class UsedLinks:
    """The links that were used; see `stream_app.alerts.link_uses.LinkUses`.

    Parameters
    ----------
    append
        Appends a record to the topic.
    now_ms
        The clock, in ms since 1970 UTC.
    """

    def __init__(self, append: Append, now_ms: Callable[[], int]) -> None:
        self._append = append
        self._now_ms = now_ms
        self._uses: dict[str, _Use] = {}

    def take(self, record: Record) -> bool:
        """Takes a record of the topic; returns whether it is about a link."""
        key = (record.key or b"").decode(errors="replace")
        if not key.startswith(PREFIX):
            return False
        nonce = key.removeprefix(PREFIX)
        if record.value is None:
            self._uses.pop(nonce, None)
        else:
            text = record.value.decode(errors="replace")
            name = next((value or b"" for header, value in record.headers if header == _USE), b"")
            expires_ms = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 1 << 62
            self._uses.setdefault(nonce, _Use(expires_ms, name))
        return True

    async def claim(self, nonce: str, expires_ms: int) -> bool:
        """Uses a link; see `LinkUses.claim`."""
        name = uuid4().bytes
        async with taken():
            await self._append(f"{PREFIX}{nonce}", str(expires_ms).encode(), [(_USE, name)])
            found = self._uses.get(nonce)
            await self._delete_expired()
        return found is not None and found.name == name

    async def used(self, nonce: str) -> bool:
        """Whether a link was used, as far as this process has read."""
        return nonce in self._uses

    async def release(self, nonce: str) -> None:
        """Lets a link be used again."""
        async with taken():
            await self._append(f"{PREFIX}{nonce}", None, [])

    async def _delete_expired(self) -> None:
        """Deletes some links that nobody can use any more, whoever has used them."""
        now_ms = self._now_ms()
        expired = [nonce for nonce, each in self._uses.items() if each.expires_ms < now_ms]
        for nonce in expired[:DELETED_AT_ONCE]:
            await self._append(f"{PREFIX}{nonce}", None, [])
