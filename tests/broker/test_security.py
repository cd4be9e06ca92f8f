"""TLS and logins on a real broker; what goes wrong is said plainly, and no secret is ever said."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stream_app.cli.main import main
from stream_app.kafka.clients.connection import Connection, RefusedError, UnreachableError
from stream_app.kafka.clients.flow import worker_flow
from stream_app.kafka.clients.logs import quieten
from stream_app.kafka.clients.producer import make_producer, sender
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.engine.app import make_app
from stream_app.kafka.state.outbox import Message
from tests.broker.broker import PASSWORD, Broker, JavaBroker, start_java
from tests.broker.certificates import make_authority
from tests.broker.cluster import Process
from tests.broker.secured import WRONG, right, variables, wrong
from tests.follow.follow_process import environment
from tests.sources.mlmd_store import StoreWriter
from tests.support.nobody import nobody

WAYS = ("SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN", "PLAIN without TLS", "client certificate")
FAULTS = (
    "password", "password, in plain", "user name", "mechanism", "authority", "no authority", "host name", "expired",
    "no client certificate", "client certificate of another authority", "login where there is none",
    "login where certificates are asked for", "TLS where there is none", "TLS and login where there is neither",
    "no TLS", "no TLS, but a login", "no login",
)  # fmt: skip


@pytest.fixture(scope="module")
def secure(broker: Broker) -> Iterator[JavaBroker]:
    """A broker with all listeners: the session's, or one more where that has them not."""
    if isinstance(broker, JavaBroker):
        yield broker
    else:
        own = start_java()
        yield own
        own.close()


