"""Decoders: bytes become an event, nothing, or a refusal, and an event that is written is the same when it is read."""

from __future__ import annotations

import base64
import gzip
import hmac
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from stream_app.core.events import Event
from stream_app.errors import MalformedEvent
from stream_app.sources import NATIVE, SOURCES, DeadLetter, Decode, detect
from stream_app.sources import openlineage_rules as rules
from stream_app.sources.faults import kind_of
from stream_app.sources.mlflow import RejectedWebhook, Rules, decode_webhook
from stream_app.sources.openlineage import OpenLineage
from stream_app.sources.openlineage_rules import DatasetRule, JobRule
from stream_app.times import EARLIEST_MS, LATEST_MS, foreign_to_time, text_to_time, time_to_text
from stream_app.wire import event_to_dict

MAX_BYTES = 4096
NOW_MS = 1_800_000_000_000
#: Characters of the longest reason, as a dead letter may repeat 80 characters of a value and of a path.
REASON_MAX = 400
#: Bytes up to which a message may also be the text of a time.
_TIME_BYTES = 64

_SECRET = "s3cret"
_RULES = Rules(pushed_tags=("deployed",), promoted_tag="promoted_at")
_JOBS = (JobRule(name=r".*\.fit", group="train"), JobRule(name=r"(\w*)-(.*)", pipeline=r"\2"))
_RULED = OpenLineage(rules.Rules(_JOBS, [DatasetRule("Model", name="m.*")]), ZoneInfo("Europe/Berlin"))
_DECODERS: tuple[Decode, ...] = (*SOURCES.values(), _RULED.decode)


def check(message: bytes) -> None:
    """Every decoder reads a message as is documented, whatever it is of."""
    assert SOURCES[detect(message)]
    for decode in _DECODERS:
        event = _decoded(decode, message)
        if b"specversion" not in message and b"\\u" not in message:
            _check_forms(decode, message, event)
    _check_webhook(message)
    if len(message) <= _TIME_BYTES:
        _check_time(message.decode(errors="replace"))


def _check_time(text: str) -> None:
    """What one reader of times takes the other does, too, and a time that is written is the same when it is read."""
    times: list[int | None] = []
    for read in (text_to_time, lambda text: foreign_to_time(text, UTC)):
        try:
            times.append(read(text))
        except ValueError:
            times.append(None)
    strict, foreign = times
    assert strict is None or strict == foreign, times
    for time_ms in times:
        if time_ms is not None and EARLIEST_MS <= time_ms < LATEST_MS:
            assert text_to_time(time_to_text(time_ms)) == time_ms


def _decoded(decode: Decode, message: bytes) -> Event | str | None:
    """The event, or the reason of its refusal."""
    try:
        event = decode(message, None)
    except MalformedEvent as error:
        return check_reason(message, error)
    if event is not None:
        check_written(event)
    return event


def check_written(event: Event) -> None:
    """An event is the same after it was written in the native form and read again."""
    written = orjson.dumps(event_to_dict(event))
    again = SOURCES[NATIVE](written, None)
    assert again == event, (again, event)
    assert again is not None
    assert again.dropped == 0
    assert orjson.dumps(event_to_dict(again)) == written


def check_reason(message: bytes, error: MalformedEvent) -> str:
    """The reason of a refusal, which is one short line that can be stored and counted."""
    reason = str(error)
    assert reason.isprintable(), reason
    assert len(reason) < REASON_MAX, reason
    assert kind_of(reason)
    assert orjson.dumps(DeadLetter(message, "a/0/1", reason).to_dict())
    return reason


def _check_forms(decode: Decode, message: bytes, event: Event | str | None) -> None:
    """The same in a CloudEvent, and with a field that nobody reads and no parser takes."""
    enveloped = orjson.dumps({"specversion": "1.0", "data_base64": base64.b64encode(message).decode()})
    assert _same(_decoded(decode, enveloped), event), "in a CloudEvent it is another"
    if message[:1] == b"{" and message[-1:] == b"}" and message[1:-1].strip():
        tolerated = message[:-1] + b',"xNobody":NaN}'
        assert _same(_decoded(decode, tolerated), event), "with a field that nobody reads it is another"


def _same(one: Event | str | None, other: Event | str | None) -> bool:
    """Whether two readings agree; reasons may differ, as they have other offsets."""
    return one == other or (type(one) is str and type(other) is str)


def _check_webhook(body: bytes) -> None:
    sent = str(NOW_MS // 1000)
    digest = hmac.digest(_SECRET.encode(), f"d1.{sent}.".encode() + body, "sha256")
    headers = {
        "X-MLflow-Signature": "v1," + base64.b64encode(digest).decode(),
        "X-MLflow-Timestamp": sent,
        "X-MLflow-Delivery-Id": "d1",
    }
    try:
        event = decode_webhook(headers, body, _SECRET, NOW_MS, _RULES)
    except MalformedEvent as error:
        check_reason(body, error)
        return
    if event is not None:
        assert event.time_ms <= NOW_MS
        check_written(event)
    try:
        decode_webhook(headers, body + b" ", _SECRET, NOW_MS, _RULES)
    except RejectedWebhook:
        return
    raise AssertionError("it is taken with the signature of another body")


def seeds() -> Iterator[bytes]:
    """Messages of the tests: good and bad native events, recorded and made OpenLineage, deliveries, envelopes."""
    from tests.sources.bad_input import BAD_INPUT, VALID
    from tests.sources.openlineage_events import dataset, run_event

    whole = orjson.dumps(VALID)
    yield whole
    yield orjson.dumps({"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": VALID})
    yield from (bad.message for bad in BAD_INPUT if len(bad.message) <= MAX_BYTES)
    yield orjson.dumps(run_event(inputs=[dataset("data", "3")], outputs=[dataset("model")], parent=("r", "vision")))
    yield b"2026-03-01T06:00:60.5+01:00"
    yield b"2026-03-01 06:00,5 +01[Europe/Berlin]"
    yield b"1772368496.789"
    yield from webhook_bodies()
    yield from recorded_events()


def recorded_events() -> Iterator[bytes]:
    """Some events of each recording, without facets that nobody reads."""
    folder = Path(__file__).parents[2] / "recordings"
    for path in sorted(folder.rglob("*.gz")):
        lines = gzip.decompress(path.read_bytes()).splitlines()
        yield from (line for line in lines[:: max(1, len(lines) // 8)] if len(line) <= MAX_BYTES)


def webhook_bodies() -> Iterator[bytes]:
    """One of each kind that is read."""
    data: dict[str, Any] = {"name": "digits", "version": "3", "run_id": "r1"}
    for entity, action, more in (
        ("model_version", "created", {"tags": {"a": "b"}}),
        ("model_version_alias", "created", {"alias": "champion"}),
        ("model_version_tag", "set", {"key": "deployed", "value": "true"}),
        ("model_version_tag", "set", {"key": "promoted_at", "value": "2023-11-14T22:13:19Z"}),
        ("registered_model", "created", {}),
    ):
        yield orjson.dumps(
            {"entity": entity, "action": action, "timestamp": "2023-11-14T22:13:19.5Z", "data": {**data, **more}}
        )
