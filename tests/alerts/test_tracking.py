"""The life of a flag, from verdicts and outcomes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.flags import Change, FlagOutcome, FlagRecord
from stream_app.alerts.records import cloud_event, record_from_dict, record_to_dict
from stream_app.alerts.tracking import GRAPHLETS_MAX, MAX_AGE_MS, FlagTracker
from stream_app.core.outputs import CONTINUE, PRUNE, WARN, Example, Guard, Reason, Verdict, Withdrawal
from stream_app.errors import StateError

NOW = 1_780_000_000_000
RUN, OTHER_RUN = "r1", "r2"


def verdict(graphlet: str, decision: str, revision: int = 1, **changes: object) -> Verdict:
    """A verdict on `p/run:r1`, `p/t1`, ... of run r1."""
    trainer = None if graphlet.startswith("p/run:") else graphlet.removeprefix("p/")
    made = Verdict(
        graphlet=graphlet,
        pipeline="p",
        run=RUN,
        trainer=trainer,
        stage="train",
        validator=None,
        p_push=0.02,
        decision=decision,
        threshold=0.1,
        score=0.02,
        cost=10.0,
        cost_left=100.0,
        reasons=[Reason("runs_since_push", 3.0, -0.5)],
        held_back=None,
        withdrawn=Withdrawal.RECOVERED if decision == CONTINUE else None,
        pushes_missing=0,
        model="1",
        mode="observe",
        budget=0.05,
        holdout=False,
        propensity=1.0,
        revision=revision,
        time_ms=NOW,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def example(graphlet: str, pushed: bool | None, cause: str = "run_ended", revision: int = 1) -> Example:
    """The outcome of a graphlet of run r1."""
    trainer = None if graphlet.startswith("p/run:") else graphlet.removeprefix("p/")
    return Example(graphlet, "p", RUN, trainer, "ann", pushed, cause, NOW + 5, NOW + 9, revision, [])


def apply(tracker: FlagTracker, *outputs: Verdict | Example, log_ms: int = NOW) -> list[FlagRecord]:
    """The records of outputs."""
    made = [
        tracker.verdict(output, log_ms) if isinstance(output, Verdict) else tracker.example(output, log_ms)
        for output in outputs
    ]
    return [record for record in made if record is not None]


def changes(records: list[FlagRecord]) -> list[tuple[int, str, str | None]]:
    """Revision, change, and outcome or cause of each record."""
    return [(each.revision, each.change, each.outcome or each.cause) for each in records]


def test_a_flag_is_raised_revised_and_resolved() -> None:
    """One flag of a run, from its first verdict that prunes to its outcome."""
    records = apply(
        FlagTracker(),
        verdict("p/run:r1", WARN),
        verdict("p/run:r1", PRUNE, 2),
        verdict("p/t1", PRUNE),
        verdict("p/t1", PRUNE, 2),
        example("p/t1", False, "failed"),
    )

    assert {each.flag for each in records} == {"p/run:r1"}
    assert changes(records) == [
        (1, "raised", None),
        (2, "revised", None),
        (3, "revised", None),
        (4, "resolved", "not_pushed"),
    ]
    assert records[-1].cause == "failed"
    assert records[-1].owner == "ann"


def test_trainers_decide_once_one_has_a_verdict() -> None:
    """The flag of a run ends with the first trainer that is let go on, unless another trainer is flagged."""
    alone = [verdict("p/run:r1", PRUNE), verdict("p/t1", CONTINUE)]
    beside = [verdict("p/run:r1", PRUNE), verdict("p/t2", PRUNE), verdict("p/t1", CONTINUE)]

    assert changes(apply(FlagTracker(), *alone)) == [(1, "raised", None), (2, "withdrawn", "recovered")]
    assert [each.change for each in apply(FlagTracker(), *beside)] == ["raised", "revised", "revised"]


def test_a_trainer_without_a_run_has_a_flag_of_its_own() -> None:
    """Its id is that of its graphlet."""
    flagged = replace(verdict("p/t1", PRUNE), run=None)
    other = replace(verdict("p/t2", PRUNE), run=None)

    assert [each.flag for each in apply(FlagTracker(), flagged, other)] == ["p/t1", "p/t2"]


def test_a_flag_is_raised_again_under_the_same_id() -> None:
    """Its revisions go on."""
    tracker = FlagTracker()
    records = apply(tracker, *(verdict("p/t1", decision) for decision in (PRUNE, CONTINUE, CONTINUE, PRUNE)))

    assert changes(records) == [(1, "raised", None), (2, "withdrawn", "recovered"), (3, "raised", None)]


def test_a_withdrawn_flag_is_not_resolved() -> None:
    """Its end was reported."""
    tracker = FlagTracker()

    assert len(apply(tracker, verdict("p/t1", PRUNE), verdict("p/t1", CONTINUE), example("p/t1", True))) == 2


@pytest.mark.parametrize(
    ("pushed", "cause", "outcome"),
    [
        (True, "pushed", FlagOutcome.PUSHED),
        (False, "failed", FlagOutcome.NOT_PUSHED),
        (None, "pruned", FlagOutcome.PRUNED),
        (None, "registry_gap", FlagOutcome.UNKNOWN),
    ],
)
def test_outcomes(pushed: bool | None, cause: str, outcome: FlagOutcome) -> None:
    """As the label says."""
    records = apply(FlagTracker(), verdict("p/t1", PRUNE), example("p/t1", pushed, cause))

    assert records[-1].outcome is outcome


def test_a_flag_waits_for_the_outcomes_of_all_its_trainers_but_for_a_push() -> None:
    """One push makes the flag wrong at once; that one of two failed says nothing yet."""
    flagged = [verdict("p/t1", PRUNE), verdict("p/t2", PRUNE)]

    assert apply(FlagTracker(), *flagged, example("p/t1", False))[-1].change is Change.REVISED
    assert apply(FlagTracker(), *flagged, example("p/t1", False), example("p/t2", False))[-1].outcome == "not_pushed"
    assert apply(FlagTracker(), *flagged, example("p/t1", True, "pushed"))[-1].outcome == "pushed"


def test_a_trainer_that_is_flagged_after_the_end_of_another_raises_the_flag_again() -> None:
    """For what is undecided alone; what had ended before counts when the rest is let go on."""
    outputs = [verdict("p/t1", PRUNE), example("p/t1", False), verdict("p/t2", PRUNE), verdict("p/t2", CONTINUE)]
    records = apply(FlagTracker(), *outputs)

    assert [each.graphlet for each in records[2].graphlets] == ["p/t2"]
    assert changes(records)[2:] == [(3, "raised", None), (4, "resolved", "not_pushed")]


def test_an_end_reported_twice_is_one_record_and_a_correction_is_another() -> None:
    """A push after "not pushed" shows that the flag was wrong: people must hear of it."""
    tracker = FlagTracker()
    first = apply(tracker, verdict("p/t1", PRUNE), example("p/t1", False), example("p/t1", False, revision=2))
    second = apply(tracker, example("p/t1", True, "pushed", 3), example("p/t1", True, "pushed", 3))

    assert [each.correction for each in first + second] == [False, False, True]
    assert changes(first + second) == [(1, "raised", None), (2, "resolved", "not_pushed"), (3, "resolved", "pushed")]


def test_keep_overrides_a_flag() -> None:
    """Somebody's word ends it for good; its outcome is no news."""
    kept = verdict("p/t1", CONTINUE, withdrawn=Guard.KEEP)
    records = apply(FlagTracker(), verdict("p/t1", PRUNE), kept, example("p/t1", False))

    assert changes(records) == [(1, "raised", None), (2, "resolved", "overridden")]


