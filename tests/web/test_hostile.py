"""Strangers may send what they like: the service answers, keeps its memory, and serves the others."""

from __future__ import annotations

import contextlib
import gzip
import resource
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import orjson
import pytest

from stream_app.sources import NATIVE
from stream_app.web import bodies, event_routes
from tests.sources.bad_input import BAD_INPUT
from tests.sources.openlineage_events import dataset, message, run_event
from tests.web.served import BATCH, JSON, LINEAGE, Service, embedded_service

GOOD = message(run_event())
NATIVE_BATCH = f"{event_routes.PATHS[NATIVE]}/batch"
TOKEN = "s3cret-token"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service that expects a token."""
    with embedded_service(tmp_path / "events.sqlite", token=TOKEN) as running:
        yield running


def well(service: Service) -> bool:
    """Whether somebody with good manners is served."""
    return service.post(GOOD, Authorization=f"Bearer {TOKEN}").status == 201


def raw(service: Service, text: bytes) -> socket.socket:
    """A connection on which something was written."""
    connection = socket.create_connection((service.host, service.port), timeout=20)
    connection.sendall(text)
    return connection


def status(connection: socket.socket) -> int:
    """The status of what comes back; 0 when the connection is closed without a word."""
    with connection:
        try:
            line = connection.makefile("rb").readline()
        except ConnectionResetError:
            return 0
    return int(line.split()[1]) if line else 0


def test_every_kind_of_bad_input_is_refused(service: Service) -> None:
    """All those that a file or a topic may hold, over one connection."""
    connection = HTTPConnection(service.host, service.port, timeout=20)
    headers = JSON | {"Authorization": f"Bearer {TOKEN}"}
    for bad in BAD_INPUT:
        connection.request("POST", LINEAGE, bad.message, headers)
        response = connection.getresponse()
        detail = response.read()

        assert response.status in (413, 422), (bad.name, detail)
        assert response.headers["Content-Type"] == "application/problem+json"
        if response.headers.get("Connection") == "close":
            connection.close()
    connection.close()

    assert len(BAD_INPUT) >= 40
    assert well(service)


def test_a_slow_body_is_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it is waited for, others are served."""
    monkeypatch.setattr(bodies, "SECONDS", 1.0)
    head = (
        f"POST {LINEAGE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\n" + "{"
    )
    slow = [raw(service, head.encode()) for _ in range(50)]

    assert well(service)
    assert {status(connection) for connection in slow} == {408}


def test_a_connection_without_a_request_is_closed(tmp_path: Path) -> None:
    """One that sends half of its headers, and one that sends nothing."""
    with embedded_service(tmp_path / "events.sqlite", idle=0.5) as service:
        half = raw(service, b"POST /api/v1/lineage HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        silent = raw(service, b"")

        assert status(half) in (0, 408)
        assert status(silent) in (0, 408)
        assert service.post(GOOD).status == 201


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(5000)) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
        b"POST /api/v1/lineage HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /api/v1/lineage HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/v1/lineage HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"hello\r\n\r\n",
    ],
    ids=["huge header", "huge path", "many headers", "TLS", "length", "smuggling", "chunk", "version", "no HTTP"],
)
def test_what_is_hardly_http_is_refused(service: Service, text: bytes) -> None:
    """By a status of the client's fault, or by closing."""
    found = status(raw(service, text))

    assert found == 0 or 400 <= found < 500
    assert well(service)


@pytest.mark.slow
def test_10_000_requests_with_bad_tokens_cost_little(service: Service) -> None:
    """None is let in, memory stays, and whoever knows the token is served in between, from the same address."""
    assert well(service)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def knock(name: int) -> set[int]:
        connection = HTTPConnection(service.host, service.port, timeout=20)
        statuses = set()
        for number in range(2_500):
            headers = JSON | {"Authorization": f"Bearer {name}-{number}" + "x" * (number % 1000)}
            connection.request("POST", LINEAGE, b"{}", headers)
            response = connection.getresponse()
            response.read()
            statuses.add(response.status)
        connection.close()
        return statuses

    with ThreadPoolExecutor(4) as pool:
        knocking = [pool.submit(knock, name) for name in range(4)]
        while not all(each.done() for each in knocking):
            assert well(service)

    assert [each.result() for each in knocking] == [{401, 429}] * 4
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kb < 100_000


