"""From the topic of alerts to that of deliveries: who is to hear of a flag record.

This hop keeps no state. A batch that is read twice is written twice; mailboxes and the alert log ignore what they have.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial

import orjson

from stream_app.alerts.matching import Matcher
from stream_app.alerts.records import AlertRecord, record_from_dict
from stream_app.alerts.saved import AlertStoreError
from stream_app.errors import StateError
from stream_app.kafka.alerting.deliveries import Matched, delivery_of
from stream_app.kafka.alerting.log_entries import flag_message
from stream_app.kafka.alerting.malformed import ignore
from stream_app.kafka.clients.producer import Send
from stream_app.kafka.clients.retry import Problem, retry
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import NotifierCounts
from stream_app.kafka.records import Batch, Record
from stream_app.kafka.state.outbox import Message

log = logging.getLogger(__name__)

#: Called with each flag record before it is matched: who owns the run may have to be subscribed first. It is called
#: again where it raises AlertStoreError.
Before = Callable[[AlertRecord], Awaitable[None]]


async def pass_on(
    batch: Batch,
    names: Names,
    matcher: Matcher,
    before: Before,
    send: Send,
    counts: NotifierCounts,
    owned: Callable[[], bool],
) -> None:
    """Writes what a batch of the topic of alerts means for subscriptions, and marks it done.

    Parameters
    ----------
    batch
        Records of the topic of alerts.
    names
        The topics.
    matcher
        Finds the subscriptions.
    before
        As of `Before`.
    send
        Sends messages; repeated while Kafka is away and the partition is `owned`.
    counts
        Where records are counted.
    owned
        Whether the partition still belongs to this process.

    Raises
    ------
    KafkaError
        An error that is not transient.
    """
    messages: list[Message] = []
    for record in batch.records:
        found = read_alert(record, counts)
        if found is not None:
            await retry(
                partial(before, found),
                Problem(log).report,
                "an owner cannot be subscribed",
                transient=lambda error: isinstance(error, AlertStoreError),
                wanted=owned,
            )
            messages.append(flag_message(names.alert_log, found, record.timestamp))
            messages += [
                delivery_of(names.deliveries, Matched(subscription.id, found, exact, record.timestamp))
                for subscription, exact in matcher.match(found)
            ]

    async def send_all() -> bool:
        await send(messages)
        return True

    topic = batch.records[0].topic
    if await retry(send_all, Problem(log).report, f"records of {topic} cannot be passed on", wanted=owned):
        counts.sources[topic] += len(batch.records)
        batch.done = True


def read_alert(record: Record, counts: NotifierCounts) -> AlertRecord | None:
    """The flag record in a record of the topic of alerts; None where there is none, which is counted.

    Parameters
    ----------
    record
        The record.
    counts
        Where records that hold none are counted.
    """
    try:
        return record_from_dict(orjson.loads(record.value or b"")["data"])
    except (KeyError, TypeError, AttributeError, ValueError, StateError) as error:
        ignore(record, f"it is no flag record: {error!r}", counts)
        return None
