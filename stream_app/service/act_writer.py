"""Stores events of the service itself in the event log, from where they are applied like all others."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson

from stream_app.alerts.flag_acts import WriteEvents
from stream_app.core.events import Event
from stream_app.service.detector_thread import Embedded, OverloadedError
from stream_app.service.event_log import Accepted, LogUnavailableError
from stream_app.sources import NATIVE
from stream_app.wire import event_to_dict


async def store_messages(embedded: Embedded, messages: Sequence[Accepted]) -> None:
    """Stores messages in the log of an embedded detector.

    Parameters
    ----------
    embedded
        The detector.
    messages
        The messages; they are on disk when this returns.

    Raises
    ------
    LogUnavailableError
        They cannot be written now.
    """
    try:
        written = embedded.submit(messages)
    except OverloadedError:
        raise LogUnavailableError(embedded.unavailable_reason or "too many messages are waiting") from None
    await asyncio.wrap_future(written)


def act_writer(embedded: Embedded) -> WriteEvents:
    """What stores events in the log of an embedded detector.

    Parameters
    ----------
    embedded
        The detector.
    """

    async def write(events: Sequence[Event]) -> None:
        await store_messages(
            embedded, [Accepted(orjson.dumps(event_to_dict(event)), event, NATIVE) for event in events]
        )

    return write
