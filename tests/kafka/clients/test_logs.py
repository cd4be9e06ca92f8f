"""The clients' log lines while Kafka is away."""

from __future__ import annotations

import logging

from stream_app.kafka.clients.logs import QUIET_SECONDS, Repeats, quieten


def line(level: int, seconds: float, number: int = 1) -> logging.LogRecord:
    """A line from one place in the code, at a time."""
    record = logging.LogRecord("aiokafka", level, "client.py", number, "cannot reach %s", ("x",), None)
    record.created = 1_000_000 + seconds
    return record


def test_a_warning_is_said_once_in_a_while() -> None:
    """Repeats from the same place are dropped until some time has passed; other places are heard."""
    repeats = Repeats()
    heard = [repeats.filter(line(logging.WARNING, seconds)) for seconds in (0, 1, QUIET_SECONDS - 1, QUIET_SECONDS)]

    assert heard == [True, False, False, True]
    assert repeats.filter(line(logging.ERROR, 1, number=2))


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    """By days, since it was wrong: the next line is heard, and its repeats are not."""
    repeats = Repeats()
    days = 3 * 86_400
    heard = [repeats.filter(line(logging.WARNING, seconds)) for seconds in (days, 0, 1, QUIET_SECONDS)]

    assert heard == [True, True, False, True]


def test_other_lines_pass() -> None:
    """Only warnings and errors repeat themselves."""
    repeats = Repeats()

    assert all(repeats.filter(line(logging.INFO, 0)) for _ in range(3))


def test_late_timers_are_not_told_and_trouble_is() -> None:
    """Of Faust's services only its timers' warnings are dropped; its errors and all others' warnings are heard."""
    quieten()

    assert not logging.getLogger("mode.timers").isEnabledFor(logging.WARNING)
    assert logging.getLogger("mode.timers").isEnabledFor(logging.ERROR)
    assert logging.getLogger("mode.services").isEnabledFor(logging.WARNING)
    assert logging.getLogger("faust").isEnabledFor(logging.WARNING)
