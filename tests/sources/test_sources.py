"""The registry of sources, the detection of formats, and dead letters."""

from __future__ import annotations

import base64

import orjson
import pytest

from stream_app.sources import NATIVE, OPENLINEAGE, SOURCES, DeadLetter, detect
from stream_app.sources.native import decode
from tests.sources.bad_input import BAD_INPUT, VALID

OPENLINEAGE_EVENT = {
    "eventType": "COMPLETE",
    "eventTime": "2026-03-01T06:12:40.250Z",
    "run": {"runId": "0195e2a1-0000-7000-8000-000000000000"},
    "job": {"namespace": "airflow", "name": "ads.train"},
    "producer": "https://github.com/apache/airflow",
}


def test_the_native_source_is_registered() -> None:
    """A format is looked up by the name that the command line takes."""
    assert decode is SOURCES[NATIVE]


@pytest.mark.parametrize(
    ("message", "source"),
    [
        (orjson.dumps(VALID), NATIVE),
        (orjson.dumps(OPENLINEAGE_EVENT), OPENLINEAGE),
        (orjson.dumps(VALID | {"properties": {"eventTime": "noon"}}), NATIVE),
        (orjson.dumps(VALID | {"eventTime": "noon"}), NATIVE),
        (b'"eventTime"', NATIVE),
        (b'{"eventTime":', NATIVE),
    ],
)
def test_the_format_is_told_by_keys(message: bytes, source: str) -> None:
    """OpenLineage has `eventTime` at the top; all else, readable or not, is the native decoder's."""
    assert source == detect(message)


def test_bad_input_of_any_kind_has_a_format() -> None:
    """Detection never fails: the decoder it names gives the reason."""
    assert {NATIVE} == {detect(bad.message) for bad in BAD_INPUT}


def test_a_dead_letter_keeps_the_message() -> None:
    """Text stays text; bytes that are none are kept in base64."""
    text = DeadLetter("{é".encode(), "events.jsonl:7", "not JSON")
    binary = DeadLetter(b"\xff\x00", "provenance/3/42", "not UTF-8")

    assert text.to_dict() == {"place": "events.jsonl:7", "reason": "not JSON", "message": "{é"}
    assert base64.b64decode(binary.to_dict()["message_base64"]) == b"\xff\x00"
    assert "message" not in binary.to_dict()
