"""OpenLineage where messages come from: files, the check of files, and Kafka's source topics."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stream_app.cli import main
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.processing.rekeying import rekey, rekeyed
from stream_app.kafka.records import Batch
from stream_app.metrics.catalogue import MALFORMED
from stream_app.sources import make_sources
from stream_app.sources.native import decode
from stream_app.sources.openlineage_rules import JobRule, Rules
from tests.sources.openlineage_events import message, run_event
from tests.support.kafka_records import record

NAMES = Names("g")
JOB_EVENT = run_event(None)
del JOB_EVENT["run"]
JOB_EVENT["schemaURL"] = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
EVENTS = [run_event("START", "ads.step_4"), run_event("COMPLETE", "ads.step_4"), run_event("START", "ads.train")]


@pytest.fixture
def ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """Runs a command on a file of four messages, one of them about a job; returns its JSON output and exit code."""
    (tmp_path / "events.jsonl").write_bytes(b"\n".join(map(message, [*EVENTS, JOB_EVENT])))
    monkeypatch.chdir(tmp_path)

    def run(line: str):  # type: ignore[no-untyped-def]
        monkeypatch.setattr("sys.argv", ["stream-app", *line.split()])
        with pytest.raises(SystemExit) as ended:
            main()
        out = capsys.readouterr().out
        return (orjson.loads(out) if "--json" in line else out), ended.value.code or 0

    return run


def test_a_replay_reads_them_and_counts_what_it_passes_over(ran) -> None:  # type: ignore[no-untyped-def]
    """An event about a job is no dead letter."""
    found, code = ran("replay events.jsonl --json")

    figures = found["figures"]
    assert (code, figures["events"], figures["ignored"], figures["dead_letters"]) == (0, 3, 1, [])
    assert "ignored" in ran("replay events.jsonl")[0]


def test_a_check_shows_what_jobs_become(ran) -> None:  # type: ignore[no-untyped-def]
    """The mapping of each job, and those that no rule or default knows."""
    found, code = ran("check events.jsonl --json")

    assert (code, found["ignored"]) == (0, 1)
    assert found["jobs"] == {
        "prod/ads.step_4": {"pipeline": "prod/ads", "group": "custom", "type": "step_4", "guessed": False, "events": 2},
        "prod/ads.train": {"pipeline": "prod/ads", "group": "train", "type": "Trainer", "guessed": True, "events": 1},
    }
    assert any("step_4; see openlineage.jobs" in words for words in found["warnings"])
    assert "prod/ads.train: train (Trainer, guessed from its name) of prod/ads, 1 event" in ran("check events.jsonl")[0]


def test_a_check_follows_the_rules_of_the_settings(ran, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """So that rules can be tried on recorded events."""
    (tmp_path / "rules.toml").write_text('[[openlineage.jobs]]\nname = ".*step_4"\ngroup = "deploy"\npipeline = "ads"')

    found, _ = ran("check events.jsonl --config rules.toml --json")

    assert found["jobs"]["prod/ads.step_4"] == {
        "pipeline": "ads", "group": "deploy", "type": "Pusher", "guessed": False, "events": 2,
    }  # fmt: skip


def test_an_explanation_passes_over_what_a_replay_does(ran) -> None:  # type: ignore[no-untyped-def]
    """It reads the same files."""
    trainer = EVENTS[2]["run"]["runId"]

    found, code = ran(f"explain prod~1ads/{trainer} events.jsonl --json")

    assert code == 0
    assert len(found["events"]) == 3


def test_a_record_becomes_a_native_event_of_its_pipeline() -> None:
    """The topic of events has one format, and one partition for a pipeline."""
    sources = make_sources(Rules([JobRule(pipeline="ads")]))

    sent = rekeyed(record(0, message(EVENTS[2]), timestamp=1_800_000_000_000), NAMES, sources)

    assert sent is not None
    assert (sent.topic, sent.key) == ("g-events", b"ads")
    assert decode(sent.value or b"").execution_type == "Trainer"


async def _rekeyed(counts: Counts) -> list[str]:
    topics: list[str] = []

    async def send(messages) -> None:  # type: ignore[no-untyped-def]
        topics.extend(each.topic for each in messages)

    values = [message(EVENTS[0]), message(JOB_EVENT), b'{"eventTime": 7}']
    records = [record(offset, value, timestamp=1_800_000_000_000) for offset, value in enumerate(values)]
    await rekey(Batch(records), NAMES, send, counts, lambda: True)
    return topics


def test_a_record_about_a_job_goes_nowhere_and_is_counted() -> None:
    """It is neither an event nor a dead letter."""
    import asyncio

    counts = Counts()

    assert asyncio.run(_rekeyed(counts)) == ["g-events", "g-dead-letters"]
    assert (sum(counts.sources.values()), counts.ignored, counts.reasons[MALFORMED]) == (3, 1, 1)
