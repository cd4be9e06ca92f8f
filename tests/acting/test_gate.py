"""The gate: a table of every reason for not stopping a run, and nothing between that lets one through."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stream_app.acting.gate import Gate, verdict_refusal
from stream_app.acting.reasons import Why
from stream_app.acting.switch import FLEET, Off, OffFile, Switch
from stream_app.times import text_to_time, time_to_text

#: 13:00 in Berlin.
NOW = text_to_time("2026-03-02T12:00:00Z")
LATER, EARLIER = time_to_text(NOW + 1), time_to_text(NOW)

Json = dict[str, Any]


def verdict(**changed: Any) -> Json:
    """A verdict by which a run may be stopped, but for what is changed."""
    ladder = {"last": "act", "warn_again": None, "stop_from": EARLIER, "exempt_hours": ""}
    return {
        "id": "ads/run:7#2", "pipeline": "ads", "run": "7", "decision": "prune",
        "policy": {"mode": "enforce", "budget": 0.01}, "ladder": ladder, **changed,
    }  # fmt: skip


def ladder(**changed: Any) -> Json:
    return verdict(ladder={**verdict()["ladder"], **changed})


def off(pattern: str = FLEET) -> Switch:
    return Switch([Off(pattern, "ann", "an outage", NOW)])


ON = Switch()
#: Each reason, what it follows from, and words that say so.
TABLE: list[tuple[Why, Json, Switch, str]] = [
    (Why.NOT_FLAGGED, verdict(decision="continue"), ON, "continue"),
    (Why.NOT_FLAGGED, verdict(decision="warn"), ON, "warn"),
    (Why.NOT_FLAGGED, verdict(decision="continue", withdrawn="keep"), ON, "continue"),
    (Why.NOT_FLAGGED, verdict(decision="Prune"), ON, "Prune"),
    (Why.OBSERVE, verdict(policy={"mode": "observe", "budget": 0.05}), ON, "observe"),
    (Why.OBSERVE, verdict(policy={"mode": "of a later release", "budget": 0.05}), ON, "of a later release"),
    (Why.WARNED_ONLY, ladder(last="observe", stop_from=None), ON, "observe"),
    (Why.WARNED_ONLY, ladder(last="warn", stop_from=None), ON, "warn"),
    (Why.WARNED_ONLY, ladder(last="warn_twice", stop_from=None), ON, "warn_twice"),
    (Why.WARNED_ONLY, ladder(last="act", stop_from=None), ON, "act"),
    (Why.WARNED_ONLY, ladder(last="", stop_from=None), ON, "no step"),
    (Why.TOO_EARLY, ladder(stop_from=LATER), ON, "12:00:00.001Z"),
    (Why.EXEMPT_HOURS, ladder(exempt_hours="08:00-18:00 Europe/Berlin"), ON, "17:00:00.000Z"),
    (Why.SWITCHED_OFF, verdict(), off(), "since 2026-03-02T12:00:00.000Z, by ann: an outage"),
    (Why.SWITCHED_OFF, verdict(), off("a*"), "for a*"),
    (Why.SWITCHED_OFF, verdict(), off("ads"), "for ads"),
    (Why.SWITCHED_OFF, verdict(), off("[ab]d?"), "for [ab]d?"),
    (Why.SWITCHED_OFF, verdict(ladder=None), off(), "an outage"),
    (Why.SWITCHED_OFF, verdict(), Switch(file=OffFile(Path(__file__))), "test_gate.py is there"),
    (Why.SWITCH_UNKNOWN, verdict(), Switch(fault=lambda: "Kafka is away"), "Kafka is away"),
    (Why.UNREADABLE, ladder(exempt_hours="22:00"), ON, "exempt hours"),
    (Why.UNREADABLE, ladder(exempt_hours=["22:00-06:00 UTC"]), ON, "exempt hours"),
    (Why.UNREADABLE, ladder(stop_from="soon"), ON, "verdict"),
    (Why.UNREADABLE, ladder(stop_from=12), ON, "verdict"),
    (Why.UNREADABLE, verdict(ladder={}), ON, "stop_from"),
    (Why.UNREADABLE, verdict(ladder="act"), ON, "verdict"),
    (Why.UNREADABLE, verdict(policy=None), ON, "verdict"),
    (Why.UNREADABLE, {"pipeline": "ads", "decision": "prune"}, ON, "policy"),
    (Why.UNREADABLE, {}, ON, "decision"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "given", "switch", "words"), TABLE)
def test_a_run_is_not_stopped_and_the_reason_is_given(why: Why, given: Json, switch: Switch, words: str) -> None:
    found = verdict_refusal(given, NOW, switch)

    assert found is not None
    assert (found.why, "\n" in found.words) == (why, False)
    assert words in found.words


def test_the_table_has_every_reason_but_that_of_the_sidecar() -> None:
    assert {why for why, *_ in TABLE} == set(Why) - {Why.UNCONFIRMED}


@pytest.mark.parametrize(
    ("given", "switch"),
    [
        (verdict(), ON),
        (ladder(stop_from=time_to_text(NOW)), ON),
        (ladder(exempt_hours="22:00-06:00 Europe/Berlin"), ON),
        (ladder(exempt_hours="08:00-13:00 Europe/Berlin"), ON),
        (verdict(ladder=None), ON),
        ({name: value for name, value in verdict().items() if name != "ladder"}, ON),
        (verdict(), off("bids*")),
        (verdict(), off("ADS")),
        (verdict(), Switch(file=OffFile(Path(__file__).with_name("none")))),
    ],
)  # fmt: skip
def test_a_run_is_stopped_where_nothing_speaks_against_it(given: Json, switch: Switch) -> None:
    """A verdict of an earlier release has no ladder, and nothing is waited for."""
    assert verdict_refusal(given, NOW, switch) is None


def test_any_one_reason_is_enough() -> None:
    """In every combination of reasons that can be together, the run goes on; without any it stops."""
    reasons: list[tuple[Callable[[Json], None] | None, Switch | None]] = [
        (lambda each: each.update(decision="continue"), None),
        (lambda each: each["policy"].update(mode="observe"), None),
        (lambda each: each["ladder"].update(stop_from=LATER), None),
        (lambda each: each["ladder"].update(exempt_hours="00:00-23:59 UTC"), None),
        (None, off()),
    ]
    for chosen in itertools.product([False, True], repeat=len(reasons)):
        given, switch = verdict(), ON
        for (change, switched), is_chosen in zip(reasons, chosen, strict=True):
            if is_chosen and change is not None:
                change(given)
            if is_chosen and switched is not None:
                switch = switched

        assert (verdict_refusal(given, NOW, switch) is not None) == any(chosen)


def test_every_training_of_a_run_must_allow_it() -> None:
    """One of them that may not be stopped yet keeps the run."""
    gate = Gate(now_ms=lambda: NOW)

    assert gate.refusal([verdict(), verdict()], enforces=True) is None
    for given in ([verdict(), ladder(stop_from=LATER)], [ladder(stop_from=LATER), verdict()]):
        found = gate.refusal(given, enforces=True)
        assert found is not None
        assert found.why is Why.TOO_EARLY


def test_no_verdict_stops_nothing() -> None:
    found = Gate(now_ms=lambda: NOW).refusal([], enforces=True)

    assert found is not None
    assert found.why is Why.NOT_FLAGGED


def test_a_detector_that_observes_now_stops_nothing_that_it_flagged_before() -> None:
    seen: list[Why] = []
    found = Gate(now_ms=lambda: NOW, on_refusal=seen.append).refusal([verdict()], enforces=False)

    assert found is not None
    assert (found.why, seen) == (Why.OBSERVE, [Why.OBSERVE])
