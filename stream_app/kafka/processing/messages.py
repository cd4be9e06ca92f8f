"""Encodes outputs of the detector as the records that are sent.

A verdict also raises or withdraws an alert, and an outcome resolves it. Which graphlets have an open alert is state of
the partition, kept in rows beside the detector's and committed together with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import orjson

from stream_app import wire
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.events import Event
from stream_app.core.outputs import PRUNE, Closed, Example, Output, Verdict
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.records import FORMAT, Record
from stream_app.kafka.state.local_store import Row
from stream_app.kafka.state.outbox import Headers, Message
from stream_app.metrics.catalogue import EVICTED, WITHDRAWN
from stream_app.metrics.outputs import outcome_of

#: Prefix of the key of a row that marks an open alert; the graphlet's id follows.
ALERT = b"\x00alert/"
#: Bytes of a dead letter that are kept: it has to fit into a row of the state.
MAX_DEAD_LETTER = 4 << 20
#: Larger messages go to the events topic without what the detector does not read, which leaves 1 MiB at most.
LARGE_MESSAGE = 512 << 10

_CLOUD_EVENT = (("content-type", b"application/cloudevents+json"),)


class OutputEncoder:
    """Encodes outputs as messages, and remembers which alerts are open.

    Parameters
    ----------
    names
        The topics.
    rows
        The rows of the partition; only those of open alerts are read.
    renamed
        Old id -> new id of graphlets that an earlier release knew by another id; open alerts keep their flags.
    counts
        Where alerts are counted.
    """

    def __init__(self, names: Names, rows: Mapping[bytes, bytes], renamed: Mapping[str, str], counts: Counts) -> None:
        self._names = names
        self._counts = counts
        stored = {key[len(ALERT) :].decode() for key in rows if key.startswith(ALERT)}
        self._open = {renamed.get(graphlet, graphlet) for graphlet in stored}
        self._changed = dict.fromkeys(stored - self._open, False) | dict.fromkeys(self._open - stored, True)
        self._messages: list[Message] = []
        self._handlers = Handlers(self._verdict, self._example, self._closed)

    @property
    def open_flags(self) -> int:
        """Graphlets with an open alert."""
        return len(self._open)

    def encode(self, outputs: Iterable[Output]) -> list[Message]:
        """The records of these outputs, in order."""
        messages = self._messages = []
        dispatch(outputs, None, self._handlers)  # examples are learned from their topic, by all workers alike
        return messages

    def take_rows(self) -> list[Row]:
        """The rows of alerts opened and closed since the last call."""
        rows: list[Row] = [
            (ALERT + graphlet.encode(), b"1" if is_open else None) for graphlet, is_open in self._changed.items()
        ]
        self._changed.clear()
        return rows

    def _verdict(self, verdict: Verdict) -> None:
        record = wire.verdict_to_dict(verdict)
        self._messages.append(Message(self._names.verdicts, verdict.graphlet.encode(), orjson.dumps(record)))
        flagged = verdict.decision == PRUNE
        if flagged != (verdict.graphlet in self._open):
            self._set(verdict.graphlet, flagged)
            self._counts.raised += flagged
            self._counts.flags[WITHDRAWN] += not flagged
            kind: wire.AlertKind = "flagged" if flagged else "withdrawn"
            self._messages.append(self._alert(kind, record, verdict.revision))

    def _example(self, example: Example) -> None:
        body = orjson.dumps(wire.example_to_dict(example))
        self._messages.append(Message(self._names.examples, example.graphlet.encode(), body))
        if example.graphlet in self._open:
            self._set(example.graphlet, False)
            self._counts.flags[outcome_of(example)] += 1
            outcome = wire.outcome_to_dict(
                graphlet=example.graphlet,
                trainer=example.trainer,
                pushed=example.pushed,
                cause=example.cause,
                time_ms=example.time_ms,
            )
            self._messages.append(self._alert("resolved", outcome, example.label_revision))

    def _closed(self, closed: Closed) -> None:
        if closed.graphlet["graphlet"] in self._open:
            self._set(closed.graphlet["graphlet"], False)
            self._counts.flags[EVICTED] += 1

    def _alert(self, kind: wire.AlertKind, data: dict[str, object], revision: int) -> Message:
        alert = wire.alert(kind, data, revision)
        return Message(self._names.alerts, alert["subject"].encode(), orjson.dumps(alert), _CLOUD_EVENT)

    def _set(self, graphlet: str, is_open: bool) -> None:
        (self._open.add if is_open else self._open.discard)(graphlet)
        self._changed[graphlet] = is_open


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


def dead_letter(names: Names, record: Record, reason: str) -> Message:
    """The dead letter of a record that is not an event: its bytes, where it came from, and why.

    Parameters
    ----------
    names
        The topics.
    record
        The record; a value larger than `MAX_DEAD_LETTER` is truncated.
    reason
        Why it is not an event.
    """
    headers: Headers = (
        ("reason", reason.encode()),
        ("topic", record.topic.encode()),
        ("partition", b"%d" % record.partition),
        ("offset", b"%d" % record.offset),
        *(header for header in record.headers if header[0] == FORMAT),
    )
    value = record.value
    if value is None and record.key is None:
        value = b""  # a producer sends no record that has neither
    if value is not None and len(value) > MAX_DEAD_LETTER:
        headers += (("truncated", b"%d" % len(value)),)
        value = value[:MAX_DEAD_LETTER]
    return Message(names.dead_letters, record.key, value, headers)
