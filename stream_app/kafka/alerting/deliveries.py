"""The records of the topic of deliveries: what a subscription is to hear, keyed by the subscription."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import orjson

from stream_app.alerts.records import AlertRecord, record_from_dict, record_to_dict
from stream_app.errors import StateError
from stream_app.kafka.alerting import bodies
from stream_app.kafka.state.outbox import Message

_MATCHED, _AGAIN = "matched", "again"


@dataclass(frozen=True, slots=True)
class Matched:
    """A flag record that matters to a subscription.

    Parameters
    ----------
    subscription
        The id of the subscription.
    record
        The record.
    exact
        As of `Match`.
    logged_ms
        When the record was logged, in ms since 1970 UTC.
    """

    subscription: str
    record: AlertRecord
    exact: bool
    logged_ms: int


@dataclass(frozen=True, slots=True)
class Again:
    """A message that somebody wants to be sent again.

    Parameters
    ----------
    subscription
        The id of the subscription.
    message
        The id of the message.
    records
        Its records.
    """

    subscription: str
    message: str
    records: tuple[AlertRecord, ...]


ToDeliver: TypeAlias = Matched | Again


def delivery_of(topic: str, delivery: ToDeliver) -> Message:
    """The record of a delivery.

    Parameters
    ----------
    topic
        The topic of deliveries.
    delivery
        The delivery.
    """
    if isinstance(delivery, Matched):
        body = {
            "kind": _MATCHED,
            "record": record_to_dict(delivery.record),
            "exact": delivery.exact,
            "logged_ms": delivery.logged_ms,
        }
    else:
        records = [record_to_dict(each) for each in delivery.records]
        body = {"kind": _AGAIN, "message": delivery.message, "records": records}
    return Message(topic, delivery.subscription.encode(), orjson.dumps(body))


def read_delivery(key: bytes | None, value: bytes | None) -> ToDeliver:
    """Reads a record of the topic of deliveries.

    Parameters
    ----------
    key, value
        Of the record.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        body = orjson.loads(value or b"")
        subscription = (key or b"").decode()
        if not subscription:
            raise ValueError("it has no key")
        if body["kind"] == _MATCHED:
            record = record_from_dict(body["record"])
            return Matched(subscription, record, bool(body["exact"]), bodies.number(body, "logged_ms"))
        if body["kind"] == _AGAIN:
            records = tuple(record_from_dict(each) for each in body["records"])
            if not records:
                raise ValueError("it has no records")
            return Again(subscription, bodies.text(body, "message"), records)
    except (KeyError, TypeError, AttributeError, ValueError, StateError) as error:
        raise ValueError(f"no delivery: {error!r}") from None
    raise ValueError(f"no delivery: kind {body['kind']!r}")
