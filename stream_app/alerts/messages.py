"""Messages, what a mailbox knows of a flag or finding, and what became of either: values."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from stream_app.alerts.records import AlertRecord
from stream_app.core.ids import parse_graphlet_id, pipeline_of_finding


class Fate(StrEnum):
    """What became of a record or a message."""

    SENT = "sent"
    FAILED = "failed"
    #: Not sent: the reason tells why.
    DROPPED = "dropped"
    #: Tried again later, which is no failure: the reason tells why.
    POSTPONED = "postponed"
    #: Given up after the last attempt, or since the subscription was disabled.
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An entry of the delivery log.

    Parameters
    ----------
    message
        The id of the message, or of the record where no message was made of it.
    fate
        What became of it.
    time_ms
        When, in ms since 1970 UTC.
    attempt
        The number of the attempt, from 1; 0 where there was none.
    reason
        Why it failed, was not sent, or was sent with the default text; else "".
    records
        The ids of the records of the message.
    """

    message: str
    fate: Fate
    time_ms: int
    attempt: int = 0
    reason: str = ""
    records: tuple[str, ...] = ()

    def pipelines(self) -> set[str]:
        """The pipelines of its records; "" for one that is not known."""
        return {_pipeline_of(each.rpartition("#")[0]) for each in self.records or (self.message,)}


@dataclass(slots=True)
class Message:
    """One message with one record, or with several that were collected.

    Parameters
    ----------
    id
        The same at every attempt.
    records
        The latest record of each flag, or of each finding, in the order in which they came.
    due_ms
        When it may be sent, in ms since 1970 UTC.
    collects
        What it collects until it is due: the group's name, or "" for a digest; None: nothing.
    attempts
        Attempts that have failed.
    number
        Its place in the order in which the messages of the mailbox were made.
    """

    id: str
    records: list[AlertRecord]
    due_ms: int
    collects: str | None = None
    attempts: int = 0
    number: int = 0

    @property
    def subjects(self) -> set[str]:
        """The flags or findings that its records are about."""
        return {record.subject for record in self.records}


@dataclass(slots=True)
class FlagState:
    """What a subscription has heard of a flag.

    Parameters
    ----------
    revision
        Of the last record accepted.
    announced
        Whether a message says that it is open.
    announced_ms
        When that message was made, in ms since 1970 UTC.
    attempted
        Whether an attempt was made to send it.
    held, ready_ms
        Records that wait, and when they become a message.
    touched_ms
        When it was changed last.
    """

    revision: int = 0
    announced: bool = False
    announced_ms: int = 0
    attempted: bool = False
    held: list[AlertRecord] = field(default_factory=list)
    ready_ms: int = 0
    touched_ms: int = 0


def first_due(messages: Iterable[Message], now_ms: int) -> Message | None:
    """The first message that may be sent: the records of a flag keep their order.

    Parameters
    ----------
    messages
        The messages of a mailbox, in their order.
    now_ms
        The time in ms since 1970 UTC.
    """
    blocked: set[str] = set()
    for message in messages:
        if message.due_ms <= now_ms and not blocked & message.subjects:
            return message
        blocked |= message.subjects
    return None


def _pipeline_of(subject: str) -> str:
    name = parse_graphlet_id(subject)
    return (name.pipeline if name is not None else pipeline_of_finding(subject)) or ""
