"""Properties whose values are not kept: by names and wildcards, in executions and artifacts, from any source."""

from __future__ import annotations

import orjson
import pytest

from stream_app.core.events import ArtifactRef, Event
from stream_app.errors import MalformedEvent, OptionsError
from stream_app.options import load
from stream_app.replay.decoding import Redacted, decode
from stream_app.sources import NATIVE, OPENLINEAGE, SOURCES, Redaction, make_sources
from stream_app.sources.native import decode as native
from stream_app.sources.redaction import NEEDED

PERSON = "grace.hopper@example.com"
NAMES = ["owner", "*mail*"]
EVENT = Event(
    1_772_368_496_789, "ads", "t", "Trainer", "COMPLETE", "r",
    (ArtifactRef("data", "Examples", {"e_mail": PERSON, "MAIL": PERSON, "span": 3}),),
    (ArtifactRef("model", "Model"),),
    properties={"owner": PERSON, "Owner": PERSON, "auc": 0.8},
)  # fmt: skip


def native_message(**more: object) -> bytes:
    """A native message with a person in a property."""
    execution = {"id": "t", "type": "Trainer", "state": "NEW"}
    properties = {"owner": PERSON, "auc": 0.8}
    document = {"time": "2026-03-01T06:12:40Z", "pipeline": "ads", "execution": execution, "properties": properties}
    return orjson.dumps(document | more)


def lineage_message() -> bytes:
    """The same from OpenLineage, by whose facet of ownership a run has an owner."""
    return orjson.dumps(
        {
            "eventType": "START", "eventTime": "2026-03-01T06:12:40Z",
            "run": {
                "runId": "0195e2a1-0000-7000-8000-000000000000",
                "facets": {"streamApp_execution": {"properties": {"reply_mail": PERSON, "auc": 0.8}}},
            },
            "job": {
                "namespace": "airflow", "name": "ads.train",
                "facets": {"ownership": {"owners": [{"name": PERSON, "type": "MAINTAINER"}]}},
            },
        }
    )  # fmt: skip


def test_properties_are_dropped_by_name() -> None:
    """Of the execution and of its artifacts, in whatever case; all else stays, and so does the event that was given."""
    kept = Redaction(NAMES).event(EVENT)

    assert kept.properties == {"auc": 0.8}
    assert [each.properties for each in (*kept.inputs, *kept.outputs)] == [{"span": 3}, {}]
    assert (kept.time_ms, kept.run, kept.outputs) == (EVENT.time_ms, EVENT.run, EVENT.outputs)
    assert EVENT.properties["owner"] == PERSON


def test_nothing_is_done_where_nothing_is_set() -> None:
    """Events and decoders are the very same."""
    assert Redaction().event(EVENT) is EVENT
    assert make_sources()[NATIVE] is native
    assert Redaction().reason("owner: expected a string, got 3") == "owner: expected a string, got 3"
    assert Redaction().message(b"x") == b"x"


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_what_decides_an_outcome_stays(name: str) -> None:
    """A wildcard does not reach it, and its name is refused."""
    event = Event(0, "ads", "t", "Trainer", "NEW", properties={name: "x", "other": "y"})

    assert Redaction(["*"]).event(event).properties == {name: "x"}
    with pytest.raises(ValueError, match=f"the property {name} decides"):
        Redaction([name.upper()])


@pytest.mark.parametrize("message", [native_message(), lineage_message()], ids=["native", "openlineage"])
def test_every_decoder_drops_them(message: bytes) -> None:
    """The owner that a facet names is the property `owner`."""
    plain = decode(message)
    redacted = decode(message, sources=make_sources(redaction=Redaction(NAMES)))

    assert plain is not None
    assert redacted is not None
    assert PERSON in str(plain)
    assert PERSON not in str(redacted)
    assert redacted.properties["auc"] == 0.8


@pytest.mark.parametrize(
    "message",
    [
        native_message(time=PERSON),
        native_message(pipeline=f"\x00{PERSON}"),
        native_message(properties=PERSON),
        native_message(inputs=[PERSON]),
        native_message()[:-1] + f" {PERSON}".encode(),
        f'{{"owner": "{PERSON}" '.encode(),
        f"log: {PERSON} ".encode() + native_message(),
        orjson.dumps(PERSON),
        orjson.dumps({"eventTime": PERSON, "run": {}, "job": {}}),
        orjson.dumps({"specversion": "1.0", "data_base64": PERSON}),
    ],
)  # fmt: skip
def test_a_reason_does_not_repeat_the_message(message: bytes) -> None:
    """It still says what is wrong, and where."""
    with pytest.raises(MalformedEvent) as plain:
        decode(message)
    with pytest.raises(MalformedEvent) as redacted:
        decode(message, sources=make_sources(redaction=Redaction(NAMES)))

    assert PERSON[:10] not in str(redacted.value)
    assert str(redacted.value)
    assert str(plain.value).startswith(str(redacted.value))


def test_what_is_written_is_the_native_form() -> None:
    """A message may have the value elsewhere, and one that is no event has it anywhere: it is left out."""
    messages = Redacted(
        [native_message(note=PERSON), lineage_message(), b"{", orjson.dumps({"owner": PERSON})],
        make_sources(redaction=Redaction(NAMES)),
    )
    written = list(messages)

    assert [orjson.loads(each)["properties"]["auc"] for each in written] == [0.8, 0.8]
    assert PERSON.encode() not in b"".join(written)
    assert messages.left_out == 2
    assert [SOURCES[NATIVE](each, None).pipeline for each in written] == ["ads", "airflow/ads"]  # type: ignore[union-attr]
    assert set(SOURCES) == {NATIVE, OPENLINEAGE}


def test_the_setting_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, in one line."""
    monkeypatch.setenv("STREAM_APP_SOURCES_REDACT", '["owner", "*mail*"]')
    assert load().sources.redact == ("owner", "*mail*")
    for wrong, says in (('["pushed"]', "the property pushed decides what became of a run"), ('[""]', "SOURCES_REDACT")):
        monkeypatch.setenv("STREAM_APP_SOURCES_REDACT", wrong)
        with pytest.raises(OptionsError, match=says):
            load()
