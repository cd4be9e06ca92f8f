"""What the service answers."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import pytest

from stream_app.service.event_log import Accepted, EventLog
from stream_app.sources import OPENLINEAGE
from stream_app.web.event_routes import BODY_BYTES
from tests.sources.openlineage_events import dataset, message, run_event, run_id
from tests.web.served import BATCH, LINEAGE, Service, embedded_service

START = run_event("START", "vision.train", "t1", parent=("r1", "vision"), inputs=[dataset("data")])
END = run_event("COMPLETE", "vision.train", "t1", time="2026-03-01T07:00:00Z", outputs=[dataset("model", "1")])
GRAPHLET = f"prod~1vision/{run_id('t1')}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.sqlite"


@pytest.fixture
def service(path: Path) -> Iterator[Service]:
    with embedded_service(path) as running:
        yield running


def applied(service: Service) -> None:
    """Waits until the detector has all that was acknowledged."""
    assert service.embedded is not None
    service.embedded.submit([Accepted(message(run_event("OTHER", "other.step", "o1")), None, OPENLINEAGE)]).result(20)
    while service.embedded.behind:
        with service.embedded.detector_lock:
            pass


def stored(path: Path) -> list[bytes | None]:
    """The messages of a log that nobody has open."""
    log = EventLog(path)
    try:
        return [entry.message for entry in log.after(0)]
    finally:
        log.close()


def test_an_event_is_created_when_it_is_stored(path: Path) -> None:
    """201 without a body, as other receivers of OpenLineage answer."""
    with embedded_service(path) as service:
        answer = service.post(message(START))

    assert (answer.status, answer.body) == (201, b"")
    assert stored(path) == [message(START)]


def raw_deflate(body: bytes) -> bytes:
    """Without the header of zlib, as some senders have it."""
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(body) + compressor.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(message(START))),
        ("GZIP", gzip.compress(message(START))),
        ("x-gzip", gzip.compress(message(START))),
        ("deflate", zlib.compress(message(START))),
        ("deflate", raw_deflate(message(START))),
        ("identity", message(START)),
        ("deflate, gzip", gzip.compress(zlib.compress(message(START)))),
        ("gzip", gzip.compress(message(START)[:50]) + gzip.compress(message(START)[50:])),
    ],
)
def test_a_compressed_event_is_unpacked(path: Path, encoding: str, body: bytes) -> None:
    """Clients compress when they are told to, each in its way."""
    with embedded_service(path) as service:
        assert service.post(body, Content_Encoding=encoding).status == 201

    assert stored(path) == [message(START)]


@pytest.mark.parametrize("size", [1_200_000, 15 << 20])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_event_with_a_large_facet_is_taken(path: Path, size: int, compressed: bool) -> None:
    """The plan of a Spark application; it is not read."""
    event = message(END | {"run": END["run"] | {"facets": {"spark.logicalPlan": {"plan": [{"class": "x" * size}]}}}})
    headers = {"Content_Encoding": "gzip"} if compressed else {}
    with embedded_service(path) as service:
        answer = service.post(gzip.compress(event, 1) if compressed else event, **headers)

    assert (answer.status, answer.body) == (201, b"")
    assert stored(path) == [event]


@pytest.mark.parametrize("path_of_events", [LINEAGE, BATCH, "/v1/events", "/v1/events/batch", "/livez", "/v1/verdicts"])
def test_a_slash_at_the_end_makes_no_difference(service: Service, path_of_events: str) -> None:
    """Some clients append one to the address that they are given."""
    for method in ("GET", "POST"):
        plain = service.ask(method, path_of_events, b"[]" if method == "POST" else None)
        slashed = service.ask(method, f"{path_of_events}/", b"[]" if method == "POST" else None)
        assert (slashed.status, slashed.body) == (plain.status, plain.body)
        assert plain.status != 404


class TestCloudEvents:
    """The binary mode, in which the body is the event, as Knative and others send it."""

    BINARY: ClassVar = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/airflow", "ce-type": "openlineage.run"}

    def test_the_body_of_the_binary_mode_is_the_event(self, path: Path) -> None:
        with embedded_service(path) as service:
            assert service.post(message(START), **self.BINARY).status == 201

        assert stored(path) == [message(START)]

    def test_the_structured_mode_is_opened(self, service: Service) -> None:
        """One event, and a batch of them to either address."""
        structured = {"specversion": "1.0", "id": "1", "source": "/airflow", "type": "openlineage.run", "data": START}
        single = {"Content_Type": "application/cloudevents+json; charset=utf-8"}
        batch = {"Content_Type": "application/cloudevents-batch+json"}
        finished = json.dumps([structured | {"data": END}, structured | {"data": 7}]).encode()

        assert service.post(json.dumps(structured).encode(), **single).status == 201
        for target in (BATCH, LINEAGE):
            answer = service.post(finished, target, **batch)
            assert (answer.status, answer.json["summary"]["successful"]) == (200, 1)
            assert [failed["index"] for failed in answer.json["failed_events"]] == [1]
        applied(service)
        assert service.get(f"/v1/graphlets/{GRAPHLET}").json["graphlet"]["trainer"] == run_id("t1")

    def test_the_structured_mode_is_no_other_type(self, service: Service) -> None:
        """A batch needs its own type, and one event its own."""
        assert service.post(b"[]", BATCH, Content_Type="application/cloudevents+json").status == 415


def test_events_about_jobs_are_taken_too(service: Service) -> None:
    """A client that sends them must not see an error."""
    event = run_event(None)
    del event["run"]
    event["schemaURL"] = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"

    assert service.post(message(event)).status == 201


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"{", {}, 422, "not JSON"),
        (b"", {}, 422, "empty message"),
        (b'{"eventType": "START"}', {}, 422, "eventTime: missing"),
        (message(START | {"run": {"runId": "${json-unit.any-string}"}}), {}, 422, "run.runId: expected a run id"),
        (message(START), {"Content_Type": "text/plain"}, 415, "expected content of type application/json"),
        (message(START), {"Content_Encoding": "compress"}, 415, "expected no Content-Encoding"),
        (message(START), {"Content_Encoding": "br"}, 415, "gzip or deflate, got 'br'"),
        (message(START), {"Content_Encoding": "zstd"}, 415, "gzip or deflate, got 'zstd'"),
        (message(START), {"Content_Encoding": "gzip, br"}, 415, "gzip or deflate, got 'br'"),
        (message(START), {"Content_Encoding": "gzip,gzip,gzip,gzip"}, 415, "gzip or deflate, got 4 of them"),
        (message(START), {"Content_Encoding": "gzip"}, 400, "it is no gzip data"),
        (gzip.compress(message(START))[:-9], {"Content_Encoding": "gzip"}, 400, "its gzip data is cut off"),
        (gzip.compress(message(START)) + b"xy", {"Content_Encoding": "gzip"}, 400, "it is no gzip data"),
        (b"", {"Content_Encoding": "gzip"}, 400, "its gzip data is cut off"),
        (gzip.compress(b"") * 200, {"Content_Encoding": "gzip"}, 400, "there is more after its gzip data"),
        (zlib.compress(message(START)) + b"x", {"Content_Encoding": "deflate"}, 400, "there is more after its deflate"),
        (message(START), {"Content_Type": "application/x-protobuf"}, 415, "got 'application/x-protobuf'"),
        (message(START), {"Content_Type": "application/vnd.apache.avro.v2+binary"}, 415, "got 'application/vnd.apache"),
        (b"[" * (1 << 20) + b"[", {}, 422, "expected at most 1,048,576 opening brackets"),
        (b"[" * (BODY_BYTES + 1), {}, 413, "expected at most 16,777,216 bytes"),
        (gzip.compress(b" " * (13 * BODY_BYTES)), {"Content_Encoding": "gzip"}, 413, "expected at most 16,777,216"),
    ],
    ids=lambda value: None if isinstance(value, bytes) else str(value)[:40],
)
def test_bad_input_is_a_problem(service: Service, body: bytes, headers: dict[str, str], status: int, says: str) -> None:
    """In `application/problem+json`, with what is wrong for a person."""
    answer = service.post(body, **headers)

    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert answer.json["status"] == status
    assert says in answer.json["detail"]


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [("GET", "/nowhere", 404), ("PUT", LINEAGE, 405), ("GET", LINEAGE, 405), ("GET", "/v1/verdicts/none", 404),
     ("GET", "/v1/graphlets/none", 404), ("GET", "/v1/verdicts?limit=0", 400), ("GET", "/v1/verdicts?limit=x", 400),
     ("GET", "/v1/verdicts?decision=stop", 400), ("GET", "/v1/verdicts?pipelines=a", 400),
     ("GET", "/v1/should-prune", 400), ("GET", "/v1/should-prune?run=", 400)],
)  # fmt: skip
def test_every_refusal_is_a_problem(service: Service, method: str, target: str, status: int) -> None:
    """The router's as well."""
    answer = service.ask(method, target)

    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_what_the_router_refuses_says_what_is_expected(service: Service) -> None:
    """A client whose address has a path of its own learns which one to leave out."""
    nowhere, wrong = service.post(b"{}", "/"), service.ask("GET", LINEAGE)

    assert "events are posted to /api/v1/lineage, native events to /v1/events" in nowhere.json["detail"]
    assert (wrong.json["detail"], wrong.headers["Allow"]) == ("expected POST, got GET", "POST")


