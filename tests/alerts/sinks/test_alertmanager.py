"""Alertmanager itself: an alert fires there while its flag is open, and resolves with it."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.sinks.alertmanager import NAME, Alertmanager, alert
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.texts import Text, Texts
from stream_app.core.units import DAY_MS
from stream_app.times import text_to_time, time_to_text
from tests.alerts.records import NOW, record
from tests.alerts.sinks.servers import client, outgoing, serving


def program() -> str:
    """Alertmanager, installed where the package manager can."""
    names = ("prometheus-alertmanager", "alertmanager")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        line = ["apt-get", "install", "-y", "-q", "--no-install-recommends", names[0]]
        subprocess.run(line, capture_output=True, check=False, timeout=300)
        found = shutil.which(names[0])
    if found is None:
        pytest.fail(f"Alertmanager is not installed: apt-get install {names[0]}", pytrace=False)
    return found


@contextmanager
def alertmanager(folder: Path, receiver: str) -> Iterator[str]:
    """An Alertmanager that posts what it notifies to a receiver; yields its address."""
    config = folder / "alertmanager.yml"
    config.write_text(
        "route: {receiver: test, group_by: [flag], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}\n"
        f"receivers: [{{name: test, webhook_configs: [{{url: '{receiver}', send_resolved: true}}]}}]\n"
    )
    process = subprocess.Popen(
        [program(), f"--config.file={config}", f"--storage.path={folder}", "--web.listen-address=127.0.0.1:0",
         "--cluster.listen-address="],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        lines = iter(process.stderr.readline, "")
        found = next(filter(None, (re.search(r"Listening on.*address=(\S+)", line) for line in lines)))
        yield f"http://{found.group(1)}"
    finally:
        process.kill()
        process.communicate()


def of_now(revision: int, change: Change) -> FlagRecord:
    """A record of a flag that was raised a minute ago."""
    now_ms = round(time.time() * 1000)
    return record(revision, change, raised_ms=now_ms - 60_000, time_ms=now_ms)


@pytest.mark.slow
@pytest.mark.parametrize("end", [Change.RESOLVED, Change.WITHDRAWN])
@pytest.mark.parametrize("ahead", [-240.0, 0.001, 240.0])
def test_a_flag_fires_and_resolves(tmp_path: Path, end: Change, ahead: float) -> None:
    """One alert, with the text of the flag, whichever of the two clocks is ahead; repeating it makes no second one."""
    notified: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def handler(request: web.Request) -> web.Response:
        notified.put_nowait(await request.json())
        return web.Response()

    async def body() -> tuple[list[Result], list[dict[str, Any]], list[Any]]:
        async with (
            serving(handler) as receiver,
            client() as http,
            asyncio.timeout(60),
            aiohttp.ClientSession() as asking,
        ):
            with alertmanager(tmp_path, receiver) as address:
                sink = Alertmanager(http, f"{address}/", lambda: time.time() + ahead)
                results = [await sink.send(outgoing(of_now(1, Change.RAISED))) for _ in range(2)]
                told = [await notified.get()]
                async with asking.get(f"{address}/api/v2/alerts") as answer:
                    active = await answer.json()
                results.append(await sink.send(outgoing(of_now(2, end))))
                told.append(await notified.get())
                return results, told, active

    results, (firing, resolved), active = asyncio.run(body())

    assert [each.reason for each in results] == ["", "", ""]
    assert (firing["status"], resolved["status"]) == ("firing", "resolved")
    (fired,), (ended,) = firing["alerts"], resolved["alerts"]
    assert fired["labels"] == ended["labels"] == {"alertname": NAME, "flag": "p/run:r1", "pipeline": "p", "run": "r1"}
    assert fired["annotations"]["summary"] == Texts().of([of_now(1, Change.RAISED)]).title
    assert [each["status"]["state"] for each in active] == ["active"]


@pytest.mark.slow
def test_what_alertmanager_refuses_is_a_failure(tmp_path: Path) -> None:
    """With its reason."""

    async def body() -> Result:
        async with client() as http:
            with alertmanager(tmp_path, "http://127.0.0.1:1/") as address:
                return await Alertmanager(http, f"{address}/elsewhere").send(outgoing())

    assert asyncio.run(body()).reason.startswith("HTTP 404")


@pytest.mark.parametrize("change", list(Change))
def test_an_alert_ends_with_its_flag(change: Change) -> None:
    """Its labels are the same over the life of the flag, and it starts before it ends, whatever the clocks say."""
    first = alert(record(), Text("t", "b"), NOW)
    for now_ms in (NOW - DAY_MS, NOW, NOW + DAY_MS):
        made = alert(record(2, change, owner=""), Text("t", "b"), now_ms)
        assert made["labels"] == first["labels"]
        assert text_to_time(made["startsAt"]) <= text_to_time(made["endsAt"])
        away_ms = text_to_time(made["endsAt"]) - now_ms
        assert away_ms > 30 * DAY_MS if change not in (Change.WITHDRAWN, Change.RESOLVED) else away_ms == -5 * 60_000
        assert "owner" not in made["annotations"]


def test_a_flag_without_a_run_has_no_such_label() -> None:
    """Alertmanager takes no empty labels."""
    made = alert(record(flag="p/t", run=None), Text("t", "b"), NOW)

    assert set(made["labels"]) == {"alertname", "flag", "pipeline"}
    assert made["startsAt"] == time_to_text(NOW)
