"""What the sidecar takes over HTTP: what the service takes, and nothing from elsewhere."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import orjson
import pytest

from stream_app.metrics.registry import make_registry
from stream_app.sidecar.answers import Answers
from stream_app.sidecar.intake import BODY_BYTES, Intake
from stream_app.sidecar.spool import Spool
from stream_app.sidecar.spool_thread import SpoolThread
from stream_app.web import bodies
from tests.sidecar.serving import serving
from tests.web.served import Service

EVENT = b'{"id":"1"}'
#: The beginning of a request.
SLOW = b"POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"


class Sidecar:
    """A sidecar that delivers nothing."""

    def __init__(self, service: Service, spool: Spool) -> None:
        self.service, self._spool = service, spool

    @property
    def kept(self) -> list[tuple[str, bytes]]:
        return [tuple(each.message) for each in self._spool.take(1_000, 1 << 30)]  # type: ignore[misc]


@pytest.fixture
def sidecar(tmp_path: Path) -> Iterator[Sidecar]:
    spool = Spool(tmp_path / "spool", limit=1 << 20, memory=100)
    on_thread = SpoolThread(spool)
    taking = Intake(on_thread.put, Answers(None), make_registry(), lambda: spool.fault)
    with serving(taking.app()) as service:
        yield Sidecar(service, spool)
    spool.close()


@pytest.mark.parametrize(
    ("path", "body", "status", "kept"),
    [
        ("/v1/events", EVENT, 201, [("native", EVENT)]),
        ("/api/v1/lineage", EVENT, 201, [("openlineage", EVENT)]),
        ("/v1/events/batch", b"[%s,%s]" % (EVENT, EVENT), 200, [("native", EVENT)] * 2),
        ("/api/v1/lineage/batch", b"[]", 200, []),
        ("/v1/events", b"\xef\xbb\xbf " + EVENT + b"\n", 201, [("native", EVENT)]),
    ],
)
def test_events_are_kept(sidecar: Sidecar, path: str, body: bytes, status: int, kept: list[tuple[str, bytes]]) -> None:
    """At the paths and with the statuses of the service."""
    answer = sidecar.service.post(body, path)

    assert (answer.status, sidecar.kept) == (status, kept)


def test_a_compressed_body_is_taken(sidecar: Sidecar) -> None:
    """OpenLineage's clients may send it so."""
    answer = sidecar.service.post(gzip.compress(EVENT), "/v1/events", Content_Encoding="gzip")

    assert (answer.status, sidecar.kept) == (201, [("native", EVENT)])


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422), (b"{", 422), (b"7", 422), (b"null", 422), (b"[7]", 422), (b"[[]]", 422), (b"\xff", 422),
        (b"[" * 10_000, 422), (b'{"a":' * 10_000, 422), (b'{"id": NaN}', 422), (b"x" * (BODY_BYTES + 1), 413),
        (b'{"a": 123456789012345678901234567890123456789012345678901234567890}', 201), (b'{"a": "\\ud800"}', 422),
    ],
)  # fmt: skip
def test_what_is_no_event_is_refused(sidecar: Sidecar, body: bytes, status: int) -> None:
    """In the service's form of errors, and nothing of it is kept."""
    answer = sidecar.service.post(body, "/v1/events")

    assert answer.status == status
    if status != 201:
        assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert sidecar.kept == []


def test_a_bomb_takes_no_memory(sidecar: Sidecar) -> None:
    """A hundred kilobytes that would be a hundred megabytes."""
    answer = sidecar.service.post(gzip.compress(b" " * (100 << 20)), "/v1/events", Content_Encoding="gzip")

    assert answer.status == 413
    assert sidecar.service.get("/livez").status == 200


def test_what_does_not_fit_is_no_error_for_a_training(sidecar: Sidecar) -> None:
    """It is told in the answer, which is one of success; probes tell it too."""
    large = orjson.dumps({"id": "x" * 300_000})
    statuses = [sidecar.service.post(large, "/v1/events").status for _ in range(6)]
    answer = sidecar.service.post(b"[%s,%s]" % (large, large), "/v1/events/batch")

    assert statuses[0] == 201
    assert statuses[-1] == 200
    assert answer.json["summary"] == {"received": 2, "successful": 0, "failed": 2}
    assert [each["index"] for each in answer.json["failed_events"]] == [0, 1]
    assert (sidecar.service.get("/readyz").status, sidecar.service.get("/livez").status) == (503, 200)


@pytest.mark.parametrize(
    "headers",
    [{"Host": "evil.example"}, {"Host": "169.254.169.254:80"}, {"Origin": "https://evil.example"}, {"Origin": "null"}],
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/events"), ("GET", "/v1/should-prune?run=r"), ("GET", "/metrics")]
)
def test_a_page_of_elsewhere_is_refused(sidecar: Sidecar, method: str, path: str, headers: dict[str, str]) -> None:
    """A browser on this machine may be led here by any page."""
    answer = sidecar.service.ask(method, path, EVENT if method == "POST" else None, headers)

    assert (answer.status, sidecar.kept) == (403, [])


@pytest.mark.parametrize("host", ["[evil", "", "a b", "localhost:port", "\xff", "localhost,evil", "x" * 5_000])
def test_a_host_that_is_none_is_refused(sidecar: Sidecar, host: str) -> None:
    """Without an error of the server."""
    answer = sidecar.service.ask("GET", "/livez", None, {"Host": host})

    assert answer.status in (400, 403)


def test_senders_that_are_slow_hold_up_no_others(sidecar: Sidecar, monkeypatch: pytest.MonkeyPatch) -> None:
    """They have some seconds for a body."""
    monkeypatch.setattr(bodies, "SECONDS", 0.1)
    with ExitStack() as slow:
        for _ in range(5):
            connection = slow.enter_context(closing(socket.create_connection(("127.0.0.1", sidecar.service.port))))
            connection.sendall(SLOW)
        answer = sidecar.service.post(EVENT, "/v1/events")

    assert answer.status == 201


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("run=r", 200), ("execution=e", 200), ("run=r&pipeline=p&execution=e", 200), ("", 400), ("pipeline=p", 400),
        ("run=%FF", 200), ("run=%00", 200), ("run=%ED%A0%80", 200), ("run=", 400),
        ("run=r&pipeline=", 400), ("run=r&unknown=1", 400), ("run=a&run=b", 200),
    ],
)  # fmt: skip
def test_questions(sidecar: Sidecar, query: str, status: int) -> None:
    """Without a service the answer is to go on."""
    answer = sidecar.service.get(f"/v1/should-prune?{query}")

    assert answer.status == status
    if status == 200:
        assert (answer.json["prune"], answer.json["known"]) == (False, False)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/events", "/v1/verdicts", "/../etc/passwd", "/v1/fleet"])
def test_there_is_nothing_else(sidecar: Sidecar, path: str) -> None:
    assert sidecar.service.get(path).status in (404, 405)
