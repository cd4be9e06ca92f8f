"""The last question before a stop: none without an open flag, after `keep`, in `observe`, under the kill switch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stream_app.acting.gate import Gate
from stream_app.acting.reasons import Why
from stream_app.acting.switch import Off, Switch
from stream_app.alerts.flags import Change, FlagRecord
from stream_app.core import acts
from stream_app.core.acts import ActOn
from stream_app.core.decisions import policy
from stream_app.core.decisions.policy import ENFORCE, OBSERVE, Policy
from stream_app.core.detector import Settings
from stream_app.core.events import Event
from stream_app.core.ladder import Ladder, LadderRule, Step
from stream_app.service.act_writer import act_writer
from stream_app.service.detector_thread import Embedded
from stream_app.service.event_log import Accepted, EventLog
from stream_app.service.settings import EmbeddedSettings
from stream_app.service.stop_check import EmbeddedStopCheck, check_run
from stream_app.service.verdict_index import VerdictIndex
from stream_app.sources import NATIVE, SOURCES
from tests.alerts.records import NOW, record
from tests.support.receiver import flagged_run, history
from tests.web.served import verdict_record
from tests.web.steered_service import Pessimist

OFF = Off("*", "ann", "an outage", NOW)


def run_flag(**changed: Any) -> FlagRecord:
    return replace(record(3, Change.REVISED, "p/run:r", mode="enforce"), **changed)


def index(*verdicts: dict[str, Any]) -> VerdictIndex:
    made = VerdictIndex()
    for each in verdicts:
        made.add(each)
    return made


OPEN = verdict_record("prune", "r")
CASES: list[tuple[str, FlagRecord, VerdictIndex, bool, Why | None]] = [
    ("the run is flagged", run_flag(), index(OPEN), True, None),
    ("all its trainings are", run_flag(), index(verdict_record("prune", "r", "a"), verdict_record("prune", "r", "b")),
     True, None),
    ("a training alone is", run_flag(flag="p/t", run=None), index(verdict_record("prune", None, "t")), True, None),
    ("it is not open", run_flag(), index(OPEN), False, Why.NOT_FLAGGED),
    ("there is no verdict", run_flag(), index(), True, Why.NOT_FLAGGED),
    ("the verdict continues", run_flag(), index(verdict_record("continue", "r")), True, Why.NOT_FLAGGED),
    ("it was withdrawn by keep", run_flag(), index(verdict_record("continue", "r") | {"withdrawn": "keep"}), True,
     Why.NOT_FLAGGED),
    ("one training continues", run_flag(),
     index(verdict_record("prune", "r", "a"), verdict_record("continue", "r", "b")), True, Why.NOT_FLAGGED),
    ("one training is warned of", run_flag(),
     index(verdict_record("warn", "r", "a"), verdict_record("prune", "r", "b")), True, Why.NOT_FLAGGED),
    ("it observes", run_flag(), index(verdict_record("prune", "r", mode="observe")), True, Why.OBSERVE),
    ("another pipeline's run is flagged", run_flag(), index(verdict_record("prune", "r", pipeline="q")), True,
     Why.NOT_FLAGGED),
    ("another run is flagged", run_flag(), index(verdict_record("prune", "s")), True, Why.NOT_FLAGGED),
    ("the record names another pipeline", run_flag(pipeline="q"), index(OPEN), True, Why.UNREADABLE),
    ("the record names another run", run_flag(run="s"), index(OPEN), True, Why.UNREADABLE),
    ("the record names no run", run_flag(run=None), index(OPEN), True, Why.UNREADABLE),
    ("the flag is that of a training", run_flag(flag="p/t"), index(verdict_record("prune", "r", "t")), True,
     Why.UNREADABLE),
    ("the flag is none", run_flag(flag="p"), index(OPEN), True, Why.UNREADABLE),
]  # fmt: skip


@pytest.mark.parametrize(("case", "flag", "verdicts", "is_open", "why"), CASES, ids=[case for case, *_ in CASES])
def test_a_run_is_stopped_only_where_all_that_is_known_flags_it(
    case: str, flag: FlagRecord, verdicts: VerdictIndex, is_open: bool, why: Why | None
) -> None:
    """A refusal is counted by its reason; under the kill switch no run is."""
    counted: list[Why] = []
    found = check_run(flag, verdicts, Gate(on_refusal=counted.append), is_open=is_open)

    assert (found.why if found is not None else None, counted) == (why, [why] if why is not None else []), case
    assert check_run(flag, verdicts, Gate(Switch([OFF])), is_open=is_open) is not None


def test_a_detector_that_observes_now_stops_nothing() -> None:
    found = check_run(run_flag(), index(OPEN), Gate(), is_open=True, enforces=lambda _: False)

    assert found is not None
    assert found.why is Why.OBSERVE


# An embedded detector


class Detecting:
    """A detector that flags each run, and the check of its flags."""

    def __init__(self, embedded: Embedded) -> None:
        self.embedded = embedded
        self.switch = Switch()
        self.check = EmbeddedStopCheck(embedded, Gate(self.switch))

    def send(self, messages: list[bytes]) -> None:
        """Has messages accepted; they may not be applied yet."""
        read = [Accepted(each, SOURCES[NATIVE](each, None), NATIVE) for each in messages]
        self.embedded.submit(read).result(20)

    def act(self, event: Event) -> None:
        async def write() -> None:
            await act_writer(self.embedded)([event])

        asyncio.run(write())

    def flag(self, pipeline: str = "p") -> FlagRecord:
        """Flags a run; a record of it, as of a moment ago."""
        now_ms = time.time_ns() // 1_000_000
        self.send([*history(now_ms, pipeline), *flagged_run(now_ms, "r1", pipeline)[0]])
        return replace(run_flag(), flag=f"{pipeline}/run:r1", pipeline=pipeline, run="r1")

    def why(self, flag: FlagRecord) -> str:
        return asyncio.run(self.check.refusal(flag))


@contextmanager
def detecting(path: Path, mode: str = ENFORCE, ladder: Ladder | None = None) -> Iterator[Detecting]:
    rules = (LadderRule(ladder),) if ladder is not None else ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Settings, "learner", lambda _: Pessimist())
        patch.setattr(policy, "hold_out", lambda *_: None)  # which weeks are held out is chance
        event_log = EventLog(path)
        embedded = Embedded(event_log, EmbeddedSettings(Settings(policy=Policy(mode=mode, ladders=rules))))
        embedded.start()
        try:
            yield Detecting(embedded)
        finally:
            embedded.stop()
            event_log.close()


RUN = ActOn("p", "r1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda now_ms: acts.keep(RUN, "ann", "a demo", now_ms), "is not open any more"),
        (lambda now_ms: acts.wrong(RUN, "ann", "a demo", now_ms), "is not open any more"),
        (lambda now_ms: acts.prolong(RUN, now_ms + 3_600_000, "ann", "a demo", now_ms), "it may be stopped from"),
        (lambda now_ms: acts.policy("p", Ladder(Step.WARN), "ann", "no", now_ms), "the ladder of its pipeline ends"),
        (lambda now_ms: acts.keep(ActOn("p", "r2"), "ann", "another run", now_ms), ""),
        (lambda now_ms: acts.keep(ActOn("q", "r1"), "ann", "another pipeline", now_ms), ""),
    ],
)  # fmt: skip
def test_what_a_person_has_decided_holds_from_the_answer_on(
    tmp_path: Path, change: Callable[[int], Event], words: str
) -> None:
    """The check waits until it was applied."""
    with detecting(tmp_path / "log") as detector:
        flag = detector.flag()
        assert detector.why(flag) == ""
        detector.act(change(time.time_ns() // 1_000_000))

        found = detector.why(flag)
        assert words in found
        assert bool(found) == bool(words)


def test_a_run_whose_outcome_is_known_is_not_stopped(tmp_path: Path) -> None:
    with detecting(tmp_path / "log") as detector:
        flag = detector.flag()
        detector.send(flagged_run(time.time_ns() // 1_000_000, "r1")[1])

        assert "is not open any more" in detector.why(flag)


def test_no_run_is_stopped_where_the_detector_observes(tmp_path: Path) -> None:
    with detecting(tmp_path / "log", OBSERVE) as detector:
        assert "observe" in detector.why(detector.flag())


def test_no_run_is_stopped_before_its_ladder_allows_it(tmp_path: Path) -> None:
    with detecting(tmp_path / "log", ladder=Ladder(between_ms=3_600_000)) as detector:
        assert "it may be stopped from" in detector.why(detector.flag())


def test_no_run_is_stopped_under_the_kill_switch(tmp_path: Path) -> None:
    """Of its pipeline, and of the fleet."""
    with detecting(tmp_path / "log") as detector:
        mine, other = detector.flag("p"), detector.flag("q")
        detector.switch.set("p", OFF)
        assert ("acting is off" in detector.why(mine), detector.why(other)) == (True, "")
        detector.switch.set("*", OFF)
        assert "acting is off" in detector.why(other)


def test_a_flag_that_is_not_known_stops_nothing(tmp_path: Path) -> None:
    with detecting(tmp_path / "log") as detector:
        detector.flag()
        forged = replace(run_flag(), flag="q/run:r1", pipeline="q", run="r1")

        assert "is not open any more" in detector.why(forged)
        assert "is not that of this run" in detector.why(replace(forged, flag="p/run:r1"))


def test_a_detector_that_cannot_be_asked_stops_nothing(tmp_path: Path) -> None:
    with detecting(tmp_path / "log") as detector:
        flag = detector.flag()
    assert detector.why(flag).startswith("how the flag is now cannot be asked")