def test_a_flag_stays_when_nothing_is_left_to_save() -> None:
    """People hear how the run ended, not that it is no longer worth stopping."""
    late = verdict("p/t1", CONTINUE, withdrawn=Guard.NOTHING_LEFT)
    records = apply(FlagTracker(), verdict("p/run:r1", PRUNE), late, example("p/run:r1", True, "pushed"))

    assert changes(records) == [(1, "raised", None), (2, "resolved", "pushed")]


def test_nothing_is_raised_for_the_past() -> None:
    """A history that is posted at once changes the state and reports nothing, its ends included."""
    tracker = FlagTracker()
    outputs = [verdict("p/t1", PRUNE), verdict("p/t1", PRUNE, 2), example("p/t1", False), example("p/t1", True)]

    assert apply(tracker, *outputs, log_ms=NOW + MAX_AGE_MS + 1) == []
    assert tracker.open_flags == 0


def test_a_flag_of_the_past_is_raised_by_a_verdict_of_the_present() -> None:
    """The run still goes on, so its flag is news."""
    tracker = FlagTracker()
    apply(tracker, verdict("p/t1", PRUNE), log_ms=NOW + MAX_AGE_MS + 1)

    assert changes(apply(tracker, verdict("p/t1", PRUNE, 2))) == [(1, "raised", None)]


def test_the_end_of_a_reported_flag_is_reported_however_late_it_is_logged() -> None:
    """Whoever heard of the flag waits for its end."""
    tracker = FlagTracker()
    apply(tracker, verdict("p/t1", PRUNE))

    assert changes(apply(tracker, example("p/t1", False), log_ms=NOW + 99 * MAX_AGE_MS)) == [
        (2, "resolved", "not_pushed")
    ]


def test_labels_and_owner_are_the_latest_known() -> None:
    """A later verdict may know more, and never less."""
    records = apply(
        FlagTracker(),
        verdict("p/t1", PRUNE, owner="ann", labels={"team": "ads", "tier": "1"}),
        verdict("p/t1", PRUNE, 2, labels={"tier": "2"}),
    )

    assert (records[-1].owner, records[-1].labels) == ("ann", {"team": "ads", "tier": "2"})


