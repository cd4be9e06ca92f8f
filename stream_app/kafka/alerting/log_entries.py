"""The records of the alert log: flags, what became of their messages, and who changed what.

Every notifier reads the whole log, which has one partition: all of them answer alike, and the offset of a record is its
number everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from stream_app.alerts.forgetting import Erasure
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.records import AlertRecord, record_from_dict, record_to_dict
from stream_app.alerts.saved import AuditEntry, Delivery
from stream_app.errors import StateError
from stream_app.kafka.alerting import bodies
from stream_app.kafka.state.outbox import Message

_FLAG, _DELIVERY, _AUDIT, _ERASURE = "flag", "delivery", "audit", "erasure"


@dataclass(frozen=True, slots=True)
class LoggedFlag:
    """A flag record.

    Parameters
    ----------
    number
        Its number in the log.
    logged_ms
        When it was logged in the topic of alerts, in ms since 1970 UTC.
    record
        The record.
    """

    number: int
    logged_ms: int
    record: AlertRecord


@dataclass(frozen=True, slots=True)
class LoggedAudit:
    """An entry of the audit log, with its number in the log."""

    number: int
    entry: AuditEntry


Logged: TypeAlias = LoggedFlag | Delivery | LoggedAudit | Erasure


def flag_message(topic: str, record: AlertRecord, logged_ms: int) -> Message:
    """The record of a flag record.

    Parameters
    ----------
    topic
        The alert log.
    record
        The flag record.
    logged_ms
        When it was logged, in ms since 1970 UTC.
    """
    body = {"kind": _FLAG, "logged_ms": logged_ms, "record": record_to_dict(record)}
    return Message(topic, record.subject.encode(), orjson.dumps(body))


def delivery_message(topic: str, subscription: str, entry: LogEntry) -> Message:
    """The record of an entry of the delivery log.

    Parameters
    ----------
    topic
        The alert log.
    subscription
        The id of the subscription.
    entry
        The entry.
    """
    body = {
        "kind": _DELIVERY,
        "subscription": subscription,
        "message": entry.message,
        "fate": entry.fate.value,
        "time_ms": entry.time_ms,
        "attempt": entry.attempt,
        "reason": entry.reason,
        "records": entry.records,
    }
    return Message(topic, subscription.encode(), orjson.dumps(body))


def audit_message(topic: str, entry: AuditEntry) -> Message:
    """The record of an entry of the audit log.

    Parameters
    ----------
    topic
        The alert log.
    entry
        The entry.
    """
    body = {"kind": _AUDIT, **entry._asdict()}
    return Message(topic, entry.subject.encode(), orjson.dumps(body))


def erasure_message(topic: str, erasure: Erasure) -> Message:
    """The record that lets every notifier erase what is logged of an owner.

    Parameters
    ----------
    topic
        The alert log.
    erasure
        What is erased.
    """
    body = {"kind": _ERASURE, "names": erasure.names, "owner": erasure.owner, "pseudonym": erasure.pseudonym}
    return Message(topic, erasure.pseudonym.encode(), orjson.dumps(body))


def read_entry(number: int, value: bytes) -> Logged:
    """Reads a record of the alert log.

    Parameters
    ----------
    number
        Its number.
    value
        Its value.

    Raises
    ------
    ValueError
        It is none.
    """
    try:
        body: dict[str, Any] = orjson.loads(value)
        kind = body["kind"]
        if kind == _FLAG:
            return LoggedFlag(number, bodies.number(body, "logged_ms"), record_from_dict(body["record"]))
        if kind == _DELIVERY:
            return Delivery(number, bodies.text(body, "subscription"), _log_entry(body))
        if kind == _AUDIT:
            who, what, subject, request = (bodies.text(body, name) for name in ("who", "what", "subject", "request"))
            return LoggedAudit(number, AuditEntry(bodies.number(body, "time_ms"), who, what, subject, request))
        if kind == _ERASURE:
            return Erasure(bodies.texts(body, "names"), bodies.text(body, "owner"), bodies.text(body, "pseudonym"))
    except (KeyError, TypeError, AttributeError, ValueError, StateError) as error:
        raise ValueError(f"no entry of the alert log: {error!r}") from None
    raise ValueError(f"no entry of the alert log: kind {kind!r}")


def _log_entry(body: Mapping[str, Any]) -> LogEntry:
    return LogEntry(
        message=bodies.text(body, "message"),
        fate=Fate(body["fate"]),
        time_ms=bodies.number(body, "time_ms"),
        attempt=bodies.number(body, "attempt"),
        reason=bodies.text(body, "reason"),
        records=bodies.texts(body, "records"),
    )
