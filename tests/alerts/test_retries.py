"""The schedule of attempts, and the breaker that leaves a broken sink alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.retries import (
    DELAYS,
    JITTER,
    OPEN_ATTEMPTS,
    OPEN_STREAK,
    OPEN_WINDOW,
    PROBE_SECONDS,
    RETRY_AFTER_MAX,
    Breaker,
    retry_delay,
)


def test_the_schedule() -> None:
    """5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h: about 28 hours in all."""
    assert [retry_delay(failures, 0.5) for failures in range(1, 9)] == [
        5, 300, 1_800, 7_200, 18_000, 36_000, 36_000, None,
    ]  # fmt: skip


@given(st.integers(1, len(DELAYS)), st.floats(0, 1, exclude_max=True), st.none() | st.floats(0, 1e9))
def test_jitter_and_retry_after(failures: int, draw: float, asked: float | None) -> None:
    """A delay varies by a fifth; an answer may lengthen it, by a day at most, and never shortens it."""
    delay = retry_delay(failures, draw, asked)
    usual = DELAYS[failures - 1]

    assert delay is not None
    least, most = usual * (1 - JITTER), usual * (1 + JITTER)
    wanted = min(asked or 0.0, RETRY_AFTER_MAX)
    assert max(least, wanted) - 1e-6 <= delay <= max(most, wanted) + 1e-6


def attempts(breaker: Breaker, *outcomes: bool, every: float = 1.0, begin: float = 0.0) -> float:
    """Attempts in turn; returns the time of the last."""
    now = begin
    for outcome in outcomes:
        breaker.attempt(now)
        breaker.record(now, outcome)
        now += every
    return now - every


def test_failures_in_a_row_open_it() -> None:
    """However far apart they are."""
    breaker = Breaker()
    attempts(breaker, *[False] * (OPEN_STREAK - 1), every=OPEN_WINDOW)
    assert breaker.wait(1e6) == 0.0
    attempts(breaker, False, begin=1e6)

    assert breaker.wait(1e6) == PROBE_SECONDS


@pytest.mark.parametrize(("failed", "opens"), [(6, False), (7, True)])
def test_a_share_of_failures_opens_it(failed: int, opens: bool) -> None:
    """Seven of ten within five minutes."""
    breaker = Breaker()
    attempts(breaker, *[True] * (OPEN_ATTEMPTS - failed), *[False] * failed)

    assert breaker.open is opens


def test_failures_long_ago_do_not_count() -> None:
    """Only those of the last five minutes do."""
    breaker = Breaker()
    attempts(breaker, *[False] * 6, True)
    attempts(breaker, *[False] * 5, begin=OPEN_WINDOW + 10)

    assert not breaker.open


def test_a_probe_that_succeeds_closes_it() -> None:
    """One attempt each half minute until then."""
    breaker = Breaker()
    now = attempts(breaker, *[False] * OPEN_STREAK)
    assert breaker.wait(now + 10) == PROBE_SECONDS - 10
    attempts(breaker, False, begin=now + 30)
    assert breaker.wait(now + 31) == PROBE_SECONDS - 1
    attempts(breaker, True, begin=now + 60)

    assert breaker.wait(now + 60) == 0.0
    attempts(breaker, False, begin=now + 61)
    assert not breaker.open
