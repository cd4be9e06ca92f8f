"""A sidecar beside a real training script: whatever happens to it, the script ends as it would alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sidecar.emitting import REPOSITORY, Emitting
from tests.sidecar.flagging import serving_flags
from tests.support.nobody import nobody
from tests.web.served import Service, embedded_service

#: Trains for a while, reports to a file, and fails in the end as some trainings do.
SCRIPT = """
import json, sys, time
from datetime import UTC, datetime

def report(state, execution="train", **more):
    with open(sys.argv[1], "a") as events:
        time_ = datetime.now(UTC).isoformat()
        events.write(json.dumps({
            "id": f"{execution}-{state}", "time": time_, "pipeline": "ads", "run": "r1",
            "execution": {"id": execution, "type": "Trainer", "state": state}, **more,
        }) + "\\n")

report("RUNNING")
print("step 1", flush=True)
sys.stdin.readline()
report("COMPLETE", outputs=[{"id": "model", "type": "Model"}])
print("step 2", flush=True)
sys.exit(7)
"""


class Training:
    """The script; it goes on after its first step when it is told to."""

    def __init__(self, folder: Path) -> None:
        (folder / "train.py").write_text(SCRIPT)
        self.events = folder / "events.jsonl"
        self._process = subprocess.Popen(
            [sys.executable, str(folder / "train.py"), str(self.events)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"step 1\n"

    def finish(self) -> tuple[int, bytes]:
        """Its exit code, and the rest of what it prints."""
        out = self._process.communicate(b"\n")[0]
        return self._process.returncode, out


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with embedded_service(tmp_path / "log") as running:
        yield running


@contextmanager
def emitting(folder: Path, url: str, training: Training, **how: bool) -> Iterator[Emitting]:
    sidecar = Emitting(folder / "sidecar", "--url", url, "--tail", str(training.events), **how)
    try:
        yield sidecar
    finally:
        if sidecar.process.poll() is None:
            sidecar.kill()


def state_of(service: Service) -> str:
    """How far the service knows the training once it has applied all that it has accepted."""
    assert service.embedded is not None
    service.embedded.stop()
    return str(service.embedded.detector.pipelines["ads"].executions["train"].state)


def test_its_events_arrive(tmp_path: Path, service: Service) -> None:
    """All of them, also those of the last moment; the sidecar is small."""
    training = Training(tmp_path)
    with emitting(tmp_path, service.url, training) as sidecar:
        sidecar.wait_for("sidecar_events_total", 1, fate="delivered")
        ended = training.finish()
        peak = sidecar.peak_mib
        code = sidecar.end()

    assert (ended, code) == ((7, b"step 2\n"), 0)
    assert state_of(service) == "COMPLETE"
    assert peak < 64


def test_a_kill_loses_nothing_and_fails_nothing(tmp_path: Path, service: Service) -> None:
    """The sidecar is killed in the middle of the training, and started again after its end."""
    training = Training(tmp_path)
    with emitting(tmp_path, service.url, training) as sidecar:
        sidecar.wait_for("sidecar_events_total", 1, fate="spooled")
        sidecar.kill()
        ended = training.finish()
        sidecar.restart()
        sidecar.wait_for("sidecar_events_total", 1, fate="delivered")
        sidecar.end()

    assert ended == (7, b"step 2\n")
    assert state_of(service) == "COMPLETE"


def test_a_full_disk_fails_nothing(tmp_path: Path, service: Service) -> None:
    """Lines wait in their file; what is posted is kept in memory and delivered."""
    training = Training(tmp_path)
    with emitting(tmp_path, service.url, training, full_disk=True) as sidecar:
        posted = sidecar.service.post(
            b'{"id":"p1","time":"2026-01-01T00:00:00Z","pipeline":"ads","run":"r0",'
            b'"execution":{"id":"posted","type":"Trainer","state":"RUNNING"}}',
            "/v1/events",
        )
        sidecar.wait_for("sidecar_events_total", 1, fate="delivered")
        ended = training.finish()
        ready, live = sidecar.service.get("/readyz").status, sidecar.service.get("/livez").status
        code = sidecar.end()

    assert (posted.status, ready, live) == (201, 503, 200)
    assert (ended, code) == ((7, b"step 2\n"), 0)
    assert service.get("/v1/graphlets/ads/posted").status == 200
    assert "Traceback" not in sidecar.log
    assert "kept in memory" in sidecar.log


def test_a_service_that_is_away_fails_nothing(tmp_path: Path, service: Service) -> None:
    """What it could not deliver waits on disk, and goes to the service that is there the next time."""
    training = Training(tmp_path)
    with nobody() as address, emitting(tmp_path, f"http://{address}", training) as sidecar:
        ended = training.finish()
        answer = sidecar.service.get("/v1/should-prune?run=r1").json
        code = sidecar.end()
    with emitting(tmp_path, service.url, training) as again:
        again.wait_for("sidecar_events_total", 2, fate="delivered")
        again.end()

    assert (ended, code, answer["prune"]) == ((7, b"step 2\n"), 0, False)
    assert "2 events are not delivered, and wait in" in sidecar.log
    assert state_of(service) == "COMPLETE"


def test_the_run_hears_why_it_should_stop(tmp_path: Path) -> None:
    """The verdict reaches the client through the sidecar, and the reason the log of the run."""
    asked = """
from stream_app import should_prune
print(should_prune("r1", pipeline="ads", url="URL"), should_prune("r2", pipeline="ads", url="URL"))
"""
    with serving_flags({"r1": "ads/train@train#1"}) as url:
        sidecar = Emitting(tmp_path / "sidecar", "--url", url, "--run-log", str(tmp_path / "run.log"))
        try:
            script = asked.replace("URL", sidecar.service.url)
            ran = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True)
        finally:
            sidecar.end()

    assert ran.stdout == "True False\n"
    assert (tmp_path / "run.log").read_text() == (
        "stream-app: run 'r1' should stop: its model is pushed with a chance of 1.0 % (verdict 'ads/train@train#1')\n"
    )


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        ([], 2, "expected --url or --bootstrap-servers"),
        (["--url", "detector:8484"], 2, "--url: expected the address of a service"),
        (["--url", "http://me:secret@d"], 2, "--url: expected the address of a service"),
        (["--url", "http://d", "--topic", "t"], 2, "--topic and --config are of use with --bootstrap-servers alone"),
        (["--url", "http://d", "--token-file", "missing"], 2, "--token-file missing cannot be read"),
        (["--url", "http://d", "--token-file", "empty"], 2, "--token-file empty is empty"),
        (["--url", "http://d", "--port", "99999"], 2, "--port"),
        (["--url", "http://d", "--spool-mib", "0"], 2, "--spool-mib"),
        (["--bootstrap-servers", "nonsense"], 2, "expected host:port"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, flags: list[str], code: int, says: str) -> None:
    (tmp_path / "empty").write_text("")
    ran = subprocess.run(
        [sys.executable, "-m", "stream_app", "emit", *flags],
        cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip

    assert ran.returncode == code
    assert says in ran.stderr
    assert "secret" not in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with nobody() as address:
        ran = subprocess.run(
            [sys.executable, "-m", "stream_app", "emit", "--url", "http://d", "--port", address.rpartition(":")[2]],
            cwd=tmp_path, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip

    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "cannot listen on 127.0.0.1" in ran.stderr
