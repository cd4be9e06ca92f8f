"""`stream-app replay --otlp`: where a collector does not take spans, one line says why, and the exit code is 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from stream_app.wire import event_to_dict
from tests.provenance.two_runs import events
from tests.support.collector import collecting, hanging
from tests.support.commands import Ran
from tests.support.nobody import nobody
from tests.support.recorded import write_lines

Export = Callable[[str], Ran]


@pytest.fixture
def export(run: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """Replays two runs and sends them to an address, for a second."""
    write_lines(tmp_path / "events.jsonl", [orjson.dumps(event_to_dict(event)) for event in events()])
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    return lambda address: run("replay", "events.jsonl", "--outcomes", "outcomes.jsonl", "--otlp", address)


def assert_failed(ran: Ran, says: str) -> None:
    """The replay is done all the same: its summary is shown, its files are whole."""
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert ran.err.startswith("stream-app: http://127.0.0.1:")
    assert says in ran.err
    assert "graphlets    2" in ran.out
    assert Path("outcomes.jsonl").read_bytes().count(b"\n") == 2


def test_a_collector_that_takes_all_is_not_mentioned(export: Export) -> None:
    with collecting() as collector:
        ran = export(collector.address)

    assert (ran.code, ran.err) == (0, "")
    assert len(collector.spans()) > 10


def test_one_that_refuses_connections(export: Export) -> None:
    with nobody() as address:
        ran = export(f"http://{address}")

    assert_failed(ran, "did not take spans: connection refused; 0 were sent before")


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
def test_one_that_answers_with_an_error(export: Export, status: int) -> None:
    with collecting() as collector:
        collector.statuses = [status] * 9
        ran = export(collector.address)

    assert_failed(ran, f"did not take spans: {status} ")


def test_one_that_never_answers(export: Export) -> None:
    with hanging() as address:
        ran = export(address)

    assert_failed(ran, "did not take spans: it did not answer in time; 0 were sent before")


@pytest.mark.parametrize("address", ["collector:4318", "http://u:p@collector", ""])
def test_a_wrong_address_is_told_before_anything_is_read(export: Export, address: str) -> None:
    ran = export(address)

    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith("stream-app: --otlp: expected ")
    assert not Path("outcomes.jsonl").exists()