def test_a_record_names_the_graphlets_with_the_most_ahead() -> None:
    """A run with hundreds of trainers has a record of bounded size."""
    outputs = [verdict(f"p/t{number}", PRUNE, cost_left=float(number)) for number in range(3 * GRAPHLETS_MAX)]
    record = apply(FlagTracker(), *outputs)[-1]

    assert [each.cost_left for each in record.graphlets] == [float(3 * GRAPHLETS_MAX - n) for n in range(1, 21)]


def test_flags_are_forgotten_when_nothing_changes_them() -> None:
    """Their rows are deleted, and the number of those that were open is returned."""
    tracker = FlagTracker()
    apply(tracker, verdict("p/t1", PRUNE), replace(verdict("p/t9", PRUNE), run=OTHER_RUN))
    apply(tracker, example("p/t1", False), log_ms=NOW + 1)
    tracker.take_rows()

    assert tracker.forget(NOW + 1) == 1
    assert tracker.take_rows() == [("p/run:r2", None)]
    assert tracker.forget(NOW + 2) == 0


def test_flags_of_the_release_before_are_taken_over() -> None:
    """It had one for each graphlet; those of a run are one now, which is open and was reported."""
    tracker = FlagTracker()
    tracker.take_over("p", RUN, None)
    tracker.take_over("p", RUN, "t1")
    tracker.take_over("p", None, "t9")

    assert tracker.open_flags == 2
    assert [name for name, _ in tracker.take_rows()] == ["p/run:r1", "p/t9"]
    assert tracker.forget(NOW) == 0
    records = apply(tracker, verdict("p/t1", PRUNE, 2), example("p/t1", False), example("p/run:r1", False))
    assert changes(records) == [(1, "revised", None), (2, "resolved", "not_pushed")]
    assert records[0].raised_ms == NOW


@pytest.mark.parametrize("row", [b"", b"1", b"[]", b"{}", b'{"graphlets":{},"outcomes":{}}', b"\xff"])
def test_a_row_that_cannot_be_read_is_named(row: bytes) -> None:
    """The state is damaged, and whoever starts must hear which part."""
    with pytest.raises(StateError, match="p/run:r1"):
        FlagTracker({"p/run:r1": row})


def test_records_have_a_json_form() -> None:
    """What is read is what was written; a CloudEvent holds it under the record's id."""
    for record in apply(FlagTracker(), verdict("p/t1", PRUNE, owner="ann"), example("p/t1", True, "pushed")):
        assert record_from_dict({**record_to_dict(record), "unknown": 1}) == record
        event = cloud_event(record)
        assert (event["id"], event["subject"], event["data"]) == (record.id, record.flag, record_to_dict(record))


@pytest.mark.parametrize("broken", [{}, {"change": "gone"}, {"raised": "x"}, {"graphlets": [1]}, {"policy": None}])
def test_what_is_no_record_is_refused(broken: dict[str, object]) -> None:
    """With the field or the reason."""
    (record,) = apply(FlagTracker(), verdict("p/t1", PRUNE))
    with pytest.raises(StateError, match="flag record"):
        record_from_dict({**record_to_dict(record), **broken} if broken else {})


#: What may follow what; None: the flag is not known yet.
LEGAL = {
    None: {Change.RAISED},
    Change.RAISED: {Change.REVISED, Change.WITHDRAWN, Change.RESOLVED},
    Change.REVISED: {Change.REVISED, Change.WITHDRAWN, Change.RESOLVED},
    Change.WITHDRAWN: {Change.RAISED},
    Change.RESOLVED: {Change.RAISED, Change.RESOLVED},
}
GRAPHLETS = st.sampled_from(["p/run:r1", "p/t1", "p/t2"])
OUTPUTS = st.lists(
    st.one_of(
        st.builds(verdict, GRAPHLETS, st.sampled_from([PRUNE, WARN, CONTINUE])),
        st.builds(example, GRAPHLETS, st.sampled_from([True, False, None])),
    ),
    max_size=12,
)


@given(OUTPUTS, st.data())
def test_a_flag_lives_by_the_rules(outputs: list[Verdict | Example], data: st.DataObject) -> None:
    """Changes follow each other legally, revisions rise by one, and a restart at any point changes nothing."""
    whole = apply(FlagTracker(), *outputs)
    before: Change | None = None
    for number, record in enumerate(whole, 1):
        assert record.revision == number
        assert record.change in LEGAL[before]
        before = record.change

    cut = data.draw(st.integers(0, len(outputs)))
    first = FlagTracker()
    records = apply(first, *outputs[:cut])
    rows = {name: row for name, row in first.take_rows() if row is not None}
    assert records + apply(FlagTracker(rows), *outputs[cut:]) == whole


@given(OUTPUTS, st.integers(0, 2 * MAX_AGE_MS))
def test_an_end_is_reported_to_those_alone_who_heard_of_the_flag(outputs: list[Verdict | Example], age: int) -> None:
    """Whatever is in the past."""
    records = apply(FlagTracker(), *outputs, log_ms=NOW + age)

    assert not records or records[0].change is Change.RAISED
    assert not records or age <= MAX_AGE_MS
