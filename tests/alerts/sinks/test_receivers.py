"""The receivers of docs/receivers take what the webhook sends, once each, and nothing else: in Python, Node and Go."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from stream_app.alerts.flags import Change
from stream_app.alerts.signing import headers, make_secret
from stream_app.alerts.sinks.http import Answer
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.sinks.webhook import Webhook
from tests.alerts.records import NOW, record
from tests.alerts.sinks.servers import client, outgoing

RECEIVERS = Path(__file__).parents[3] / "docs" / "receivers"
#: Where packages of other languages are kept between runs.
CACHE = Path(sys.prefix) / "receivers"
SECRET, FORMER = make_secret(), make_secret()


def fetch(line: list[str], folder: Path) -> None:
    """Runs a package manager; the test fails in one line where it cannot do its work."""
    try:
        done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    except FileNotFoundError:
        pytest.fail(f"{line[0]} is not installed, so the receivers in its language cannot be tried", pytrace=False)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        pytest.fail(f"{' '.join(line)} cannot fetch the package: {''.join(last)}", pytrace=False)


def copied(language: str) -> Path:
    """A folder of the cache with the receiver as it is now."""
    folder = CACHE / language
    shutil.copytree(RECEIVERS / language, folder, dirs_exist_ok=True)
    return folder


def python() -> list[str]:
    """The command of the receiver in Python."""
    return [sys.executable, str(RECEIVERS / "receiver.py")]


def node() -> list[str]:
    """The command of the receiver in Node."""
    folder = copied("node")
    if not (folder / "node_modules" / "standardwebhooks").is_dir():
        fetch(["npm", "install", "--no-audit", "--no-fund", "--silent"], folder)
    return ["node", str(folder / "receiver.mjs")]


def go() -> list[str]:
    """The command of the receiver in Go."""
    folder = copied("go")
    fetch(["go", "build", "-o", "receiver", "."], folder)
    return [str(folder / "receiver")]


@contextmanager
def running(command: list[str]) -> Iterator[tuple[str, Callable[[], str]]]:
    """A receiver; yields its address, and what ends it and returns what it printed."""
    process = subprocess.Popen(
        command,
        env={**os.environ, "WEBHOOK_SECRET": SECRET, "PORT": "0", "PYTHONIOENCODING": "utf-8"},
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stdout is not None

    def end() -> str:
        process.terminate()
        return process.communicate(timeout=20)[0]

    try:
        port = process.stdout.readline().split()[-1]
        yield f"http://127.0.0.1:{port}/", end
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("command", [python, node, go], ids=lambda each: each.__name__)
def test_a_receiver_takes_what_is_sent(command: Callable[[], list[str]]) -> None:
    """Each message once, digests and odd names too, by either of two secrets; nothing that was changed, or is old."""
    digest = Outgoing("d+", (record(flag="p/run:é"), record(2, Change.RESOLVED, "p/run:r2")), outgoing().text, {})
    odd = Outgoing("p/run:é 100%\r\nX-A: b#1@s", (record(flag="p/run:é"),), outgoing().text, {})

    async def body(address: str) -> tuple[list[Result], list[Answer | str]]:
        async with client() as http:
            sent = [
                await Webhook(http, address, keys, {}).send(each)
                for keys, each in (([SECRET], outgoing()), ([FORMER, SECRET], outgoing()), ([SECRET], digest),
                                   ([SECRET], odd), ([FORMER], outgoing()))
            ]  # fmt: skip
            old = headers([SECRET], "old", NOW // 1000 - 400_000_000, b"{}")
            changed = {**headers([SECRET], "changed", int(time.time()), b"{}"), "webhook-id": "other"}
            return sent, [await http.post(address, b"{}", each) for each in (old, changed, {})]

    with running(command()) as (address, end):
        sent, refused = asyncio.run(body(address))
        printed = end()

    assert [each.succeeded for each in sent] == [True, True, True, True, False]
    assert sent[4].reason.startswith("HTTP 401")
    assert [each.status for each in refused if isinstance(each, Answer)] == [401, 401, 401]
    assert printed.splitlines() == ["raised p/run:r1", "raised p/run:é", "resolved p/run:r2", "raised p/run:é"]
