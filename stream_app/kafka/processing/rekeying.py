"""From the source topics to the events topic: records are decoded, checked, and keyed by their pipeline.

This hop keeps no state. A batch that is read twice is written twice; the detector ignores repeated events.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from stream_app.errors import MalformedEvent
from stream_app.kafka.clients.producer import Send
from stream_app.kafka.clients.retry import Problem, retry
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.messages import dead_letter, native_message
from stream_app.kafka.processing.partition import FUTURE_MS
from stream_app.kafka.processing.partitioner import TICK
from stream_app.kafka.records import FORMAT, Batch, Record
from stream_app.kafka.state.outbox import Message
from stream_app.metrics.catalogue import MALFORMED
from stream_app.sources import NATIVE, SOURCES, Sources, detect
from stream_app.sources.acts import no_act

log = logging.getLogger(__name__)


async def rekey(
    batch: Batch, names: Names, send: Send, counts: Counts, owned: Callable[[], bool], sources: Sources = SOURCES
) -> None:
    """Writes a batch of a source topic to the events topic and marks it done.

    Parameters
    ----------
    batch
        Records of a source topic.
    names
        The topics.
    send
        Sends messages; repeated while Kafka is away and the partition is `owned`.
    counts
        Where records are counted.
    owned
        Whether the partition still belongs to this worker.
    sources
        The decoders.

    Raises
    ------
    KafkaError
        An error that is not transient.
    """
    found = [rekeyed(record, names, sources, counts) for record in batch.records]
    messages = [message for message in found if message is not None]

    async def send_all() -> bool:
        await send(messages)
        return True

    topic = batch.records[0].topic
    if await retry(send_all, Problem(log).report, f"events of {topic} cannot be sent", wanted=owned):
        counts.sources[topic] = counts.sources.get(topic, 0) + len(found)
        counts.ignored += len(found) - len(messages)
        counts.reasons[MALFORMED] += sum(message.topic == names.dead_letters for message in messages)
        batch.done = True


def rekeyed(record: Record, names: Names, sources: Sources = SOURCES, counts: Counts | None = None) -> Message | None:
    """The message that a record of a source topic becomes.

    Parameters
    ----------
    record
        The record.
    names
        The topics.
    sources
        The decoders.
    counts
        Where parts of the event that are dropped here are counted.

    Returns
    -------
    Message | None
        A native event keyed by its pipeline, or a dead letter; None for a valid message about no execution, and for a
        tick: the topic of events of another group can be a source.
    """
    if any(name == TICK for name, _ in record.headers):
        return None
    message = record.value or b""
    given = next((value.decode(errors="replace") for name, value in record.headers if name == FORMAT and value), "")
    form = given if given in sources else detect(message)
    try:
        event = no_act(sources[form](message, record.timestamp + FUTURE_MS))
        if event is None:
            return None
        native = native_message(event, message if form == NATIVE and not sources.redaction else None)
        if counts is not None and native is not message:  # whoever reads it next finds what it still holds
            counts.parts_dropped += event.dropped
    except MalformedEvent as error:
        return dead_letter(names, record, str(error), sources.redaction)
    return Message(names.events, event.pipeline.encode(), native)
