"""Whether a run should stop, from what is known here: at once, and never wrongly "stop"."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stream_app.sidecar import answers
from stream_app.sidecar.answers import FORGET_SECONDS, GO_ON, QUESTIONS_MAX, STOP_SECONDS, VALID_SECONDS, Answers
from stream_app.sidecar.forwarding import TargetUnavailableError
from stream_app.sidecar.stop_log import StopLog, stop_line

STOP = {**GO_ON, "known": True, "decision": "prune", "p_push": 0.01, "prune": True, "verdict": "p/t@train#3"}
RUN = (("run", "r1"),)


class Detector:
    """A service whose answer a test sets; None: it is away."""

    def __init__(self) -> None:
        self.answer: dict[str, Any] | None = dict(GO_ON)
        self.questions: list[Mapping[str, str]] = []

    async def ask(self, question: Mapping[str, str]) -> dict[str, Any]:
        self.questions.append(question)
        if self.answer is None:
            raise TargetUnavailableError("cannot reach it")
        return self.answer


class Bench:
    """Answers with a clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.detector = Detector()
        self.stops: list[Mapping[str, str]] = []
        self.answers = Answers(self.detector.ask, lambda question, _: self.stops.append(question), lambda: self.now)

    def prunes(self, question: answers.Question = RUN) -> bool:
        return bool(asyncio.run(self.answers.answer(question))["prune"])

    def refresh(self) -> None:
        asyncio.run(self.answers.refresh())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_first_question_is_passed_on(bench: Bench) -> None:
    bench.detector.answer = STOP

    assert bench.prunes()
    assert bench.detector.questions == [{"run": "r1"}]


def test_a_later_one_is_answered_at_once_with_what_is_known(bench: Bench) -> None:
    """A verdict is known here once the service was asked again, in the background."""
    before = bench.prunes()
    bench.detector.answer = STOP
    at_once = bench.prunes()
    bench.refresh()

    assert (before, at_once, bench.prunes()) == (False, False, True)


def test_a_stop_is_told_once(bench: Bench) -> None:
    """Once for each verdict, however often it is asked for."""
    bench.detector.answer = STOP
    for _ in range(3):
        bench.prunes()
        bench.refresh()
    bench.detector.answer = {**STOP, "verdict": "p/t@train#4"}
    bench.refresh()

    assert bench.stops == [{"run": "r1"}] * 2


def test_a_flag_that_is_withdrawn_stops_nobody(bench: Bench) -> None:
    bench.detector.answer = STOP
    before = bench.prunes()
    bench.detector.answer = dict(GO_ON)
    bench.refresh()

    assert (before, bench.prunes()) == (True, False)


def test_without_a_service_the_run_goes_on(bench: Bench) -> None:
    """A stop counts for two seconds after its service went away: the kill switch may have been turned since."""
    bench.detector.answer = None
    never = bench.prunes()
    bench.detector.answer = STOP
    bench.refresh()
    bench.detector.answer = None
    bench.now = STOP_SECONDS
    soon = bench.prunes()
    bench.now += 0.1
    late = asyncio.run(bench.answers.answer(RUN))
    bench.now = VALID_SECONDS + 1
    gone = asyncio.run(bench.answers.answer(RUN))

    assert (never, soon, late["prune"], gone) == (False, True, False, GO_ON)
    assert (late["decision"], late["why_not"]["reason"]) == ("prune", "unconfirmed")


def test_a_stop_is_confirmed_before_a_run_is_told(bench: Bench) -> None:
    """So a kill switch holds here two seconds later at most; what lets a run go on is answered at once."""
    bench.detector.answer = STOP
    assert bench.prunes()
    bench.detector.answer = {**STOP, "prune": False, "why_not": {"reason": "switched_off", "detail": "acting is off"}}
    bench.now = STOP_SECONDS
    at_once, asked = bench.prunes(), len(bench.detector.questions)
    bench.now += 0.1
    later = asyncio.run(bench.answers.answer(RUN))
    bench.now += STOP_SECONDS + 1
    again = bench.prunes()

    assert (at_once, asked, len(bench.detector.questions)) == (True, 1, 2)
    assert (later["prune"], later["why_not"]["reason"], again) == (False, "switched_off", False)


def test_a_service_that_is_slow_to_confirm_stops_nobody(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "FIRST_SECONDS", 0.01)
    bench.detector.answer = STOP
    assert bench.prunes()
    bench.now = STOP_SECONDS + 1
    held = asyncio.Event()

    async def never(_: Mapping[str, str]) -> dict[str, Any]:
        await held.wait()
        return STOP

    bench.answers._ask = never
    assert not bench.prunes()


def test_a_service_that_does_not_answer_is_told_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """And its return, too."""
    caplog.set_level("INFO")
    bench.detector.answer = None
    bench.prunes()
    bench.refresh()
    bench.refresh()
    away = caplog.text.count("cannot reach it; whether runs should stop is not known meanwhile")
    bench.detector.answer = dict(GO_ON)
    bench.refresh()

    assert (away, caplog.text.count("the service answers again")) == (1, 1)


def test_without_an_address_every_run_goes_on() -> None:
    nobody = Answers(None)

    assert asyncio.run(nobody.answer(RUN)) == GO_ON


def test_a_service_that_is_slow_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes in the time that a client waits."""
    monkeypatch.setattr(answers, "FIRST_SECONDS", 0.01)

    async def never(_: Mapping[str, str]) -> dict[str, Any]:
        await asyncio.Event().wait()
        return STOP

    assert asyncio.run(Answers(never).answer(RUN)) == GO_ON


def test_questions_are_forgotten(bench: Bench) -> None:
    """Those that nobody asks any more, and the oldest of too many."""
    bench.prunes()
    bench.now = FORGET_SECONDS + 1
    bench.refresh()
    asked = len(bench.detector.questions)
    for number in range(QUESTIONS_MAX + 50):
        bench.prunes((("run", str(number)),))
    bench.detector.questions.clear()
    bench.refresh()

    assert asked == 1
    assert len(bench.detector.questions) == QUESTIONS_MAX


def test_the_reason_is_written_into_the_log_of_the_run(tmp_path: Path) -> None:
    """In words; what speaks for a push is no reason to stop."""
    why = [
        {"feature": "runs_since_push", "value": 3.0, "effect": -0.4},
        {"feature": "blessed", "value": 1.0, "effect": 0.2},
    ]
    StopLog(tmp_path / "run.log").stop({"run": "r1"}, {**STOP, "why": why})
    [line] = (tmp_path / "run.log").read_text().splitlines()

    assert line.startswith("stream-app: run 'r1' should stop: its model is pushed with a chance of 1.0 %, because of ")
    assert line.endswith(" (verdict 'p/t@train#3')")
    assert "runs since the last push" in line
    assert "blessed" not in line


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"why": None}, {"why": 7}, {"why": [None, 3, "x", {}, {"feature": 1}]}, {"p_push": "much"},
        {"why": [{"feature": "nobody knows it", "value": 1, "effect": -1}]},
        {"why": [{"feature": "hour", "value": float("inf"), "effect": -1}]}, {"verdict": None},
    ],
)  # fmt: skip
def test_an_answer_of_another_release_is_one_line(answer: dict[str, Any]) -> None:
    line = stop_line({"run": "\x1b[31mred\n"}, answer)

    assert line.startswith("stream-app: run '\\x1b[31mred\\n' should stop")
    assert line.isprintable()


def test_a_log_that_cannot_be_written_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The line is in the sidecar's own log then."""
    StopLog(tmp_path).stop({"run": "r1"}, STOP)

    assert "should stop" in caplog.text
