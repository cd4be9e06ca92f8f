"""The watchdog's judgement, on a clock made by hand."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from stream_app.kafka.process import watchdog
from stream_app.kafka.process.watchdog import Progress, Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(watchdog, "time", made)
    return made


@pytest.fixture
def kafka() -> Iterator[socket.socket]:
    """Something that accepts connections."""
    listener = socket.create_server(("127.0.0.1", 0))
    yield listener
    listener.close()


def make(kafka: socket.socket, progress: Progress) -> Watchdog:
    server = f"127.0.0.1:{kafka.getsockname()[1]}"
    return Watchdog(lambda: progress, [server], loop_seconds=60, stall_seconds=180)


def pass_time(dog: Watchdog, clock: Clock, seconds: int) -> str | None:
    """Let the event loop turn for this long; the last judgement."""
    said = None
    for _ in range(seconds):
        clock.now += 1
        dog.turn()
        said = said or dog.check()
    return said


def test_an_event_loop_that_stands_still_is_a_hang(clock: Clock, kafka: socket.socket) -> None:
    """Whatever it was doing."""
    dog = make(kafka, Progress(False, None))
    clock.now += 59

    assert dog.check() is None
    clock.now += 2
    assert dog.check() == "the event loop has not turned for 61 s"


def test_input_without_progress_is_a_hang(clock: Clock, kafka: socket.socket) -> None:
    """There is something to do, and nothing is done."""
    dog = make(kafka, Progress(True, {0: 7}))

    assert pass_time(dog, clock, 180) is None
    assert pass_time(dog, clock, 3) == "there is input, Kafka is up, and nothing was done for 181 s"


def test_no_input_is_no_hang(clock: Clock, kafka: socket.socket) -> None:
    """An idle worker may be idle for ever."""
    assert pass_time(make(kafka, Progress(False, {0: 7})), clock, 1_000) is None


def test_progress_is_no_hang(clock: Clock, kafka: socket.socket) -> None:
    """A worker with a long backlog is busy for long, and gets on."""
    done = iter(range(2_000))
    dog = make(kafka, Progress(True, None))
    dog._progress = lambda: Progress(True, next(done))

    assert pass_time(dog, clock, 1_000) is None


def test_an_outage_is_no_hang(clock: Clock, kafka: socket.socket) -> None:
    """While nothing accepts connections the worker can only wait; afterwards it has its time again."""
    dog = make(kafka, Progress(True, {0: 7}))
    kafka.close()

    assert pass_time(dog, clock, 1_000) is None


def test_a_process_that_hangs_is_ended() -> None:
    """With its own exit code, the reason, and the stacks of all threads."""
    program = "from stream_app.kafka.process.watchdog import end_process; end_process('it hangs')"
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True)

    assert ended.returncode == 70
    assert "watchdog: it hangs; ending the process" in ended.stderr
    assert "most recent call first" in ended.stderr


def test_a_check_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch, kafka: socket.socket) -> None:
    """A worker without its watchdog would look well while it hangs."""
    monkeypatch.setattr("stream_app.kafka.process.watchdog._CHECK_SECONDS", 0.01)
    looked, twice = [], threading.Event()

    def progress() -> Progress:
        looked.append(1)
        if len(looked) == 2:
            twice.set()
        raise AssertionError("not assigned")

    dog = Watchdog(progress, [f"127.0.0.1:{kafka.getsockname()[1]}"])
    dog.start()

    assert twice.wait(30)
    dog.stop()