class TestBatch:
    """Many events in one array."""

    def test_all_are_stored(self, path: Path) -> None:
        with embedded_service(path) as service:
            answer = service.post(json.dumps([START, END]).encode(), BATCH)

        assert (answer.status, answer.json["status"]) == (200, "success")
        assert answer.json["summary"] == {"received": 2, "successful": 2, "failed": 0}
        assert stored(path) == [message(START), message(END)]

    def test_a_byte_order_mark_is_left_out(self, path: Path) -> None:
        """As before one event."""
        with embedded_service(path) as service:
            one = service.post(codecs.BOM_UTF8 + json.dumps(START).encode())
            batch = service.post(codecs.BOM_UTF8 + json.dumps([END]).encode(), BATCH)

        assert (one.status, batch.status) == (201, 200)
        assert stored(path)[1] == message(END)

    def test_those_that_are_none_are_told_by_index(self, path: Path) -> None:
        """The others are kept."""
        with embedded_service(path) as service:
            answer = service.post(json.dumps([START, {"eventType": 7}, END]).encode(), BATCH)

        assert (answer.status, answer.json["status"]) == (200, "partial_success")
        (failed,) = answer.json["failed_events"]
        assert failed["index"] == 1
        assert failed["reason"].startswith("eventType: expected one of")
        assert stored(path) == [message(START), message(END)]

    @pytest.mark.parametrize(
        "bad",
        [b"nonsense", b'{"a": tru}', b'{"a": "\xff"}', b'{"a": 1, "a": 2}', b"", b'{"b": "]},[\\"", "c": }'],
        ids=repr,
    )
    def test_one_that_is_not_json_is_told_by_index(self, path: Path, bad: bytes) -> None:
        """It does not take the others with it, whose bytes are kept as they are."""
        spaced = json.dumps(START, indent=2).encode()
        with embedded_service(path) as service:
            answer = service.post(b"[ %s , %s,%s ]" % (spaced, bad, message(END)), BATCH)

        assert (answer.status, answer.json["summary"]) == (200, {"received": 3, "successful": 2, "failed": 1})
        assert [failed["index"] for failed in answer.json["failed_events"]] == [1]
        assert stored(path) == [spaced, message(END)]

    @pytest.mark.parametrize("body", [b"{}", b"[", b"[7]", b'[{"a":1,"a":1}]', b"[" * 40 + b"]" * 40])
    def test_what_is_no_array_of_events_is_refused(self, service: Service, body: bytes) -> None:
        assert service.post(body, BATCH).status == 422

    def test_an_empty_one_is_nothing(self, service: Service) -> None:
        assert service.post(b"[]", BATCH).json["summary"]["received"] == 0