@pytest.fixture(scope="module")
def other_ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority that signed nothing here."""
    return make_authority(tmp_path_factory.mktemp("other"))


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command as a user would; returns its exit code and all that it wrote."""

    def run(connection: Connection, group: str, *arguments: str) -> tuple[int, str]:
        given = {**variables(connection), "STREAM_APP_KAFKA_GROUP": group, "STREAM_APP_KAFKA_SOURCES": "[]"}
        with monkeypatch.context() as context:
            for name, value in given.items():
                context.setenv(name, value)
            context.setattr(sys, "argv", ["stream-app", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
        written = capsys.readouterr()
        assert isinstance(ended.value.code, int | None)
        return ended.value.code or 0, written.out + written.err

    return run


@pytest.fixture
def inputs(tmp_path: Path) -> tuple[Path, Path]:
    """A file of events to publish, and a store to follow."""
    events, store = tmp_path / "events.jsonl", tmp_path / "store.sqlite"
    execution = '{"id":"t","type":"Trainer","state":"COMPLETE"}'
    events.write_text('{"time":"2026-01-01T00:00:00Z","pipeline":"p","execution":' + execution + "}\n")
    with StoreWriter(store) as writer:
        writer.execution(0, "Trainer")
    return events, store


def test_a_right_login_serves_every_command(
    secure: JavaBroker, prefix: str, command: Command, inputs: tuple[Path, Path], tmp_path: Path
) -> None:
    """Topics are made and checked, events published, a store followed, dead letters listed."""
    connection, (events, store) = right(secure)["SCRAM-SHA-256"], inputs
    follow = ("follow", "mlmd", str(store), "--cursor", str(tmp_path / "cursor"), "--once")
    for arguments in (("topics", "apply"), ("topics", "check"), ("publish", str(events)), follow, ("dlq", "list")):
        assert command(connection, prefix, *arguments)[0] == 0


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_logging_in_serves_every_client(secure: JavaBroker, prefix: str, way: str, tmp_path: Path) -> None:
    """kafka-python, aiokafka, and Faust."""
    connection = right(secure)[way]
    admin = connection.admin()
    admin.create_topics({prefix: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()

    async def send() -> None:
        producer = make_producer(connection)
        await producer.start()
        await sender(producer)([Message(prefix, b"k", b"v")])
        await producer.stop()
        settings = {"session_seconds": 6.0, "instance_id": None}
        app = make_app(connection, worker_flow(Names(prefix)), tmp_path, dict, print, **settings)  # type: ignore[arg-type]
        await app.producer.start()
        await app.producer.stop()

    asyncio.run(send())


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_wrong_is_one_line_that_says_what_to_do(
    secure: JavaBroker,
    other_ca: Path,
    fault: str,
    command: Command,
    inputs: tuple[Path, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """In each command, with exit code 1, without a traceback; the secrets are in no line, whatever the log's level."""
    caplog.set_level(logging.DEBUG)
    quieten()
    (connection, says), (events, store) = wrong(secure, other_ca)[fault], inputs
    follow = ("follow", "mlmd", str(store), "--cursor", str(tmp_path / "cursor"), "--once")

    for arguments in (("topics", "check"), ("publish", str(events)), follow):
        code, said = command(connection, "nobody", *arguments)
        assert (code, said.count("\n")) == (1, 1), said
        assert re.search(f"^stream-app: cannot reach Kafka at {connection.bootstrap_servers}: .*{says}", said)
        assert not re.search(f"{WRONG}|{PASSWORD}", said)
    assert not re.search(f"{WRONG}|{PASSWORD}", caplog.text)


def test_one_server_that_takes_the_login_is_enough(secure: JavaBroker) -> None:
    """Others may be away or wrong."""
    good = right(secure)["SCRAM-SHA-256"]
    with nobody() as away:
        others = f"{away},{secure.bootstrap}"

        assert replace(good, bootstrap_servers=f"{others},{good.bootstrap_servers}").refusal() is None
        with pytest.raises(UnreachableError, match=r"cannot reach Kafka at .*: Connection refused"):
            replace(good, bootstrap_servers=others).admin()


def test_what_refuses_and_what_is_away_are_two_things(secure: JavaBroker) -> None:
    """A worker that is refused says so at once; one that cannot reach Kafka waits for a while."""
    good = right(secure)["SCRAM-SHA-256"]

    with pytest.raises(RefusedError):
        replace(good, password=WRONG).admin()
    with nobody() as address, pytest.raises(UnreachableError) as away:
        Connection(address).admin()
    assert not isinstance(away.value, RefusedError)


@dataclass
class Service(Process):
    """`stream-app worker` or `serve` with a connection."""

    arguments: tuple[str, ...] = ()
    variables: dict[str, str] | None = None

    def start(self) -> None:
        given = environment(**(self.variables or {}))
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "stream_app", *self.arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=given)

    def get(self, announced: str, path: str) -> tuple[int, str]:
        """Status and body of a path at the address that its log names after these words."""
        found = re.findall(rf"{announced} (\S+)", self.log.read_text())
        try:
            with urllib.request.urlopen(found[-1] + path) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


WORKER, SERVE = "probes and metrics are at", "serving at"


def test_worker_and_serve_tell_a_wrong_password_once_and_wait(
    secure: JavaBroker, command: Command, prefix: str, tmp_path: Path
) -> None:
    """Live and not ready, in one line; with the right one both are ready. No secret is in a log, probe or metric."""
    good = right(secure)["SCRAM-SHA-512"]
    command(good, prefix, "topics", "apply")
    seen: list[str] = []

    def start(connection: Connection, name: str) -> tuple[Service, Service]:
        given = {**variables(connection), "STREAM_APP_KAFKA_GROUP": prefix, "STREAM_APP_KAFKA_SOURCES": "[]"}
        given |= {"STREAM_APP_KAFKA_FOLDER": str(tmp_path / name), "STREAM_APP_SERVE_TOKEN": "token-of-serve"}
        serve = ("serve", "--bootstrap-servers", connection.bootstrap_servers, "--port", "0")
        made = [
            Service(tmp_path, tmp_path / f"{name}-{each[0]}.log", arguments=each, variables=given)
            for each in (("worker",), serve)
        ]
        for service in made:
            service.start()
        return made[0], made[1]

    def end(service: Service, announced: str) -> None:
        seen.extend(service.get(announced, path)[1] for path in ("/readyz?verbose", "/livez?verbose", "/metrics"))
        service.signal(signal.SIGTERM)
        assert service.wait() == 0
        seen.append(service.log.read_text())
        assert "Traceback" not in seen[-1]

    refused = start(replace(good, password=WRONG), "wrong")
    taken = start(good, "right")
    try:
        for service, announced in zip(refused, (WORKER, SERVE), strict=True):
            service.said("it refused 'worker' (SCRAM-SHA-512); check user name and password; trying again")
            assert service.get(announced, "/livez")[0] == 200
            status, detail = service.get(announced, "/readyz?verbose")
            assert (status, "it refused 'worker'" in detail) == (503, True)
            end(service, announced)
            assert service.log.read_text().count("it refused") == 1
        taken[0].said("are open")
        for service, announced in zip(taken, (WORKER, SERVE), strict=True):
            while service.get(announced, "/readyz")[0] != 200:
                assert service.running
                time.sleep(0.1)
            end(service, announced)
    finally:
        for service in (*refused, *taken):
            if service.running:
                service.kill()
    assert not [text for text in seen if re.search(f"{WRONG}|{PASSWORD}|token-of-serve", text)]


def test_tls_is_1_2_or_later_with_the_name_checked(secure: JavaBroker) -> None:
    """A certificate of another host is refused, and so are old protocols."""
    context = right(secure)["SCRAM-SHA-256"].tls()

    assert context is not None
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
