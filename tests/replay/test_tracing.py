"""Traces of a replay, as a collector gets them over OTLP/HTTP, and collectors that do not take them."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from stream_app.errors import OptionsError
from stream_app.provenance.spans import execution_span, run_span
from stream_app.replay import tracing
from stream_app.replay.replay import replay
from stream_app.replay.tracing import ExportError, Tracing, endpoint_of
from stream_app.wire import event_to_dict
from tests.provenance.two_runs import events
from tests.support.builders import at
from tests.support.collector import collecting
from tests.support.recorded import SETTINGS, fleet_lines, write_lines


def replayed(path: Path, address: str, timeout: float | None = None) -> Tracing:
    """A replay whose traces wait to be sent."""
    sending = Tracing(address, timeout)
    replay([str(path)], SETTINGS, SETTINGS.learner(), tracing=sending)
    return sending


@pytest.fixture
def two_runs(tmp_path: Path) -> Path:
    path = tmp_path / "events.jsonl"
    write_lines(path, [orjson.dumps(event_to_dict(event)) for event in events()])
    return path


def test_a_collector_gets_runs_executions_and_verdicts(two_runs: Path) -> None:
    """Traces, parents, links, events, times and states, of a service named like the pipeline."""
    with collecting() as collector:
        sent = replayed(two_runs, collector.address).send()

    found = collector.spans()
    run, train = run_span("p", "r1"), execution_span("p", "r1", "r1-train")
    root, span = found[run.span.to_bytes(8)], found[train.span.to_bytes(8)]
    assert (sent, collector.paths) == (len(found), {"/v1/traces"})
    assert (root.name, root.parent_span_id, root.trace_id) == ("p", b"", run.trace.to_bytes(16))
    assert (span.name, span.parent_span_id, span.trace_id) == ("Trainer", root.span_id, root.trace_id)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (at(4) * 10**6, at(64) * 10**6)
    assert span.status.code == Status.STATUS_CODE_OK
    [link] = span.links
    assert (link.trace_id, found[link.span_id].name) == (root.trace_id, "Transform")
    assert [event.name for event in span.events] == ["verdict"] * 4
    first = {each.key: each.value for each in span.events[0].attributes}
    assert first["stream_app.stage"].string_value == "preprocess"
    assert 0 < first["stream_app.p_push"].double_value < 1
    assert span.events[0].time_unix_nano == at(4) * 10**6
    resource = collector.requests[0].resource_spans[0].resource
    assert {each.key: each.value.string_value for each in resource.attributes}["service.name"] == "p"
    assert {each.parent_span_id for each in found.values()} <= {b"", *found}


def test_a_fleet_is_sent_in_bounded_batches_the_same_each_time(tmp_path: Path) -> None:
    """Every link and parent is among the spans; what is sent again has the same ids and content."""
    path = tmp_path / "events.jsonl"
    write_lines(path, fleet_lines()[:3000])
    sent = []
    for _ in range(2):
        with collecting() as collector:
            replayed(path, collector.address).send()
        sent.append(collector)

    found = sent[0].spans()
    sizes = [
        sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
        for request in sent[0].requests
    ]
    assert len(sizes) > 1
    assert max(sizes) == tracing.BATCH
    assert all(link.span_id in found for span in found.values() for link in span.links)
    assert sum(len(span.events) for span in found.values()) > 100
    assert [request.SerializeToString(deterministic=True) for request in sent[0].requests] == [
        request.SerializeToString(deterministic=True) for request in sent[1].requests
    ]


def test_a_collector_that_is_busy_is_asked_again(two_runs: Path) -> None:
    with collecting() as collector:
        collector.statuses = [503]
        replayed(two_runs, collector.address).send()

    assert len(collector.requests) == 1


def test_what_it_took_before_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    write_lines(path, fleet_lines()[:3000])
    with collecting() as collector:
        collector.statuses = [200, 500]
        with pytest.raises(ExportError, match=r": 500 .*; 512 were sent before$"):
            replayed(path, collector.address).send()


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://collector/otlp", "https://collector/otlp/v1/traces"),
        ("https://collector/otlp/v1/traces/", "https://collector/otlp/v1/traces"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
    ],
)
def test_the_path_of_traces_is_added(address: str, endpoint: str) -> None:
    assert endpoint_of(address) == endpoint


@pytest.mark.parametrize(
    "address",
    ["", "collector", "collector:4318", "grpc://collector:4317", "http://", "http://:4318", "http://h:port",
     "http://h:99999", "http://[::1", "file:///tmp/x"],
)  # fmt: skip
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(OptionsError, match="expected the address of a collector"):
        endpoint_of(address)


@pytest.mark.parametrize("address", ["http://u:secret@h", "http://h?token=secret", "http://h/#secret"])
def test_a_login_does_not_belong_into_the_address(address: str) -> None:
    """It is not repeated either."""
    with pytest.raises(OptionsError, match="OTEL_EXPORTER_OTLP_HEADERS") as refused:
        endpoint_of(address)

    assert "secret" not in str(refused.value)