class TestAnswers:
    """Verdicts and graphlets over HTTP."""

    def test_a_verdict_is_found_in_every_way(self, service: Service) -> None:
        """By the graphlet, by the run, by the pipeline, and among the latest."""
        for event in (START, END):
            assert service.post(message(event)).status == 201
        applied(service)

        verdict = service.get(f"/v1/verdicts/{quote(GRAPHLET, safe='')}").json

        assert (verdict["graphlet"], verdict["stage"], verdict["decision"]) == (GRAPHLET, "train", "continue")
        assert service.get(f"/v1/verdicts/{GRAPHLET}").json == verdict
        for query in ("", f"?run={run_id('r1')}", "?pipeline=prod/vision", "?decision=continue", "?limit=1"):
            assert verdict in service.get(f"/v1/verdicts{query}").json["verdicts"]
        for query in ("?run=none", "?pipeline=none", "?decision=prune"):
            assert service.get(f"/v1/verdicts{query}").json == {"verdicts": []}

    def test_a_graphlet_is_told_with_its_outcome(self, service: Service) -> None:
        """As a replay writes it."""
        push = run_event("COMPLETE", "vision.push", "p1", time="2026-03-01T08:00:00Z", inputs=[dataset("model", "1")])
        for event in (START, END, push):
            service.post(message(event))
        applied(service)

        found = service.get(f"/v1/graphlets/{GRAPHLET}").json

        assert found["graphlet"]["down"] == [run_id("p1")]
        assert found["outcome"]["pushed"] is True
        assert found["verdict"]["graphlet"] == GRAPHLET


