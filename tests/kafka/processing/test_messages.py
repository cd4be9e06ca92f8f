"""What is sent when the detector says something."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest

from stream_app import wire
from stream_app.core.outputs import CONTINUE, INPUT, PRUNE, WARN, Closed, Example, Verdict
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.messages import ALERT, MAX_DEAD_LETTER, OutputEncoder, dead_letter
from tests.support.kafka_records import record

NAMES = Names("g")
VERDICT = Verdict(
    graphlet="p/t",
    pipeline="p",
    run="r",
    trainer="t",
    stage=INPUT,
    validator=None,
    p_push=0.01,
    decision=CONTINUE,
    threshold=0.1,
    score=0.01,
    cost=1.0,
    cost_left=2.0,
    reasons=[],
    model="1",
    held_back=None,
    withdrawn=None,
    pushes_missing=0,
    mode="enforce",
    budget=0.01,
    holdout=False,
    propensity=1.0,
    revision=1,
    time_ms=1_700_000_000_000,
)
EXAMPLE = Example("p/t", "p", "r", "t", "owner", False, "failed", 1_700_000_000_000, 1_700_000_000_000, 1, [])


def said(encoder: OutputEncoder, *outputs: Verdict | Example | Closed) -> list[tuple[str, str]]:
    """Topic and id of each message."""
    return [(m.topic, orjson.loads(m.value or b"")["id"]) for m in encoder.encode(outputs)]


def test_verdicts_and_examples_are_said_as_they_are() -> None:
    """Keyed by graphlet, in their JSON form."""
    verdict, example = OutputEncoder(NAMES, {}, {}, Counts()).encode([VERDICT, EXAMPLE])

    assert (verdict.topic, verdict.key) == ("g-verdicts", b"p/t")
    assert orjson.loads(verdict.value or b"") == wire.verdict_to_dict(VERDICT)
    assert (example.topic, example.key) == ("g-examples", b"p/t")
    assert orjson.loads(example.value or b"") == wire.example_to_dict(EXAMPLE)


def test_an_alert_is_raised_once_and_withdrawn() -> None:
    """A flag that stays is no news; one that goes is."""
    verdicts = [replace(VERDICT, decision=d, revision=n) for n, d in enumerate((WARN, PRUNE, PRUNE, CONTINUE), 1)]

    assert said(OutputEncoder(NAMES, {}, {}, Counts()), *verdicts) == [
        ("g-verdicts", "p/t#1"),
        ("g-verdicts", "p/t#2"),
        ("g-alerts", "flagged:p/t#2"),
        ("g-verdicts", "p/t#3"),
        ("g-verdicts", "p/t#4"),
        ("g-alerts", "withdrawn:p/t#4"),
    ]


def test_an_outcome_resolves_an_open_alert_only() -> None:
    """Nobody was told of a graphlet that was never flagged."""
    flagged = replace(VERDICT, decision=PRUNE)

    assert said(OutputEncoder(NAMES, {}, {}, Counts()), VERDICT, EXAMPLE)[2:] == []
    assert said(OutputEncoder(NAMES, {}, {}, Counts()), flagged, EXAMPLE)[2:] == [
        ("g-examples", "p/t#1"),
        ("g-alerts", "resolved:p/t#1"),
    ]


def test_flags_are_counted_by_what_became_of_them() -> None:
    """Withdrawn, ended by an outcome, or evicted before there was one; a flag that stands is raised once."""
    counts = Counts()
    encoder = OutputEncoder(NAMES, {}, {}, counts)
    flagged = replace(VERDICT, decision=PRUNE)
    encoder.encode([flagged, replace(flagged, revision=2), VERDICT, flagged, EXAMPLE, flagged])
    open_now = encoder.open_flags
    encoder.encode([Closed({"graphlet": "p/t"})])

    assert (counts.raised, open_now, encoder.open_flags) == (3, 1, 0)
    assert counts.flags == {"withdrawn": 1, "pushed": 0, "not_pushed": 1, "pruned": 0, "unknown": 0, "evicted": 1}


def test_alerts_are_cloud_events() -> None:
    """As the content type says, so that receivers need not look inside."""
    alert = OutputEncoder(NAMES, {}, {}, Counts()).encode([replace(VERDICT, decision=PRUNE)])[1]

    assert dict(alert.headers)["content-type"] == b"application/cloudevents+json"
    assert orjson.loads(alert.value or b"")["specversion"] == "1.0"


def test_open_alerts_are_state() -> None:
    """Another worker that takes the partition over knows them from its rows."""
    first = OutputEncoder(NAMES, {}, {}, Counts())
    first.encode([replace(VERDICT, decision=PRUNE)])
    rows = {key: value for key, value in first.take_rows() if value is not None}
    second = OutputEncoder(NAMES, rows, {}, Counts())

    assert said(second, EXAMPLE)[1:] == [("g-alerts", "resolved:p/t#1")]
    assert second.take_rows() == [(key, None) for key in rows]
    assert first.take_rows() == []


def test_a_closed_graphlet_leaves_no_row() -> None:
    """Whatever is evicted takes its alert with it, without a word."""
    encoder = OutputEncoder(NAMES, {}, {}, Counts())
    encoder.encode([replace(VERDICT, decision=PRUNE)])
    encoder.take_rows()

    assert encoder.encode([Closed({"graphlet": "p/t"})]) == []
    assert [value for _, value in encoder.take_rows()] == [None]


def test_a_dead_letter_is_bounded() -> None:
    """A record of any size fits, and says how long it was."""
    letter = dead_letter(NAMES, record(0, b"x" * (MAX_DEAD_LETTER + 1)), "too long")

    assert len(letter.value or b"") == MAX_DEAD_LETTER
    assert dict(letter.headers)["truncated"] == b"%d" % (MAX_DEAD_LETTER + 1)


@pytest.mark.parametrize(("key", "value", "kept"), [(None, None, b""), (b"k", None, None), (None, b"v", b"v")])
def test_a_dead_letter_can_be_sent(key: bytes | None, value: bytes | None, kept: bytes | None) -> None:
    """A producer refuses a record with neither key nor value, of which others may have sent us one."""
    letter = dead_letter(NAMES, record(0, value, key=key), "empty message: expected a JSON object")

    assert (letter.key, letter.value) == (key, kept)


def test_an_open_alert_keeps_its_flag_when_the_graphlet_is_renamed() -> None:
    """An earlier release knew it by another id: its row moves, and the flag is not raised again."""
    rows = {ALERT + b"team/ads/train": b"1", ALERT + b"p/t": b"1"}
    encoder = OutputEncoder(NAMES, rows, {"team/ads/train": "team~1ads/train"}, Counts())
    flagged = replace(VERDICT, graphlet="team~1ads/train", decision=PRUNE)

    assert encoder.open_flags == 2
    assert sorted(encoder.take_rows()) == [(ALERT + b"team/ads/train", None), (ALERT + b"team~1ads/train", b"1")]
    assert [message.topic for message in encoder.encode([flagged])] == [NAMES.verdicts]
