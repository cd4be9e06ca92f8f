"""What is sent when the detector says something."""

from __future__ import annotations

from dataclasses import dataclass, replace

import orjson
import pytest

from stream_app import wire
from stream_app.alerts.tracking import FORGET_MS
from stream_app.core.outputs import CONTINUE, INPUT, PRUNE, WARN, Closed, Example, Verdict
from stream_app.core.units import DAY_MS
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.messages import FLAG, MAX_DEAD_LETTER, OutputEncoder, dead_letter
from tests.support.kafka_records import record

NAMES = Names("g")
NOW = 1_700_000_000_000
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


@dataclass
class Running:
    """A trainer in a run."""

    run: str | None


def no_run(_: str, __: str) -> Running | None:
    """No trainer is known."""
    return None


def said(encoder: OutputEncoder, *outputs: Verdict | Example | Closed) -> list[tuple[str, str]]:
    """Topic and id of each message."""
    return [(m.topic, orjson.loads(m.value or b"")["id"]) for m in encoder.encode(outputs, NOW)]


def test_verdicts_and_examples_are_said_as_they_are() -> None:
    """Keyed by graphlet, in their JSON form."""
    verdict, example = OutputEncoder(NAMES, {}, {}, no_run, Counts()).encode([VERDICT, EXAMPLE], NOW)

    assert (verdict.topic, verdict.key) == ("g-verdicts", b"p/t")
    assert orjson.loads(verdict.value or b"") == wire.verdict_to_dict(VERDICT)
    assert (example.topic, example.key) == ("g-examples", b"p/t")
    assert orjson.loads(example.value or b"") == wire.example_to_dict(EXAMPLE)


def test_changes_of_a_flag_follow_their_verdicts() -> None:
    """Keyed by flag, so that its records keep their order."""
    verdicts = [replace(VERDICT, decision=d, revision=n) for n, d in enumerate((WARN, PRUNE, PRUNE, CONTINUE), 1)]
    encoder = OutputEncoder(NAMES, {}, {}, no_run, Counts())
    messages = encoder.encode(verdicts, NOW)

    assert [(m.topic, orjson.loads(m.value or b"")["id"]) for m in messages] == [
        ("g-verdicts", "p/t#1"),
        ("g-verdicts", "p/t#2"),
        ("g-alerts", "p/run:r#1"),
        ("g-verdicts", "p/t#3"),
        ("g-alerts", "p/run:r#2"),
        ("g-verdicts", "p/t#4"),
        ("g-alerts", "p/run:r#3"),
    ]
    assert {m.key for m in messages if m.topic == "g-alerts"} == {b"p/run:r"}


def test_an_outcome_resolves_an_open_flag_only() -> None:
    """Nobody was told of a graphlet that was never flagged."""
    flagged = replace(VERDICT, decision=PRUNE)

    assert said(OutputEncoder(NAMES, {}, {}, no_run, Counts()), VERDICT, EXAMPLE)[2:] == []
    assert said(OutputEncoder(NAMES, {}, {}, no_run, Counts()), flagged, EXAMPLE)[2:] == [
        ("g-examples", "p/t#1"),
        ("g-alerts", "p/run:r#2"),
    ]


def test_nothing_is_raised_for_a_history_that_is_read_late() -> None:
    """Its verdicts are sent all the same."""
    flagged = replace(VERDICT, decision=PRUNE)
    messages = OutputEncoder(NAMES, {}, {}, no_run, Counts()).encode([flagged, EXAMPLE], NOW + DAY_MS)

    assert [m.topic for m in messages] == ["g-verdicts", "g-examples"]


def test_flags_are_counted_by_what_became_of_them() -> None:
    """Withdrawn, ended by an outcome, or forgotten before there was one; a correction is no second end."""
    counts = Counts()
    encoder = OutputEncoder(NAMES, {}, {}, no_run, counts)
    flagged = replace(VERDICT, decision=PRUNE)
    other = replace(flagged, run="r2", graphlet="p/t2", trainer="t2")
    corrected = replace(EXAMPLE, pushed=True, cause="pushed", label_revision=2)
    encoder.encode([flagged, replace(flagged, revision=2), VERDICT, flagged, EXAMPLE, corrected, other], NOW)
    open_now = encoder.open_flags
    encoder.forget(NOW + FORGET_MS + 1)

    assert (counts.raised, open_now, encoder.open_flags) == (3, 1, 0)
    assert counts.flags == {
        "withdrawn": 1, "pushed": 0, "not_pushed": 1, "pruned": 0, "unknown": 0, "overridden": 0, "evicted": 1,
    }  # fmt: skip


def test_alerts_are_cloud_events() -> None:
    """As the content type says, so that receivers need not look inside."""
    alert = OutputEncoder(NAMES, {}, {}, no_run, Counts()).encode([replace(VERDICT, decision=PRUNE)], NOW)[1]

    assert dict(alert.headers)["content-type"] == b"application/cloudevents+json"
    assert orjson.loads(alert.value or b"")["specversion"] == "1.0"


def test_flags_are_state() -> None:
    """Another worker that takes the partition over knows them from its rows."""
    first = OutputEncoder(NAMES, {}, {}, no_run, Counts())
    first.encode([replace(VERDICT, decision=PRUNE)], NOW)
    rows = {key: value for key, value in first.take_rows() if value is not None}
    second = OutputEncoder(NAMES, rows, {}, no_run, Counts())

    assert said(second, EXAMPLE)[1:] == [("g-alerts", "p/run:r#2")]
    assert [key for key, _ in second.take_rows()] == list(rows)
    assert first.take_rows() == []


def test_a_forgotten_flag_leaves_no_row() -> None:
    """A tick long after its last change drops it, without a word."""
    encoder = OutputEncoder(NAMES, {}, {}, no_run, Counts())
    encoder.encode([replace(VERDICT, decision=PRUNE)], NOW)
    encoder.take_rows()
    encoder.forget(NOW + FORGET_MS + 1)

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


def test_an_open_alert_of_an_earlier_release_keeps_its_flag() -> None:
    """It marked graphlets, by other ids too: the flag is not raised again, and its end is reported."""
    rows = {FLAG + b"team/ads/train": b"1", FLAG + b"p/evicted": b"1", FLAG + b"p/run:r2": b"1"}
    run = {"train": Running("r")}
    renamed = {"team/ads/train": "team~1ads/train"}
    encoder = OutputEncoder(NAMES, rows, renamed, lambda _, trainer: run.get(trainer), Counts())
    verdict = replace(VERDICT, graphlet="team~1ads/train", pipeline="team/ads", trainer="train")
    outcome = replace(EXAMPLE, graphlet="team~1ads/train", pipeline="team/ads", trainer="train")

    assert encoder.open_flags == 2
    assert {key: row is None for key, row in encoder.take_rows()} == {
        FLAG + b"team/ads/train": True, FLAG + b"p/evicted": True, FLAG + b"team~1ads/run:r": False,
        FLAG + b"p/run:r2": False,
    }  # fmt: skip
    changed = [
        orjson.loads(m.value or b"")["data"]["change"]
        for m in encoder.encode([replace(verdict, decision=PRUNE), outcome], NOW)
        if m.topic == "g-alerts"
    ]
    assert changed == ["revised", "resolved"]
