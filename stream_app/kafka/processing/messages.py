"""Encodes outputs of the detector as the records that are sent.

Verdicts and outcomes also change flags. The state of flags is state of the partition, kept in rows beside the
detector's and committed together with them, and so are the records of their changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import orjson

from stream_app import wire
from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.records import AlertRecord, cloud_event
from stream_app.alerts.tracking import FORGET_MS, MAX_AGE_MS, FlagTracker
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.events import Event
from stream_app.core.ids import parse_graphlet_id
from stream_app.core.outputs import Closed, Example, Output, Verdict
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.closed_graphlets import closed_graphlet
from stream_app.kafka.records import FORMAT, Record
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Headers, Message
from stream_app.metrics.catalogue import EVICTED, WITHDRAWN
from stream_app.sources import NOTHING, Redaction

#: Prefix of the key of a flag's row; the flag's id follows. An earlier release marked flagged graphlets under it.
FLAG = b"\x00alert/"
#: The value of the rows of that release.
_OLD_ROW = b"1"
#: Bytes of a dead letter that are kept: it has to fit into a row of the state.
MAX_DEAD_LETTER = 4 << 20
#: Larger messages go to the events topic without what the detector does not read, which leaves 1 MiB at most.
LARGE_MESSAGE = 512 << 10

_CLOUD_EVENT = (("content-type", b"application/cloudevents+json"),)


class Trainer(Protocol):
    """A trainer, as far as flags need it."""

    run: str | None


#: Pipeline and trainer -> the trainer; None where it is not known.
RunOf = Callable[[str, str], Trainer | None]


class OutputEncoder:
    """Encodes outputs as messages, and follows the flags that they raise.

    Parameters
    ----------
    names
        The topics.
    rows
        The rows of the partition; only those of flags are read.
    renamed
        Old id -> new id of graphlets that an earlier release knew by another id; open flags stay open.
    run_of
        Given a pipeline and a trainer, returns the trainer with its run; None where it is not known any more.
    counts
        Where flags are counted.
    flag_age_ms
        How far the event time of a verdict may be behind its log time for a flag to be raised, in ms.

    Raises
    ------
    StateError
        The row of a flag cannot be read.
    """

    def __init__(
        self,
        names: Names,
        rows: Mapping[bytes, bytes],
        renamed: Mapping[str, str],
        run_of: RunOf,
        counts: Counts,
        flag_age_ms: int = MAX_AGE_MS,
    ) -> None:
        self._names = names
        self._counts = counts
        stored = {key[len(FLAG) :].decode(): row for key, row in rows.items() if key.startswith(FLAG)}
        old = [flag for flag, row in stored.items() if row == _OLD_ROW]
        self._tracker = FlagTracker({flag: row for flag, row in stored.items() if row != _OLD_ROW}, flag_age_ms)
        self._dropped = [FLAG + graphlet.encode() for graphlet in old]
        for graphlet in old:
            self._take_over(renamed.get(graphlet, graphlet), run_of)
        self._messages: list[Message] = []
        self._log_ms = 0
        self._handlers = Handlers(self._verdict, self._example, self._closed)

    @property
    def open_flags(self) -> int:
        """Flags that are open."""
        return self._tracker.open_flags

    def encode(self, outputs: Iterable[Output], log_ms: int) -> list[Message]:
        """The records of these outputs, in order.

        Parameters
        ----------
        outputs
            What the detector returned for a record.
        log_ms
            The log time of that record, in ms since 1970 UTC.
        """
        messages = self._messages = []
        self._log_ms = log_ms
        dispatch(outputs, None, self._handlers)  # examples are learned from their topic, by all workers alike
        return messages

    def tick(self, clocks: Mapping[str, int], log_ms: int) -> list[Message]:
        """The records of the steps of ladders whose time has come; see `FlagTracker.tick`.

        Parameters
        ----------
        clocks, log_ms
            As they are after a tick, whose outputs were encoded.
        """
        return [alert_message(self._names, each) for each in self._tracker.tick(clocks, log_ms)]

    def forget(self, log_ms: int) -> None:
        """Forgets flags that nothing has changed for long; `log_ms` is the log time of a tick."""
        self._counts.flags[EVICTED] += self._tracker.forget(log_ms - FORGET_MS)

    def take_rows(self) -> list[Row]:
        """The rows of flags that have changed since the last call."""
        dropped, self._dropped = self._dropped, []
        rows: dict[bytes, bytes | None] = dict.fromkeys(dropped)
        return [*(rows | {FLAG + flag.encode(): row for flag, row in self._tracker.take_rows()}).items()]

    def _take_over(self, graphlet: str, run_of: RunOf) -> None:
        """Opens the flag of a graphlet that an earlier release had flagged, unless its trainer was evicted."""
        name = parse_graphlet_id(graphlet)
        if name is None:
            return
        if name.trainer is None:
            self._tracker.take_over(name.pipeline, name.run, None)
            return
        found = run_of(name.pipeline, name.trainer)
        if found is not None:
            self._tracker.take_over(name.pipeline, found.run, name.trainer)

    def _verdict(self, verdict: Verdict) -> None:
        body = orjson.dumps(wire.verdict_to_dict(verdict))
        self._messages.append(Message(self._names.verdicts, verdict.graphlet.encode(), body))
        self._announce(self._tracker.verdict(verdict, self._log_ms))

    def _example(self, example: Example) -> None:
        body = orjson.dumps(wire.example_to_dict(example))
        self._messages.append(Message(self._names.examples, example.graphlet.encode(), body))
        self._announce(self._tracker.example(example, self._log_ms))

    def _closed(self, closed: Closed) -> None:
        self._messages.append(closed_graphlet(self._names, closed))

    def _announce(self, record: FlagRecord | None) -> None:
        if record is None:
            return
        self._counts.raised += record.change is Change.RAISED
        if record.is_end and not record.correction:
            self._counts.flags[record.outcome.value if record.outcome is not None else WITHDRAWN] += 1
        self._messages.append(alert_message(self._names, record))


def alert_message(names: Names, record: AlertRecord) -> Message:
    """The message of the topic of alerts that a change of a flag or finding becomes.

    Parameters
    ----------
    names
        The topics.
    record
        The change.
    """
    return Message(names.alerts, record.subject.encode(), orjson.dumps(cloud_event(record)), _CLOUD_EVENT)


def native_message(event: Event, message: bytes | None = None) -> bytes:
    """The message of the events topic that an event becomes.

    Parameters
    ----------
    event
        The event.
    message
        The native message that it was read from, which is passed on as it is unless it is large.
    """
    if message is not None and len(message) <= LARGE_MESSAGE:
        return message
    return orjson.dumps(wire.event_to_dict(event))


def dead_letter(names: Names, record: Record, reason: str, redaction: Redaction = NOTHING) -> Message:
    """The dead letter of a record that is not an event: its bytes, where it came from, and why.

    Parameters
    ----------
    names
        The topics.
    record
        The record; a value larger than `MAX_DEAD_LETTER` is truncated.
    reason
        Why it is not an event.
    redaction
        What is not kept of messages: where it drops anything, neither key nor value are kept.
    """
    headers: Headers = (
        ("reason", reason.encode()),
        ("topic", record.topic.encode()),
        ("partition", b"%d" % record.partition),
        ("offset", b"%d" % record.offset),
        *(header for header in record.headers if header[0] == FORMAT),
    )
    key, value = record.key, record.value
    if redaction:
        return Message(names.dead_letters, None, b"", (*headers, ("truncated", b"%d" % len(value or b""))))
    if value is None and key is None:
        value = b""  # a producer sends no record that has neither
    if value is not None and len(value) > MAX_DEAD_LETTER:
        headers += (("truncated", b"%d" % len(value)),)
        value = value[:MAX_DEAD_LETTER]
    return Message(names.dead_letters, key, value, headers)
