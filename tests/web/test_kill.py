"""The service is killed while clients post: what got its 201 is there, once."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
from collections import Counter
from pathlib import Path

import orjson
import pytest

from tests.sources.openlineage_events import message, run_event, run_id
from tests.web.served import BATCH, Process


class Client(threading.Thread):
    """Posts events one after the other, now and then a batch, until the service is gone."""

    def __init__(self, process: Process, name: str) -> None:
        super().__init__()
        self.process = process
        self.prefix = name
        #: Names of the runs whose events were acknowledged.
        self.acknowledged: list[str] = []

    def run(self) -> None:
        number = 0
        try:
            while True:
                names = [f"{self.prefix}-{number + each}" for each in range(5 if number % 7 == 0 else 1)]
                events = [run_event(run=name) for name in names]
                single = len(events) == 1
                answer = (
                    self.process.service.post(message(events[0]))
                    if single
                    else self.process.service.post(orjson.dumps(events), BATCH)
                )
                assert answer.status == (201 if single else 200), answer.body
                self.acknowledged += names
                number += len(names)
        except OSError:
            return
        except Exception as error:  # an answer cut off in the middle is no answer
            if type(error).__module__ != "http.client":
                raise


def stored_runs(folder: Path) -> Counter[str]:
    """How often each run is in the log of a service that has ended."""
    with sqlite3.connect(folder / "events.sqlite") as log:
        rows = log.execute("SELECT message FROM entries WHERE message IS NOT NULL").fetchall()
    log.close()
    return Counter(orjson.loads(text)["run"]["runId"] for (text,) in rows)


@pytest.mark.slow
def test_what_was_acknowledged_survives_kill_9_and_is_there_once(tmp_path: Path) -> None:
    """Through several lives of the service, each killed at a moment of its own."""
    draw = random.Random(7)
    acknowledged: list[str] = []
    for life in range(3):
        process = Process(tmp_path)
        clients = [Client(process, f"{life}-{number}") for number in range(4)]
        for client in clients:
            client.start()
        enough = draw.randrange(20, 120)
        while sum(len(client.acknowledged) for client in clients) < enough and any(
            map(threading.Thread.is_alive, clients)
        ):
            clients[0].join(timeout=0.01)
        process.end(signal.SIGKILL)
        for client in clients:
            client.join()
            acknowledged += client.acknowledged

    process = Process(tmp_path)
    executions = len(process.service.get("/v1/verdicts?limit=1000").json["verdicts"])
    assert process.end() == 0

    stored = stored_runs(tmp_path)
    assert len(acknowledged) >= 60
    assert [name for name in acknowledged if stored[run_id(name)] != 1] == []
    assert executions > 0


@pytest.mark.slow
def test_being_told_to_stop_loses_nothing(tmp_path: Path) -> None:
    """SIGTERM: what is in hand is finished, the state is saved, and the exit is clean."""
    process = Process(tmp_path)
    clients = [Client(process, f"c{number}") for number in range(4)]
    for client in clients:
        client.start()
    while sum(len(client.acknowledged) for client in clients) < 50:
        clients[0].join(timeout=0.01)

    code = process.end(signal.SIGTERM)

    for client in clients:
        client.join()
    stored = stored_runs(tmp_path)
    assert code == 0
    assert all(stored[run_id(name)] == 1 for client in clients for name in client.acknowledged)
    with sqlite3.connect(tmp_path / "events.sqlite") as log:
        (applied,), (last,) = (log.execute(f"SELECT {what}").fetchone() for what in (
            "position FROM applied", "max(position) FROM entries"
        ))  # fmt: skip
    log.close()
    assert applied == last


@pytest.mark.slow
def test_a_second_service_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    """In one line; the first one goes on."""
    process = Process(tmp_path)

    try:
        second = Process(tmp_path)
    except AssertionError as refused:
        said = str(refused)
    else:
        second.end(signal.SIGKILL)
        said = "it was let in"

    assert said.strip().endswith("events.sqlite: cannot be opened: another process has it")
    assert process.service.post(message(run_event())).status == 201
    assert process.end() == 0