class TestToken:
    """Who may come in."""

    @pytest.fixture
    def service(self, path: Path) -> Iterator[Service]:
        with embedded_service(path, token="s3cret-token") as running:
            yield running

    @pytest.mark.parametrize(
        "given", [None, "", "Bearer", "Bearer wrong", "Basic s3cret-token", "Bearer s3cret-tokenx"]
    )
    def test_without_the_token_nobody_comes_in(self, service: Service, given: str | None) -> None:
        headers = {"Authorization": given} if given is not None else {}

        for answer in (service.post(message(START), **headers), service.ask("GET", "/v1/verdicts", headers=headers)):
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert service.ask("GET", "/metrics", headers=headers).status == 401

    def test_with_it_they_do(self, service: Service) -> None:
        assert service.post(message(START), Authorization="Bearer s3cret-token").status == 201
        assert service.post(message(START), Authorization="bearer  s3cret-token").status == 201

    def test_probes_need_none(self, service: Service) -> None:
        assert (service.get("/livez").status, service.get("/readyz").status) == (200, 200)


def test_a_full_disk_is_told_and_nothing_is_acknowledged(path: Path) -> None:
    """503 with when to come back; not ready while it lasts."""
    long = {"errorMessage": {"message": "x" * 2_000}}
    events = [run_event("START", "vision.train", f"t{number}", run_facets=long) for number in range(200)]
    with embedded_service(path, allow_pages=40) as service:
        answers = [service.post(message(event)) for event in events]
        ready = service.get("/readyz?verbose")

    taken = [message(event) for event, answer in zip(events, answers, strict=True) if answer.status == 201]
    refused = [answer for answer in answers if answer.status != 201]
    assert {answer.status for answer in refused} == {503}
    assert "full" in refused[0].json["detail"]
    assert refused[0].headers["Retry-After"] == "5"
    assert (ready.status, ready.json["ok"]) == (503, False)
    assert "full" in ready.json["reason"]
    assert stored(path) == taken
