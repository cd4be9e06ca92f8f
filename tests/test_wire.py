"""The wire forms hold every field, fit their schemas, and come back as they went."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.flags import Change, FlaggedGraphlet, FlagOutcome, FlagRecord
from stream_app.alerts.records import cloud_event, record_from_dict
from stream_app.alerts.sinks.webhook import event_of
from stream_app.core.events import STATES, ArtifactRef, Event
from stream_app.core.ids import graphlet_id, run_graphlet_id
from stream_app.core.ladder import Step
from stream_app.core.operators import GROUPS
from stream_app.core.outputs import (
    NOT_PUSHED,
    OPEN,
    PRUNED,
    PUSHED,
    STAGES,
    UNKNOWN,
    Closed,
    Example,
    Guard,
    Reason,
    StageRecord,
    Verdict,
    Withdrawal,
)
from stream_app.errors import StateError
from stream_app.found import EffectFigures
from stream_app.sources.native import decode
from stream_app.times import time_to_text
from stream_app.wire import (
    closed_to_dict,
    event_to_dict,
    example_from_dict,
    example_to_dict,
    graphlet_to_dict,
    outcome_of,
    outcome_to_dict,
    upgrade,
    verdict_to_dict,
)
from tests.test_schemas import validator

TIMES = st.integers(631_152_000_000, 4_102_444_800_000)
NAMES = st.text("ab/#:é", min_size=1, max_size=5)
MAYBE = st.none() | NAMES
CHANCES = st.floats(0, 1)
COSTS = st.floats(0, 1e12)
DECISIONS = st.sampled_from(["continue", "warn", "prune"])
CAUSES = st.sampled_from(["pushed", "pruned", "failed", "run_ended", "superseded", "expired"])
LABELS = st.none() | st.booleans()
FINITE = st.floats(allow_nan=False, allow_infinity=False)

VERDICTS = st.builds(
    Verdict,
    graphlet=NAMES,
    pipeline=NAMES,
    run=MAYBE,
    trainer=MAYBE,
    stage=st.sampled_from(STAGES),
    validator=MAYBE,
    p_push=CHANCES,
    decision=DECISIONS,
    threshold=st.none() | COSTS,
    score=COSTS,
    cost=COSTS,
    cost_left=COSTS,
    reasons=st.lists(st.builds(Reason, NAMES, st.none() | FINITE, FINITE), max_size=3),
    held_back=st.sampled_from([None, *Guard]),
    withdrawn=st.sampled_from([None, *Guard, *Withdrawal]),
    pushes_missing=st.integers(0, 99),
    model=NAMES,
    mode=st.sampled_from(["observe", "enforce"]),
    budget=CHANCES,
    holdout=st.booleans(),
    propensity=CHANCES,
    revision=st.integers(1, 99),
    time_ms=TIMES,
)
STAGE_RECORDS = st.builds(
    StageRecord,
    stage=st.sampled_from(STAGES),
    validator=MAYBE,
    time_ms=TIMES,
    features=st.dictionaries(NAMES, FINITE, max_size=3),
    p=CHANCES,
    baseline=CHANCES,
    score=COSTS,
    guard=st.sampled_from([None, *Guard]),
    cost=COSTS,
    cost_left=COSTS,
    actual_left=COSTS,
    decision=DECISIONS,
    flagged=st.lists(st.sampled_from([0.01, 0.02, 0.05, 0.1]), max_size=2),
    propensity=CHANCES,
)
EXAMPLES = st.builds(
    Example,
    graphlet=NAMES,
    pipeline=NAMES,
    run=MAYBE,
    trainer=MAYBE,
    owner=NAMES | st.just(""),
    pushed=LABELS,
    cause=CAUSES,
    time_ms=TIMES,
    announced_ms=TIMES,
    label_revision=st.integers(1, 2),
    stages=st.lists(STAGE_RECORDS, max_size=2),
    inherited=st.lists(STAGE_RECORDS, max_size=1),
    word=st.sampled_from(["", "keep", "wrong"]),
)
PROPERTIES = st.dictionaries(
    NAMES, NAMES | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15), max_size=2
)
ARTIFACTS = st.lists(st.builds(ArtifactRef, NAMES, NAMES, PROPERTIES, st.booleans()), max_size=2).map(tuple)
EVENTS = st.builds(
    Event,
    time_ms=TIMES,
    pipeline=NAMES,
    execution_id=NAMES,
    execution_type=NAMES,
    state=st.sampled_from(STATES),
    run=MAYBE,
    inputs=ARTIFACTS,
    outputs=ARTIFACTS,
    node_ms=st.none() | st.integers(0, 10**15),
    properties=PROPERTIES,
    id=MAYBE,
)


def _names(output: type, times: dict[str, str]) -> set[str]:
    """The fields of a dataclass as the wire names them."""
    return {times.get(field.name, field.name) for field in fields(output)}


@given(EVENTS)
def test_an_event_decodes_to_itself(event: Event) -> None:
    """The native form is exact, compute included."""
    document = event_to_dict(event)

    validator("event").validate(document)
    assert event == decode(orjson.dumps(document))


@given(EXAMPLES)
def test_an_example_read_back_is_the_one_written(example: Example) -> None:
    """Bytes and values both survive a round trip, so that a model folded from the log is the same model."""
    written = orjson.dumps(example_to_dict(example))

    read = example_from_dict(orjson.loads(written))

    assert example == read
    assert written == orjson.dumps(example_to_dict(read))
    validator("example").validate(orjson.loads(written))


@given(VERDICTS)
def test_a_verdict_fits_its_schema(verdict: Verdict) -> None:
    """Every field of a verdict is sent, under its own name."""
    document = verdict_to_dict(verdict)

    validator("verdict").validate(document)
    # Owner and labels are for flag records.
    ladder = dict.fromkeys(("ladder", "warn_again_ms", "stop_ms", "exempt_hours"), "ladder")
    names = _names(Verdict, {"time_ms": "time", "mode": "policy", "budget": "policy", **ladder}) - {"owner", "labels"}
    assert {"version", "id"} | names == set(document)
    assert f"{verdict.graphlet}#{verdict.revision}" == document["id"]


@given(NAMES, MAYBE, LABELS, CAUSES, TIMES)
def test_an_outcome_fits_its_schema(
    graphlet: str, trainer: str | None, pushed: bool | None, cause: str, time_ms: int
) -> None:
    """An outcome has exactly the five fields of its schema."""
    document = outcome_to_dict(graphlet=graphlet, trainer=trainer, pushed=pushed, cause=cause, time_ms=time_ms)

    validator("outcome").validate(document)


MEMBERS = st.lists(NAMES, max_size=3)
GRAPHLETS = st.fixed_dictionaries(
    {
        "graphlet": NAMES, "pipeline": NAMES, "run": MAYBE, "trainer": NAMES, "up": MEMBERS, "down": MEMBERS,
        "side": MEMBERS, "cost": st.dictionaries(st.sampled_from(GROUPS), st.integers(0, 10**15)), "time_ms": TIMES,
    }
)  # fmt: skip
CAUSES_OF: dict[str, list[str | None]] = {
    PUSHED: [None], PRUNED: [None], OPEN: [None], UNKNOWN: ["registry_gap"],
    NOT_PUSHED: ["failed", "lost", "refused", "run_ended", "superseded", "expired"],
}  # fmt: skip


@given(GRAPHLETS, st.sampled_from([(kind, cause) for kind, causes in CAUSES_OF.items() for cause in causes]))
def test_a_closed_graphlet_fits_its_schema(graphlet: dict[str, Any], became: tuple[str, str | None]) -> None:
    """It is the graphlet and its outcome, as `replay --graphlets` and `--outcomes` write them, in one object."""
    record = {**graphlet, "outcome": became[0], "cause": became[1]}

    document = closed_to_dict(Closed(record))

    validator("graphlet").validate(document)
    outcome = outcome_of(record)
    assert (document["time"] is None) == (outcome is None) == (became[0] == OPEN)
    assert (outcome or {}).items() <= document.items()
    assert {**graphlet_to_dict(record), "cause": None}.items() <= {**document, "cause": None}.items()
    assert set(document) - set(graphlet_to_dict(record)) == {"version", "pushed", "time", "members_omitted"}


@given(EXAMPLES.filter(lambda example: example.stages))
def test_every_field_of_an_example_is_written(example: Example) -> None:
    """A field added to the dataclasses must be added to the wire."""
    document = example_to_dict(example)

    names = _names(Example, {"time_ms": "time", "announced_ms": "announced"})
    assert {"version", "id"} | names == set(document)
    assert _names(StageRecord, {"time_ms": "time"}) == set(document["stages"][0])


FLAGGED = st.builds(
    FlaggedGraphlet,
    graphlet=NAMES, trainer=MAYBE, job=MAYBE, stage=st.sampled_from(STAGES), p_push=CHANCES,
    threshold=st.none() | FINITE, score=FINITE, model=NAMES, cost=COSTS, cost_left=COSTS,
    reasons=st.lists(st.builds(Reason, NAMES, FINITE, FINITE), max_size=2).map(tuple), verdict=NAMES,
    ladder=st.sampled_from(Step).map(str), warn_again_ms=st.none() | TIMES, stop_ms=st.none() | TIMES,
    exempt_hours=NAMES,
)  # fmt: skip
FLAGS = st.builds(
    FlagRecord,
    flag=NAMES, revision=st.integers(1, 99), change=st.sampled_from(Change), pipeline=NAMES, run=MAYBE, owner=NAMES,
    labels=st.dictionaries(NAMES, NAMES, max_size=2), graphlets=st.lists(FLAGGED, max_size=3).map(tuple),
    mode=st.sampled_from(["observe", "enforce"]), budget=CHANCES, raised_ms=TIMES, time_ms=TIMES,
    outcome=st.none() | st.sampled_from(FlagOutcome), cause=st.none() | CAUSES, correction=st.booleans(),
)  # fmt: skip


@given(FLAGS)
def test_a_flag_record_is_a_cloud_event_and_comes_back_as_it_went(record: FlagRecord) -> None:
    """Its id is the same each time it is built, and every field is written."""
    document = cloud_event(record)
    data = orjson.loads(orjson.dumps(document["data"]))

    validator("flag").validate(document)
    assert (document["id"], document["subject"]) == (record.id, record.flag)
    assert record_from_dict(data) == record
    names = _names(FlagRecord, {"raised_ms": "raised", "time_ms": "time", "mode": "policy", "budget": "policy"})
    assert names <= set(document["data"])
    assert names | {"id", "p_push", "cost", "cost_left", "ladder"} == set(document["data"])


@given(st.lists(FLAGS, min_size=2, max_size=4))
def test_several_records_are_a_digest(records: list[FlagRecord]) -> None:
    """With the id of their message."""
    document = event_of("m@s", records)

    validator("flag").validate(document)
    assert document["id"] == "m@s"
    assert [each["id"] for each in document["data"]["flags"]] == [each.id for each in records]  # type: ignore[index]


EFFECTS = st.builds(
    EffectFigures,
    skipped=st.integers(0, 99), saved=COSTS, saved_money=st.none() | COSTS, saved_a_month=COSTS,
    pushes=st.integers(0, 99), lost=st.integers(0, 99), delayed=st.integers(0, 99), delay_median=st.none() | COSTS,
    delay_worst=st.none() | COSTS,
)  # fmt: skip
FINDINGS = st.builds(
    FindingRecord,
    finding=NAMES, revision=st.integers(1, 99),
    change=st.sampled_from([Change.RAISED, Change.REVISED, Change.RESOLVED]), kind=NAMES, pipeline=NAMES, owner=NAMES,
    labels=st.dictionaries(NAMES, NAMES, max_size=2), since=TIMES.map(time_to_text), last=TIMES.map(time_to_text),
    trainings=st.integers(0, 99), count=st.integers(0, 99), graphlets=st.lists(NAMES, max_size=3).map(tuple),
    cost=COSTS, cost_money=st.none() | COSTS, cost_a_month=COSTS, act=NAMES, parameter=st.none() | st.integers(1, 9),
    effect=EFFECTS, raised_ms=TIMES, time_ms=TIMES,
)  # fmt: skip


@given(FINDINGS)
def test_a_finding_record_is_a_cloud_event_and_comes_back_as_it_went(record: FindingRecord) -> None:
    """As that of a flag is; which of the two it is, it tells itself."""
    document = cloud_event(record)
    data = orjson.loads(orjson.dumps(document["data"]))

    validator("finding").validate(document)
    assert (document["id"], document["subject"]) == (record.id, record.finding)
    assert record_from_dict(data) == record
    names = _names(FindingRecord, {"raised_ms": "raised", "time_ms": "time"})
    assert names | {"id", "money_a_month"} == set(document["data"])


@given(st.lists(FINDINGS, min_size=2, max_size=4))
def test_several_findings_are_a_digest_of_their_own(records: list[FindingRecord]) -> None:
    """With another type than that of flags."""
    document = event_of("m@s", records)

    validator("finding").validate(document)
    assert [each["id"] for each in document["data"]["findings"]] == [each.id for each in records]  # type: ignore[index]


#: A stage that can be read.
STAGE: dict[str, Any] = {
    "stage": "train",
    "validator": None,
    "time": "2026-03-01T06:00:00.000Z",
    "features": {},
    "p": 0.5,
    "baseline": 0.2,
    "score": 1.0,
    "guard": None,
    "cost": 1.0,
    "cost_left": 1.0,
    "actual_left": 1.0,
    "decision": "continue",
    "flagged": [],
    "propensity": 1.0,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"graphlet": ...}, "without the field 'graphlet'"),
        ({"stages": [{}]}, "without the field 'stage'"),
        ({"time": "noon"}, "not an RFC 3339 time"),
        ({"time": None}, "cannot be read"),
        ({"stages": None}, "cannot be read"),
        ({"stages": [None]}, "cannot be read"),
        ({"graphlet": ["ads"]}, "its graphlet is"),
        ({"pushed": "yes"}, "its pushed is"),
        ({"label_revision": None}, "its label_revision is"),
        ({"stages": [STAGE | {"stage": "deploy"}]}, "no stage 'deploy'"),
        ({"stages": [STAGE | {"stage": []}]}, "no stage"),
        ({"stages": [STAGE | {"p": "likely"}]}, "its p is 'likely'"),
        ({"stages": [STAGE | {"score": None}]}, "its score is"),
        ({"inherited": [STAGE | {"features": [1]}]}, "its features is"),
    ],
)
def test_an_example_that_cannot_be_read_is_a_state_error(change: dict[str, Any], reason: str) -> None:
    """The log is our own: a record that is none means that something is wrong, and nothing is guessed."""
    record: dict[str, Any] = {
        "graphlet": "ads/train-1",
        "pipeline": "ads",
        "run": None,
        "trainer": "train-1",
        "owner": "",
        "pushed": True,
        "cause": "pushed",
        "time": "2026-03-01T06:12:40.000Z",
        "announced": "2026-03-01T06:12:40.000Z",
        "version": 2,
        "label_revision": 1,
        "stages": [STAGE],
        "inherited": [STAGE],
    }
    assert example_from_dict(record).pushed
    broken = {key: value for key, value in (record | change).items() if value is not ...}

    with pytest.raises(StateError, match=reason):
        example_from_dict(broken)


def version_1(record: dict[str, Any]) -> dict[str, Any]:
    """An example as the last release wrote it."""
    old = {name: value for name, value in record.items() if name not in ("version", "announced")}
    name = record["trainer"] if record["trainer"] is not None else f"run:{record['run']}"
    graphlet = f"{record['pipeline']}/{name}"
    return {**old, "said": record["announced"], "graphlet": graphlet, "id": f"{graphlet}#{record['label_revision']}"}


@given(EXAMPLES.filter(lambda example: example.trainer is not None or example.run is not None))
def test_an_old_example_reads_as_a_new_one(example: Example) -> None:
    """With the id that its graphlet has now, and without a change to the record itself."""
    record = example_to_dict(replace(example, graphlet=id_of(example)))
    old = version_1(record)
    before = dict(old)

    assert upgrade(old) == record
    assert old == before
    assert example_from_dict(old) == example_from_dict(record)
    assert upgrade(record) is record


def id_of(output: Example) -> str:
    if output.trainer is not None:
        return graphlet_id(output.pipeline, output.trainer)
    return run_graphlet_id(output.pipeline, output.run or "")


def test_an_old_verdict_reads_as_a_new_one() -> None:
    """The policy becomes values; sentences are kept as they were, since no values can be read from them."""
    old = {
        "id": "team/ads/run:7#2", "graphlet": "team/ads/run:7", "pipeline": "team/ads", "run": "7", "trainer": None,
        "policy": "enforce 1 %", "reasons": ["past push rate 3 % (against a push)"], "revision": 2, "p_push": 0.1,
    }  # fmt: skip

    new = upgrade(old)

    assert (new["graphlet"], new["id"]) == ("team~1ads/run:7", "team~1ads/run:7#2")
    assert new["policy"] == {"mode": "enforce", "budget": 0.01}
    assert (new["reasons"], new["notes"]) == ([], ["past push rate 3 % (against a push)"])
    assert (new["version"], new["p_push"]) == (2, 0.1)


def test_values_that_this_version_does_not_know_are_carried_through() -> None:
    """Fields and enumerations of a later program: an addition needs no new version."""
    record = example_to_dict(
        Example("p/t", "p", None, "t", "", False, "lost", 1_700_000_000_000, 1_700_000_000_000, 1, [])
    )

    read = example_from_dict({**record, "heartbeats": 7})

    assert read.cause == "lost"
    assert example_to_dict(read) == record


@pytest.mark.parametrize(
    "record",
    [
        [],
        "example",
        {"pipeline": 5, "run": "r", "trainer": None},
        {"pipeline": "p", "run": "r", "trainer": "t", "policy": {}},
    ],
    ids=repr,
)
def test_what_is_no_record_of_any_version_is_an_error_that_readers_expect(record: Any) -> None:
    """Another error would end a worker or a relay that reads a foreign record."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        upgrade(record)
