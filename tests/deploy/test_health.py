"""The image's health check asks the command that runs, whichever it is, at the port where it listens."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_app.options import Options
from tests.deploy.test_compose import DOCKERFILE, FILE, ROOT, SERVICES

SCRIPT = ROOT / "deploy" / "health.py"
_spec = importlib.util.spec_from_file_location("health", SCRIPT)
assert _spec is not None
assert _spec.loader is not None
health = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(health)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STREAM_APP_"):
            monkeypatch.delenv(name)


def test_its_ports_are_those_of_the_commands() -> None:
    """A default that moves moves here too, and in the image and in Compose."""
    worker, serve = Options().kafka.metrics_port, Options().serve.port

    assert health.port_of(["stream-app", "worker"]) == health.port_of(["stream-app", "notify"]) == worker
    assert health.port_of(["stream-app", "serve"]) == serve
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE) == [f"{worker} {serve}"]
    assert SERVICES["worker"]["ports"] == [f"127.0.0.1:{worker}:{worker}"]
    assert SERVICES["serve"]["ports"] == [f"127.0.0.1:{serve}:{serve}"]
    # Its ports are those of the others, and so at others of the machine.
    assert SERVICES["notify"]["ports"] == [f"127.0.0.1:{serve + 1}:{serve}", f"127.0.0.1:{worker + 1}:{worker}"]


@pytest.mark.parametrize(
    ("line", "port"),
    [
        (["/sbin/docker-init", "--", "stream-app", "worker"], 9464),
        (["/opt/stream-app/bin/python", "/opt/stream-app/bin/stream-app", "serve", "--port", "7000"], 7000),
        (["stream-app", "serve", "--port=7000"], 7000),
        (["stream-app", "serve", "--port"], 8484),
        (["stream-app", "worker", "--metrics-port", "7000"], 7000),
        (["stream-app", "notify", "--port", "7000"], 9464),
        (["stream-app", "notify", "--port", "7000", "--metrics-port=7001"], 7001),
        (["stream-app", "emit", "--url", "http://d"], 8486),
        (["stream-app", "emit", "--port=7000"], 7000),
        (["stream-app", "replay", "events.jsonl"], None),
        (["sh", "/fleet.sh"], None),
    ],
)
def test_it_finds_the_command(line: list[str], port: int | None) -> None:
    """With an init before it or not; the flag of its probes holds before the default; other commands have no port."""
    assert health.port_of(line) == port


def test_it_reads_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command has its own."""
    monkeypatch.setenv("STREAM_APP_KAFKA_METRICS_PORT", "1")
    monkeypatch.setenv("STREAM_APP_SERVE_PORT", "2")

    assert [health.port_of([command]) for command in ("worker", "notify", "serve")] == [1, 1, 2]


def test_every_service_of_compose_is_asked_for_its_own_command() -> None:
    """What has a port is asked there; what has none is not asked."""
    for service in SERVICES.values():
        command = service.get("command", [None])[0]
        if command in health.PORTS:
            assert service["healthcheck"]["test"] == ["CMD", "python", "/opt/stream-app/health.py", command]
        elif "build" in service:
            assert service["healthcheck"] == {"disable": True}
    assert "/opt/stream-app/health.py" in re.findall(r"^HEALTHCHECK .*$", DOCKERFILE, re.MULTILINE)[0]
    assert FILE.is_file()


def test_services_with_state_have_a_volume_of_their_own() -> None:
    """Two processes on one folder are refused."""
    volumes = [service["volumes"] for name, service in SERVICES.items() if name in ("worker", "notify")]

    assert volumes == [["state:/var/lib/stream-app"], ["notify:/var/lib/stream-app"]]


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """`serve` as it runs in a container, but for its address; gives the port."""
    command = [sys.executable, "-m", "stream_app", "serve", "--port", "0", "--data", str(folder)]
    environment = {**os.environ, "STREAM_APP_SERVE_TOKEN": "a-token-of-ours"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip().rpartition(":")[2]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def asked(*line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, str(SCRIPT), *line], capture_output=True, text=True)


@pytest.mark.slow
def test_serve_is_healthy_while_it_answers(tmp_path: Path) -> None:
    """It needs no token, and says why when nobody answers."""
    with serving(tmp_path) as port:
        while_it_ran = asked("serve", "--port", port)
    after = asked("serve", "--port", port)

    assert while_it_ran.returncode == 0, while_it_ran.stderr
    assert after.returncode == 1
    assert after.stderr.startswith(f"port {port}: ")
    assert "Traceback" not in after.stderr
