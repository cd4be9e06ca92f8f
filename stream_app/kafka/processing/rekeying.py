"""From the source topics to the events topic: decoded, checked, and put where the pipeline belongs.

This hop keeps no state. A batch read twice is written twice, which the detector does not mind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import orjson
from aiokafka.errors import KafkaError

from stream_app import wire
from stream_app.errors import MalformedEvent
from stream_app.kafka.clients.producer import Send, passes
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import MALFORMED, Counts
from stream_app.kafka.processing.messages import dead_letter
from stream_app.kafka.processing.partition import FUTURE_MS
from stream_app.kafka.records import Batch, Record
from stream_app.kafka.state.outbox import Message
from stream_app.sources import NATIVE, SOURCES, Sources, detect

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 1.0


async def rekey(
    batch: Batch, names: Names, send: Send, counts: Counts, owned: Callable[[], bool], sources: Sources = SOURCES
) -> None:
    """Write a batch of a source topic to the events topic and mark it done, for as long as `owned` says yes.

    Raises KafkaError for what does not pass.
    """
    found = [rekeyed(record, names, sources) for record in batch.records]
    messages = [message for message in found if message is not None]
    while owned():
        try:
            await send(messages)
        except KafkaError as error:
            if not passes(error):
                raise
            log.warning("%r; sending again", error)
            await asyncio.sleep(_AGAIN_SECONDS)
            continue
        topic = batch.records[0].topic
        counts.sources[topic] = counts.sources.get(topic, 0) + len(found)
        counts.passed_over += len(found) - len(messages)
        counts.reasons[MALFORMED] += sum(message.topic == names.dead_letters for message in messages)
        batch.done = True
        return


def rekeyed(record: Record, names: Names, sources: Sources = SOURCES) -> Message | None:
    """What becomes of a record of a source topic: a native event keyed by its pipeline, a dead letter, or nothing
    when it tells of no execution.
    """
    message = record.value or b""
    form = detect(message)
    try:
        event = sources[form](message, record.timestamp + FUTURE_MS)
    except MalformedEvent as error:
        return dead_letter(names, record, str(error))
    if event is None:
        return None
    native = message if form == NATIVE else orjson.dumps(wire.event_to_dict(event))
    return Message(names.events, event.pipeline.encode(), native)
