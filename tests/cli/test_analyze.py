"""`stream-app analyze`: over files, as text, as JSON and as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.core.events import FAILED, Event
from stream_app.wire import event_to_dict
from tests.report.test_report import Page
from tests.support.builders import ended, ran, run_ended, started
from tests.support.commands import Run
from tests.support.recorded import fleet_lines, write_lines
from tests.web.served import embedded_service
from tests.web.test_lineage import tell

#: Two runs on the same span, whose code failed once; the second is pushed.
LOG = [
    *ran(0, "gen", "CsvExampleGen", run="r1", writes=["span"], node_ms=60_000),
    started(5, "t1", "Trainer", run="r1", reads=["span"]),
    ended(6, "t1", "Trainer", run="r1", state=FAILED, node_ms=600_000),
    run_ended(8, "r1"),
    *ran(60, "t2", "Trainer", run="r2", reads=["span"], writes=["model"], node_ms=900_000),
    *ran(70, "push", "Pusher", run="r2", reads=["model"], node_ms=30_000),
    run_ended(80, "r2"),
]


def written(path: Path, log: list[Event]) -> str:
    path.write_bytes(b"".join(orjson.dumps(event_to_dict(event)) + b"\n" for event in log))
    return str(path)


@pytest.fixture
def events(tmp_path: Path) -> str:
    return written(tmp_path / "events.jsonl", LOG)


def fleet_of(document: Any) -> Any:
    return document["figures"]["fleet"]


def test_the_figures_are_those_of_the_events(run: Run, events: str) -> None:
    """Worked out by hand: 1590 node-seconds, all of them for one push, after one failed try."""
    found = run("analyze", events, "--json").document
    totals = fleet_of(found)["totals"]

    assert (totals["runs"], totals["graphlets"], totals["pushed"], totals["not_pushed"]) == (2, 2, 1, 1)
    assert totals["causes"] == {"failed": 1}
    assert totals["node_seconds"] == 1590
    assert totals["push_node_seconds"] == 1590
    assert totals["share_pushed"] == 0.5
    assert totals["quantiles"]["push_tries"] == {"count": 1, "p10": 2, "p50": 2, "p90": 2}
    assert totals["quantiles"]["overlap"]["p50"] == 1
    assert [each for each in totals["operators"] if each["failed"]] == [
        {"operator": "Trainer", "executions": 2, "failed": 1}
    ]
    (pipeline,) = found["pipelines"]
    assert (pipeline["pipeline"], pipeline["since_push_graphlets"], pipeline["since_push_node_seconds"]) == ("p", 0, 0)


def test_the_text_says_what_matters(run: Run, events: str) -> None:
    """What was trained, what a push costs, and each pipeline."""
    ran_ = run("analyze", events)

    assert ran_.code == 0
    assert ran_.out.splitlines()[:3] == [
        "1 pipeline, 2 runs, 2 graphlets: 1 pushed (50.0 % of those decided), 0 open",
        "spent: 0.44 node-hours",
        "a deployed model costs 0.44 node-hours, with the tries before it",
    ]
    assert ran_.out.splitlines()[6].split() == ["p", "2", "1", "0.44", "0.44", "node-hours", "55", "min"]


def test_money_comes_from_the_rate_card(run: Run, events: str, tmp_path: Path) -> None:
    """At 2 EUR a node-hour, 1590 node-seconds cost 0.883 EUR."""
    config = tmp_path / "options.toml"
    config.write_text('[rates]\nnode_hour = 2.0\ncurrency = "EUR"\n')

    found = run("analyze", events, "--json", "--config", str(config)).document

    assert found["figures"]["currency"] == "EUR"
    assert fleet_of(found)["totals"]["money"] == pytest.approx(1590 / 3600 * 2, abs=1e-5)
    assert fleet_of(found)["totals"]["push_money"] == pytest.approx(1590 / 3600 * 2, abs=1e-5)


def test_a_fleet_has_a_page(run: Run, tmp_path: Path) -> None:
    """With findings, figures and redundant work; it is the same text each time."""
    file, page = write_lines(tmp_path / "e.jsonl", fleet_lines()), tmp_path / "fleet.html"
    ran_ = run("analyze", file, "--report", str(page))
    first = page.read_text()

    assert ran_.code == 0
    assert f"report: {page}" in ran_.out
    assert run("analyze", file, "--report", str(page)).code == 0
    assert page.read_text() == first
    shown = Page(first)
    assert set(shown.drawn) == {"findings", "fleet"}
    assert "Work that is done twice" in shown.text


def test_where_nothing_trains_it_says_why(run: Run, tmp_path: Path) -> None:
    """And what shows more."""
    file = written(tmp_path / "e.jsonl", [*ran(0, "job", "Nightly", run=None)])

    assert "`stream-app check" in run("analyze", file).out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["missing.jsonl"], 2, "missing.jsonl: no such file or directory"),
        (["events.jsonl", "--report", "nowhere/page.html"], 2, "there is no directory nowhere"),
        (["events.jsonl", "--report", "events.jsonl"], 2, "events.jsonl"),
        (["events.jsonl", "--now", "yesterday"], 2, "--now"),
        (["events.jsonl", "--format", "xml"], 2, "xml"),
        (["empty.jsonl"], 1, "there are no events: the input is empty"),
        (["broken.jsonl"], 1, "none of 1 messages is an event"),
        (["ftp://host/events"], 2, "no address that is read"),
        (["http://127.0.0.1:9"], 1, "127.0.0.1:9"),
        ([], 2, "SOURCE"),
    ],
)
def test_a_mistake_is_a_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, says: str
) -> None:
    """Without a traceback, and with the exit code of its kind."""
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "events.jsonl", LOG)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "broken.jsonl").write_bytes(b"oops\n")

    ran_ = run("analyze", *arguments)

    assert ran_.code == code
    assert says in ran_.err
    assert "Traceback" not in ran_.err


def test_a_running_service_is_asked(run: Run, tmp_path: Path) -> None:
    """It answers with the figures of its own events, which are those of the file."""
    file = written(tmp_path / "events.jsonl", LOG)
    with embedded_service(tmp_path / "data") as service:
        tell(service, LOG)
        served = run("analyze", service.url, "--json").document
        lines = run("analyze", service.url).out.splitlines()

    assert served == run("analyze", file, "--json").document
    assert any(line.startswith("as of 20") for line in lines)
