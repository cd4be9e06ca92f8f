"""Lets people act on flags: whoever asks with a token, follows a link, or clicks a button. No HTTP.

Every act is checked, tried against the rights of whoever asks, stored as an event, and noted in the audit log. It is
done when its event is safe; what follows from it is the detector's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from stream_app.alerts.access import Principal, Scope
from stream_app.alerts.flag_acts import Asked, AskedQuiet, FlagAct, WriteEvents, event_of, refusal
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.hook_sinks import HOOKS
from stream_app.alerts.link_uses import LinkUses
from stream_app.alerts.links import ActLink, LinkError, LinkKey
from stream_app.alerts.quiet import KEEP_MS, Quiet, Quiets
from stream_app.alerts.saved import AlertStoreError, AuditEntry
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscribers import ConflictError, ForbiddenError, NotFoundError, Subscribers
from stream_app.core.acts import UNTIL
from stream_app.errors import StreamAppError
from stream_app.times import time_to_text

log = logging.getLogger(__name__)

#: Seconds that storing an act may take.
SECONDS = 10.0


class LinkRefusedError(StreamAppError):
    """A link is not followed. The message says why, and what to do, without quoting it.

    Parameters
    ----------
    status
        As of HTTP.
    title, detail
        What happened in a few words, and what to do.
    """

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(f"{title}. {detail}")
        self.status = status
        self.title = title
        self.detail = detail


class NotStoredError(StreamAppError):
    """An act is not known to be stored; it may be asked for again."""


@dataclass(frozen=True, slots=True)
class Followed:
    """A link that may be followed, with the flag that it is about."""

    link: ActLink
    record: FlagRecord


class ActService:
    """Acts on flags.

    Parameters
    ----------
    subscribers
        Has the subscriptions and the audit log.
    store
        Has the flags.
    write
        Stores events.
    key
        Signs links.
    uses
        Remembers which links were used.
    quiets
        Remembers which flags are quiet.
    now_ms
        The clock, in ms since 1970 UTC.
    """

    def __init__(
        self,
        subscribers: Subscribers,
        store: AlertStore,
        write: WriteEvents,
        key: LinkKey,
        uses: LinkUses,
        quiets: Quiets,
        now_ms: Callable[[], int],
    ) -> None:
        self._subscribers = subscribers
        self._store = store
        self._write = write
        self._key = key
        self._uses = uses
        self._quiets = quiets
        self._now_ms = now_ms

    async def act(self, who: Principal, flag: str, asked: Asked) -> dict[str, Any]:
        """Acts on a flag.

        Parameters
        ----------
        who
            Whoever asks.
        flag
            The id of the flag.
        asked
            What is asked.

        Returns
        -------
        dict
            The act as it is stored.

        Raises
        ------
        NotFoundError
            There is no such open flag, or whoever asks does not see it.
        ForbiddenError
            Whoever asks may not act on it.
        ActError
            It cannot be done like this.
        NotStoredError, AlertStoreError
            It is not known to be stored.
        """
        record = await self.found(who, flag)
        reason = refusal(record, asked.act)
        if reason:
            raise NotFoundError(reason)
        return await self._store_act(record, asked, who.name)

    async def quiet(self, who: Principal, flag: str, asked: AskedQuiet) -> dict[str, Any]:
        """Lets subscriptions not hear of a flag, for a while or at all; nothing else changes.

        Parameters
        ----------
        who, flag
            As of `act`.
        asked
            What is asked.

        Returns
        -------
        dict
            What is stored, with the subscriptions that do not hear of it.

        Raises
        ------
        NotFoundError, ForbiddenError, AlertStoreError
            As of `act`; or there is no such subscription that somebody may change.
        """
        record = await asyncio.to_thread(self._store.flag, flag)
        if record is None or not who.sees(record.pipeline):
            raise NotFoundError("there is no such flag")
        reason = refusal(record, FlagAct.PROLONG)
        if reason:
            raise NotFoundError(reason)
        names = self._listeners(who, asked.owner or record.owner, asked.subscription)
        now_ms = self._now_ms()
        quiet = Quiet(asked.until_ms, f"{who.name}: {asked.reason}", now_ms + KEEP_MS)
        word = "mute" if asked.until_ms is None else f"snooze until {time_to_text(asked.until_ms)}"
        for name in names:
            await self._quiets.put(name, flag, quiet)
            self._subscribers.audit(AuditEntry(now_ms, who.name, f"{word} {flag}: {asked.reason}", name))
        await self._subscribers.saved()
        until = time_to_text(asked.until_ms) if asked.until_ms is not None else None
        made = {"flag": flag, "subscriptions": names, "until": until, "by": who.name, "reason": asked.reason}
        return {**made, "time": time_to_text(now_ms)}

    def _listeners(self, who: Principal, owner: str, subscription: str | None) -> list[str]:
        """The subscriptions that are not to hear of a flag: hooks are none of them, since they tell nobody anything."""
        if not who.may(Scope.WRITE):
            raise ForbiddenError("this needs a token with the scope write")
        found = {
            name: each.subscription
            for name, each in self._subscribers.registered.items()
            if who.owns(each.subscription.owner) and not isinstance(each.subscription.sink, HOOKS)
        }
        if subscription is not None:
            names = [subscription] if subscription in found else []
        else:
            names = sorted(name for name, each in found.items() if each.owner == owner)
        if not names:
            whose = f"the id {subscription[:100]}" if subscription is not None else f"the owner {owner[:100]!r}"
            raise NotFoundError(f"there is no subscription with {whose} that tells people of flags")
        return names

    async def found(self, who: Principal, flag: str) -> FlagRecord:
        """The last record of a flag that somebody may act on; raises as `act` does."""
        record = await asyncio.to_thread(self._store.flag, flag)
        if record is None or not who.sees(record.pipeline):
            raise NotFoundError("there is no such flag")
        if not who.may(Scope.WRITE):
            raise ForbiddenError("this needs a token with the scope write")
        if not who.owns(record.owner):
            raise ForbiddenError("this token may not act on flags of this owner")
        return record

    async def follow(self, token: str) -> Followed:
        """Looks where a link leads to, and does nothing.

        Parameters
        ----------
        token
            The token in the link.

        Raises
        ------
        LinkRefusedError
            It is forged, expired or used, its subscription is gone, or its flag has ended.
        AlertStoreError
            That is not known now.
        """
        try:
            link = self._key.read(token)
        except LinkError as error:
            raise LinkRefusedError(
                403, "This link is not valid", f"Nothing was done: {error}. Open the link of the message once more."
            ) from None
        if link.expires_ms <= self._now_ms():
            expired = time_to_text(link.expires_ms)
            raise LinkRefusedError(410, "This link has expired", f"It was good until {expired}. {_OTHERWISE}")
        if link.subscription not in self._subscribers.registered:
            raise LinkRefusedError(
                410, "This link is not valid any more", f"The subscription that sent it was deleted. {_OTHERWISE}"
            )
        if await self._uses.used(link.nonce):
            raise _used()
        record = await asyncio.to_thread(self._store.flag, link.flag)
        reason = refusal(record, link.act) if record is not None else "the flag is not known any more"
        if record is None or reason:
            raise LinkRefusedError(
                410, "There is nothing left to do", f"{reason[:1].upper()}{reason[1:]}. The run is not stopped by it."
            )
        return Followed(link, record)

    def subscription_of(self, token: str) -> str:
        """The subscription in whose message a link is; "" for what is no link."""
        try:
            return self._key.read(token).subscription
        except LinkError:
            return ""

    async def act_by_link(self, token: str, reason: str, by: Callable[[ActLink], str]) -> Followed:
        """Follows a link, once.

        Parameters
        ----------
        token
            The token in the link.
        reason
            Why, in one line.
        by
            Returns who follows it, as far as that is known.

        Raises
        ------
        LinkRefusedError, AlertStoreError
            As of `follow`; where it is used at the same time elsewhere, one of the two is refused.
        ActError, NotStoredError
            As of `act`; the link may be used again.
        """
        found = await self.follow(token)
        link = found.link
        if not await self._uses.claim(link.nonce, link.expires_ms):
            raise _used()
        try:
            await self._store_act(found.record, Asked(link.act, reason), by(link))
        except BaseException:
            with contextlib.suppress(AlertStoreError):  # it stays used, and whoever asks is told of the other ways
                await asyncio.shield(asyncio.ensure_future(self._uses.release(link.nonce)))
            raise
        return found

    async def _store_act(self, record: FlagRecord, asked: Asked, by: str) -> dict[str, Any]:
        now_ms = self._now_ms()
        event = event_of(record, asked, by, now_ms)
        try:
            async with asyncio.timeout(SECONDS):
                await self._write([event])
        except TimeoutError:
            raise NotStoredError("the act is not known to be stored in time; try again") from None
        except StreamAppError as error:
            raise NotStoredError(f"the act cannot be stored now: {error}") from None
        word = asked.act.value if asked.value else f"not {asked.act.value}"
        self._subscribers.audit(AuditEntry(now_ms, by, f"{word}: {asked.reason}", record.flag))
        try:
            await self._subscribers.saved()
        except (AlertStoreError, ConflictError) as error:  # the event itself says who acted
            log.warning("an act on flag %s is not in the audit log: %s", record.flag, error)
        made = {"flag": record.flag, "act": asked.act.value, "by": by, "reason": asked.reason}
        if asked.act is FlagAct.PROLONG:
            return {**made, "until": time_to_text(int(event.properties[UNTIL])), "time": time_to_text(now_ms)}
        return {**made, "value": asked.value, "time": time_to_text(now_ms)}


_OTHERWISE = "A newer message about this flag has a new link, and `stream-app flags` does the same from a shell."


def _used() -> LinkRefusedError:
    return LinkRefusedError(409, "This link was used before", f"Each link is good for one use. {_OTHERWISE}")
