"""A process of its own, attacked over real connections: others are answered, and its log does not grow."""

from __future__ import annotations

import os
import re
import resource
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from stream_app.web.limits import Limits
from stream_app.web.webhooks import PATH as WEBHOOK
from tests.sources.openlineage_events import message, run_event
from tests.web.served import JSON, LINEAGE, Process, Service, embedded_service

TOKEN = "s3cret-token"
LOGIN = {"Authorization": f"Bearer {TOKEN}"}
GOOD = message(run_event())
FILES = 256


def bomb() -> bytes:
    """1 MB that unpacks to 1 GB: a full block of zeros, again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    zeros = bytes(32 << 20)
    start = packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + 31 * (packer.compress(zeros) + packer.flush(zlib.Z_FULL_FLUSH))


class Attacked:
    """A service with few files, and what it writes into its log."""

    def __init__(self, folder: Path) -> None:
        (folder / "settings.toml").write_text(
            f'[serve]\ntoken = "{TOKEN}"\nmlflow_webhook_secret = "an-often-told-secret"\n'
        )
        (folder / "settings.toml").chmod(0o600)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, limits[1]))
        try:
            self.process = Process(folder / "data", "--config", str(folder / "settings.toml"))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        self.service = self.process.service
        self._log: list[bytes] = []
        # A pipe that nobody reads would hold up whoever writes a long log.
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.process.stderr is not None
        for line in self.process.process.stderr:
            self._log.append(line)

    def end(self) -> str:
        """Ends it; returns its log."""
        self.process.process.terminate()
        self._reader.join()
        assert self.process.process.wait(30) == 0
        return b"".join(self._log).decode()

    def ask(self, method: str, path: str, source: str = "127.0.0.1") -> int:
        """The status of a request from an address."""
        connection = HTTPConnection(self.service.host, self.service.port, timeout=20, source_address=(source, 0))
        try:
            connection.request(method, path, headers=LOGIN)
            response = connection.getresponse()
            response.read()
            return response.status
        finally:
            connection.close()

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection((self.service.host, self.service.port), timeout=20, source_address=(source, 0))

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        body = self.service.ask("GET", "/metrics", headers=LOGIN).body.decode()
        return sum(float(value) for value in re.findall(rf"^stream_app_{name}(?:{{.*}})? (\S+)$", body, re.M))


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """One for all attacks: each has to leave it as it was."""
    running = Attacked(tmp_path_factory.mktemp("attacked"))
    yield running
    running.end()


@pytest.mark.slow
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"])
def test_silent_connections_keep_nobody_out(attacked: Attacked, source: str) -> None:
    """More than there are files, from the address of the others and from another one."""
    before = attacked.metric("http_connections_refused_total")
    with ExitStack() as stack:
        for _ in range(FILES + 150):
            stack.enter_context(attacked.connect(source))
        statuses = [attacked.ask("GET", "/livez") for _ in range(20)]
        posted = attacked.service.ask("POST", LINEAGE, GOOD, JSON | LOGIN).status
        refused = attacked.metric("http_connections_refused_total") - before
        most = len(os.listdir(f"/proc/{attacked.process.process.pid}/fd"))

    assert (set(statuses), posted) == ({200}, 201)
    assert refused >= 150
    assert most < FILES - 32


@pytest.mark.slow
def test_requests_that_never_end_leave_probes_alone(attacked: Attacked) -> None:
    """Bodies that stop in the middle hold their connections; half of all is left to others, and probes always pass."""
    head = f"POST {LINEAGE} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n"
    with ExitStack() as stack:
        for source in ("127.0.0.2", "127.0.0.3", "127.0.0.4"):
            for _ in range(FILES // 2):
                connection = stack.enter_context(attacked.connect(source))
                try:
                    connection.sendall(f"{head}Authorization: Bearer {TOKEN}\r\n\r\n{{".encode())
                except OSError:
                    continue
        probes = {
            attacked.ask("GET", path, source) for path in ("/livez", "/readyz") for source in ("127.0.0.2", "127.0.0.9")
        }
        others = attacked.ask("GET", "/v1/verdicts", "127.0.0.9")

    assert probes == {200}
    assert others == 503


@pytest.mark.slow
def test_bombs_without_a_token_are_refused_unread(attacked: Attacked) -> None:
    """By an answer that comes before the body, which is never unpacked: the time of the processor shows that."""
    packed = bomb()
    before = cpu(attacked)
    for path, expected in {LINEAGE: 401, "/v1/events/batch": 401, WEBHOOK: 401, "/livez": 405, "/nowhere": 401}.items():
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
        with attacked.connect() as connection:
            connection.sendall(f"{head}Content-Length: {len(packed)}\r\n\r\n".encode())
            status = int(connection.makefile("rb").readline().split()[1])
            connection.sendall(packed)
        assert (path, status) == (path, expected)
        assert attacked.ask("GET", "/livez") == 200

    assert len(packed) > 900_000
    assert cpu(attacked) - before < 1.0


def cpu(attacked: Attacked) -> float:
    """Seconds of the processor that it has used."""
    fields = Path(f"/proc/{attacked.process.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.slow
def test_the_log_does_not_grow_by_attacks(tmp_path: Path) -> None:
    """Neither by connections, nor by what is no HTTP, nor by wrong tokens, of which one line tells without them."""
    attacked = Attacked(tmp_path)
    with ExitStack() as stack:
        for _ in range(FILES + 150):
            stack.enter_context(attacked.connect())
    texts = [b"hello\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\x00 HTTP/1.1\r\n\r\n"]
    for text in texts * 25:
        with attacked.connect() as connection:
            connection.sendall(text)
            answer = connection.makefile("rb").read()
        assert b"Traceback" not in answer
        assert b"aiohttp" not in answer
        assert b"Python" not in answer
    wrong = {
        attacked.service.ask("GET", "/v1/verdicts", headers={"Authorization": "Bearer w-r-o-n-g"}).status
        for _ in range(99)
    }
    assert attacked.metric("http_failed_logins_total") == 99
    log = attacked.end()

    assert wrong == {401, 429}
    assert log.count("\n") == 1
    assert "requests without a valid token: 1 from 127.0.0.1" in log
    assert "w-r-o-n-g" not in log


@contextmanager
def connected(service: Service, *texts: bytes) -> Iterator[socket.socket]:
    """A connection on which something was written."""
    with socket.create_connection((service.host, service.port), timeout=20) as connection:
        for text in texts:
            connection.sendall(text)
        yield connection


def post_head(*headers: str) -> bytes:
    lines = [f"POST {LINEAGE} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (["Content-Length: 10"], b"401"),
        (["Transfer-Encoding: chunked"], b"401"),
        ([f"Authorization: Bearer {TOKEN}", "Content-Length: 99999999"], b"413"),
        ([f"Authorization: Bearer {TOKEN}", "Content-Length: 10", "Content-Encoding: br"], b"415"),
    ],
)
@pytest.mark.parametrize("expect", [[], ["Expect: 100-continue"]])
def test_what_is_refused_is_refused_before_its_body(
    tmp_path: Path, headers: list[str], status: bytes, expect: list[str]
) -> None:
    """No byte of it is sent here, it is not asked for, and the connection is closed."""
    with (
        embedded_service(tmp_path / "log", token=TOKEN) as service,
        connected(service, post_head(*headers, *expect)) as connection,
    ):
        answer = connection.makefile("rb").read()

    assert answer.split()[1] == status
    assert b"100 Continue" not in answer


def test_a_body_that_is_expected_is_asked_for(tmp_path: Path) -> None:
    """As curl does for large bodies."""
    with (
        embedded_service(tmp_path / "log", token=TOKEN) as service,
        connected(
            service, post_head(f"Authorization: Bearer {TOKEN}", f"Content-Length: {len(GOOD)}", "Expect: 100-continue")
        ) as connection,
    ):
        answers = connection.makefile("rb")
        asked = answers.readline(), answers.readline()
        connection.sendall(GOOD)
        answer = answers.readline()

    assert asked == (b"HTTP/1.1 100 Continue\r\n", b"\r\n")
    assert answer.split()[1] == b"201"


def statuses(ask: Callable[[], int], times: int) -> list[int]:
    return [ask() for _ in range(times)]


def test_too_many_requests_of_an_address_are_put_off(tmp_path: Path) -> None:
    """With the time to wait; probes are answered all the same."""
    with embedded_service(tmp_path / "log", limits=Limits(address_rate=1.0)) as service:
        found = statuses(lambda: service.get("/v1/verdicts").status, 15)
        refused = service.get("/v1/verdicts")
        probe = service.get("/livez").status

    assert found == [200] * 10 + [429] * 5
    assert 1 <= int(refused.headers["Retry-After"]) <= 2
    assert probe == 200


def test_too_many_requests_with_a_token_are_put_off(tmp_path: Path) -> None:
    """From whatever address."""
    with embedded_service(tmp_path / "log", token=TOKEN, limits=Limits(token_rate=1.0)) as service:
        found = statuses(lambda: service.ask("GET", "/v1/verdicts", headers=LOGIN).status, 15)

    assert found == [200] * 10 + [429] * 5


def test_who_tries_tokens_is_put_off_and_who_has_it_is_not(tmp_path: Path) -> None:
    """They may share the address of a proxy."""
    with embedded_service(tmp_path / "log", token=TOKEN) as service:
        found = statuses(lambda: service.get("/v1/verdicts").status, 80)
        known = service.ask("GET", "/v1/verdicts", headers=LOGIN).status

    assert found[:60] == [401] * 60
    assert 429 in found[60:]
    assert known == 200