@pytest.mark.slow
def test_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Many large bodies at once are put off, not held."""
    monkeypatch.setattr(bodies, "TOTAL_BYTES", 1 << 20)
    monkeypatch.setattr(bodies, "SECONDS", 3.0)
    service: Service = request.getfixturevalue("service")
    head = (
        f"POST {BATCH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: 900000\r\n\r\n"
    ).encode()
    with ExitStack() as stack:
        connections = [stack.enter_context(raw(service, head + b"[" + b" " * 500_000)) for _ in range(4)]
        # Those that are held wait for the rest of their bodies, in vain.
        answers = sorted(connection.recv(12)[-3:] for connection in connections)
    assert answers == [b"408", b"408", b"503", b"503"]
    assert well(service)


def test_bodies_that_wait_to_be_split_count(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A body is held until it is answered, not until it is read."""
    monkeypatch.setattr(bodies, "TOTAL_BYTES", 1 << 20)
    begun, go_on = threading.Event(), threading.Event()
    split = event_routes._split

    def waiting(body: bytes) -> list[bytes]:
        begun.set()
        assert go_on.wait(20)
        return split(body)

    monkeypatch.setattr(event_routes, "_split", waiting)
    service: Service = request.getfixturevalue("service")
    batch = b"[" + GOOD + b" " * 600_000 + b"]"

    def post() -> int:
        return service.post(batch, BATCH, Authorization=f"Bearer {TOKEN}").status

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post)
        assert begun.wait(20)
        second = post()
        go_on.set()

        assert (first.result(), second) == (200, 503)
    assert post() == 200


def test_batches_are_split_one_at_a_time(monkeypatch: pytest.MonkeyPatch, service: Service) -> None:
    """Those of both formats: each takes many times its size while it is split."""
    together = threading.Barrier(2)
    met = []
    split = event_routes._split

    def meeting(body: bytes) -> list[bytes]:
        with contextlib.suppress(threading.BrokenBarrierError):
            met.append(together.wait(1.0))
        return split(body)

    monkeypatch.setattr(event_routes, "_split", meeting)
    with ThreadPoolExecutor(2) as pool:
        for status_ in pool.map(
            lambda path: service.post(b"[]", path, Authorization=f"Bearer {TOKEN}").status, (BATCH, NATIVE_BATCH)
        ):
            assert status_ == 200

    assert met == []


def test_a_batch_of_brackets_is_refused_unread(service: Service) -> None:
    """A few kB unpack to millions of lists in one entry, which would take hundreds of MB."""
    body = gzip.compress(b"[[" + b"[]," * (5 << 20) + b"[]]]")

    answer = service.post(body, BATCH, Authorization=f"Bearer {TOKEN}", Content_Encoding="gzip")

    assert (answer.status, "at most 1,048,576 opening brackets" in answer.json["detail"]) == (422, True)


@pytest.mark.slow
def test_a_batch_of_wide_schemas_is_taken(service: Service) -> None:
    """The densest that is real: as many short columns as there is room for."""
    fields = [{"name": f"c{number}", "type": "int"} for number in range(30_000)]
    event = orjson.dumps(run_event(inputs=[dataset("data", schema={"fields": fields})]))
    batch = b"[" + b",".join([event] * ((16 << 20) // (len(event) + 1))) + b"]"

    answer = service.post(batch, BATCH, Authorization=f"Bearer {TOKEN}")

    assert (answer.status, answer.json["status"]) == (200, "success")
    assert len(batch) > 15 << 20
