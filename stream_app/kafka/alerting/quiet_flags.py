"""The flags that subscriptions are not to hear of, in the topic of subscriptions, which every notifier reads."""

from __future__ import annotations

import logging
from collections.abc import Callable

import orjson

from stream_app.alerts.quiet import Quiet
from stream_app.kafka.alerting.in_time import taken
from stream_app.kafka.alerting.used_links import DELETED_AT_ONCE, Append
from stream_app.kafka.records import Record

log = logging.getLogger(__name__)

#: How the keys of quiet flags begin, which no id of a subscription does.
PREFIX = "quiet:"


class QuietFlags:
    """The quiet flags of a group; see `stream_app.alerts.quiet.Quiets`.

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
        self._quiet: dict[str, Quiet] = {}

    def take(self, record: Record) -> bool:
        """Takes a record of the topic; returns whether it is about a quiet flag."""
        key = (record.key or b"").decode(errors="replace")
        if not key.startswith(PREFIX):
            return False
        if record.value is None:
            self._quiet.pop(key, None)
            return True
        try:
            until_ms, why, expires_ms = orjson.loads(record.value)
            if not (isinstance(until_ms, int | None) and isinstance(why, str) and isinstance(expires_ms, int)):
                raise TypeError("a field has another type")
            self._quiet[key] = Quiet(until_ms, why, expires_ms)
        except (ValueError, TypeError) as error:
            log.error("a quiet flag at offset %d is ignored: %s", record.offset, error)
        return True

    def of(self, subscription: str, flag: str) -> Quiet | None:
        """Whether a subscription is not to hear of a flag."""
        return self._quiet.get(_key(subscription, flag))

    async def put(self, subscription: str, flag: str, quiet: Quiet) -> None:
        """Keeps it; see `Quiets.put`."""
        async with taken():
            value = orjson.dumps([quiet.until_ms, quiet.why, quiet.expires_ms])
            await self._append(_key(subscription, flag), value, [])
            now_ms = self._now_ms()
            expired = [key for key, each in self._quiet.items() if each.expires_ms < now_ms]
            for key in expired[:DELETED_AT_ONCE]:
                await self._append(key, None, [])


def _key(subscription: str, flag: str) -> str:
    """The key of a record: an id of a subscription has no slash."""
    return f"{PREFIX}{subscription}/{flag}"
