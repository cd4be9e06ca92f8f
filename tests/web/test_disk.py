"""Disks that hang, are full or refuse to be written, in a process of its own: nobody waits, and it comes back."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

import pytest

from tests.sources.openlineage_events import message, run_event
from tests.web.served import Process
from tests.web.test_http import stored

GOOD = message(run_event())


def until(holds: Callable[[], bool], what: str) -> None:
    """Waits until something holds."""
    end = monotonic() + 60
    while not holds():
        assert monotonic() < end, what


@pytest.mark.slow
def test_a_disk_that_hangs_is_told_and_waited_for(tmp_path: Path) -> None:
    """Events get 503, those before and those after it is noticed; what was not acknowledged may be there afterwards."""
    hang = tmp_path / "hang"
    process = Process(tmp_path / "data", program=[sys.executable, "-m", "tests.web.hanging_disk", str(hang)])
    service = process.service
    assert service.post(GOOD).status == 201
    hang.touch()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(lambda: service.post(GOOD).status) for _ in range(4)]
        until(lambda: service.get("/readyz").status == 503, "it is not ready")
        reason = service.get("/readyz?verbose").json["reason"]
        live = service.get("/livez").status
        later = service.post(GOOD)
        given_up = {each.result() for each in waiting}
    hang.unlink()
    until(lambda: service.get("/readyz").status == 200, "it is ready again")
    again = service.post(GOOD).status
    code = process.end()

    assert "the disk of" in reason
    assert (live, given_up) == (200, {503})
    assert (later.status, later.headers["Retry-After"]) == (503, "5")
    assert reason in later.json["detail"]
    assert (again, code) == (201, 0)
    assert 2 <= len(stored(tmp_path / "data" / "events.sqlite")) <= 6


@pytest.mark.slow
def test_it_ends_though_the_disk_hangs(tmp_path: Path) -> None:
    """With a code that says so; what was acknowledged is there at the next start."""
    hang = tmp_path / "hang"
    process = Process(tmp_path / "data", program=[sys.executable, "-m", "tests.web.hanging_disk", str(hang)])
    assert process.service.post(GOOD).status == 201
    hang.touch()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: process.service.post(GOOD).status)
        until(lambda: process.service.get("/readyz").status == 503, "it is not ready")
        process.process.terminate()
        log = process.process.communicate(timeout=60)[1].decode()
        assert waiting.result() == 503

    assert process.process.returncode == 1
    assert "has not answered" in log
    assert "Traceback" not in log
    assert stored(tmp_path / "data" / "events.sqlite")[0] == GOOD


@pytest.mark.slow
def test_a_full_disk_is_told_and_found_again_without_an_event(tmp_path: Path) -> None:
    """A limit on the size of files in the place of the disk's; who waits for readiness sends nothing."""
    process = Process(tmp_path)
    service, pid = process.service, process.process.pid
    assert service.post(GOOD).status == 201
    limits = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (4_096, limits[1]))
    refused = service.post(GOOD)
    until(lambda: service.get("/readyz").status == 503, "it is not ready")
    reason = service.get("/readyz?verbose").json["reason"]
    live = service.get("/livez").status
    resource.prlimit(pid, resource.RLIMIT_FSIZE, limits)
    until(lambda: service.get("/readyz").status == 200, "it is ready again")
    again = service.post(GOOD).status

    assert (refused.status, live, again) == (503, 200, 201)
    assert "cannot write to" in reason
    assert process.end() == 0
    assert stored(tmp_path / "events.sqlite") == [GOOD, GOOD]
