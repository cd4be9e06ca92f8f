"""The life of a finding, from looks at its pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.finding_tracking import LOOKS_MAX, FindingTracker, Look, is_news
from stream_app.alerts.findings import FindingRecord, finding_to_dict
from stream_app.alerts.flags import Change
from stream_app.alerts.tracking import FORGET_MS
from stream_app.analysis.findings import ActKind, FindingFigures, Kind
from stream_app.core.ids import finding_id
from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.errors import StateError
from stream_app.found import EffectFigures
from stream_app.times import time_to_text
from tests.alerts.records import NOW, finding

KINDS = (Kind.NO_PUSH, Kind.SILENT)


def figures(
    kind: Kind = Kind.NO_PUSH, count: int = 20, cost: float = 3_600.0, act: ActKind = ActKind.LOOK, pipeline: str = "p"
) -> FindingFigures:
    """A finding whose cost is that of a month."""
    effect = EffectFigures(0, 0.0, None, 0.0, 0, 0, 0, None, None)
    return FindingFigures(
        finding_id(pipeline, kind), 1, kind, pipeline, "ann", time_to_text(NOW), time_to_text(NOW), 30, count,
        ("p/t",), cost, None, cost, count, cost, None, act, None, effect,
    )  # fmt: skip


@dataclass(frozen=True)
class Step:
    """A look, some hours after the one before, by a clock that is some hours behind."""

    hours: int
    found: tuple[FindingFigures, ...]
    behind: int = 0


def records_of(steps: Sequence[Step], *, restarts: bool = False) -> list[FindingRecord]:
    """The records of looks."""
    tracker, rows, log_ms = FindingTracker(), dict[str, bytes](), NOW
    records: list[FindingRecord] = []
    for step in steps:
        log_ms += step.hours * HOUR_MS
        clocks = {"p": log_ms - step.behind * HOUR_MS}
        records += tracker.tick(clocks, log_ms, lambda _, step=step: Look(step.found, {"team": "ads"}))  # type: ignore[misc]
        if restarts:
            rows.update((name, row) for name, row in tracker.take_rows() if row is not None)
            tracker = FindingTracker(rows)
    return records


def life(*steps: Step) -> list[tuple[int, str]]:
    """Revision and change of each record."""
    return [(each.revision, each.change.value) for each in records_of(steps)]


OPEN = {
    "revision": 1, "open": True, "looks": 0, "announced_ms": 1,
    "last": {name: value for name, value in finding_to_dict(finding()).items() if name != "id"},
}  # fmt: skip
SEEN, GONE = (figures(),), ()


def test_a_finding_is_raised_by_the_second_look_and_resolved_by_the_second_without_it() -> None:
    """One late event neither begins nor ends anything."""
    assert life(Step(1, SEEN), Step(1, GONE), Step(1, SEEN)) == []
    assert life(Step(1, SEEN), Step(1, SEEN)) == [(1, "raised")]
    assert life(*[Step(1, SEEN)] * 5, Step(1, GONE), Step(1, SEEN), Step(1, GONE)) == [(1, "raised")]
    assert life(*[Step(1, SEEN)] * 3, *[Step(1, GONE)] * 3) == [(1, "raised"), (2, "resolved")]


def test_a_finding_that_comes_back_is_raised_with_a_higher_revision() -> None:
    """Under the same id."""
    steps = [Step(1, each) for each in (SEEN, SEEN, GONE, GONE, SEEN, SEEN)]

    assert life(*steps) == [(1, "raised"), (2, "resolved"), (3, "raised")]
    assert {each.id for each in records_of(steps)} == {f"p/finding:no_push#{number}" for number in (1, 2, 3)}


@pytest.mark.parametrize(
    ("after", "is_announced"),
    [
        (figures(count=21), False),
        (figures(count=39), False),
        (figures(count=40), True),
        (figures(count=5), False),
        (figures(cost=4_499.0), False),
        (figures(cost=4_500.0), True),
        (figures(cost=2_701.0), False),
        (figures(cost=2_700.0), True),
        (figures(cost=0.0), True),
        (figures(act=ActKind.STOP_PIPELINE), True),
        (replace(figures(), owner="bob", graphlets=("p/u",), trainings=31), False),
    ],
)
def test_only_what_a_person_cares_about_is_announced(after: FindingFigures, *, is_announced: bool) -> None:
    """Another kind of act, a cost that differs by a quarter, a count that has doubled."""
    found = life(Step(1, SEEN), Step(1, SEEN), Step(25, (after,)), Step(25, (after,)), Step(25, (after,)))

    assert found == [(1, "raised"), *([(2, "revised")] if is_announced else [])]


def test_a_finding_is_revised_once_a_day_at_most() -> None:
    """Also where it changes at each look; what it is compared with is what was announced."""
    steps = [Step(1, (figures(count=20 * 2**number),)) for number in range(30)]
    found = records_of(steps)

    assert [(each.revision, each.change.value) for each in found] == [(1, "raised"), (2, "revised")]
    assert [each.count for each in found] == [40, 20 * 2**25]
    assert found[1].time_ms - found[0].time_ms == DAY_MS


def test_a_clock_of_the_log_that_was_put_back_hides_no_revision() -> None:
    """The time of the last record, which is in the future then, says nothing."""
    doubled = (figures(count=40),)

    found = life(Step(1, SEEN), Step(1, SEEN), Step(-24 * 365, doubled), Step(1, doubled))

    assert found == [(1, "raised"), (2, "revised")]


def test_money_decides_where_there_is_a_price() -> None:
    """Compute that became cheaper by half is news, also where it is as much."""
    before = finding(cost=100.0, cost_a_month=200.0, cost_money=10.0)

    assert is_news(before, replace(before, cost_money=5.0))
    assert not is_news(before, replace(before, cost_money=9.0))
    assert not is_news(before, replace(before, cost=200.0, cost_a_month=230.0, cost_money=20.0))
    assert is_news(replace(before, cost_money=None), replace(before, cost_a_month=250.0))


def test_history_that_is_read_at_once_raises_nothing() -> None:
    """The pipeline's clock is behind the log; what is open ends all the same."""
    late = [Step(1, SEEN, behind=2)] * 4

    assert life(*late) == []
    assert life(*late, Step(1, SEEN), Step(1, SEEN)) == [(1, "raised")]
    assert life(Step(1, SEEN), *late, Step(1, SEEN)) == [(1, "raised")]  # in between nobody looked
    assert life(Step(1, SEEN), Step(1, SEEN), *[Step(1, GONE, behind=2)] * 2) == [(1, "raised"), (2, "resolved")]


def test_a_resolved_finding_says_what_it_was() -> None:
    """With the time at which it ended."""
    raised, resolved = records_of([Step(1, SEEN), Step(1, SEEN), Step(1, GONE), Step(1, GONE)])

    assert resolved == replace(raised, revision=2, change=Change.RESOLVED, time_ms=raised.time_ms + 2 * HOUR_MS)
    assert resolved.raised_ms == raised.time_ms
    assert raised.labels == {"team": "ads"}


def test_a_pipeline_that_is_evicted_has_no_findings_any_more() -> None:
    """Which is noticed without a look."""
    tracker = FindingTracker()
    records = [tracker.tick({"p": NOW + each * HOUR_MS}, NOW + each * HOUR_MS, lambda _: Look(SEEN)) for each in (1, 2)]
    gone = [tracker.tick({}, NOW + each * HOUR_MS, lambda _: Look(SEEN)) for each in (3, 4, 5)]

    assert [each.change for found in records for each in found] == ["raised"]
    assert [[each.change for each in found] for found in gone] == [[], ["resolved"], []]


def test_a_look_that_fails_says_nothing() -> None:
    """Neither that a finding holds nor that it does not; the next one is an hour later."""
    tracker = FindingTracker()
    looks = [Look(SEEN), None, Look(SEEN), None, None, None, Look(SEEN), Look(GONE), None, Look(GONE)]
    found = [
        (place, each.change)
        for place, look in enumerate(looks)
        for each in tracker.tick({"p": NOW + place * HOUR_MS}, NOW + place * HOUR_MS, lambda _, look=look: look)  # type: ignore[misc]
    ]

    assert found == [(2, "raised"), (9, "resolved")]


def test_pipelines_are_looked_at_once_an_hour_the_oldest_look_first() -> None:
    """Ten in each tick, so that a look at all of a large fleet never makes the detector wait."""
    tracker = FindingTracker()
    looked: list[tuple[int, str]] = []
    names = [f"p{number:02}" for number in range(25)]
    for minute in range(0, 121, 10):
        now_ms = NOW + minute * 60_000

        def look(name: str, minute: int = minute) -> Look:
            looked.append((minute, name))
            return Look()

        tracker.tick(dict.fromkeys(reversed(names), now_ms), now_ms, look)

    assert max(sum(each == minute for each, _ in looked) for minute in range(0, 121, 10)) == LOOKS_MAX
    assert [name for _, name in looked] == names * 2 + names[: len(looked) - 50]
    for name in names:
        times = [minute for minute, each in looked if each == name]
        assert all(later - sooner >= 60 for sooner, later in pairwise(times))


def test_revisions_are_known_over_restarts() -> None:
    """Of what was announced; what was not has none."""
    tracker = FindingTracker()
    assert tracker.revisions("p") == {}
    for hour in (1, 2):
        tracker.tick({"p": NOW + hour * HOUR_MS}, NOW + hour * HOUR_MS, lambda _: Look(SEEN))
        again = FindingTracker({name: row for name, row in tracker.take_rows() if row is not None})
        assert tracker.revisions("p") == again.revisions("p") == ({"p/finding:no_push": 1} if hour == 2 else {})


def test_what_was_not_looked_at_for_long_is_forgotten() -> None:
    """Unless a finding is open."""
    tracker = FindingTracker()
    found = {"p": SEEN, "q": GONE}
    clocks = {"p": NOW, "q": NOW}
    for now_ms in (NOW, NOW + HOUR_MS, NOW + 2 * HOUR_MS):
        tracker.tick(dict.fromkeys(clocks, now_ms), now_ms, lambda name: Look(found[name]))
    tracker.take_rows()
    later_ms = NOW + FORGET_MS + DAY_MS
    assert tracker.tick({"p": later_ms, "q": NOW}, later_ms, lambda _: Look(SEEN)) == []

    assert dict(tracker.take_rows()).keys() == {"p", "q"}
    assert tracker.revisions("p") == {"p/finding:no_push": 1}


@pytest.mark.parametrize(
    "row",
    [
        b"", b"{}", b"[]", b"null", b'{"looked_ms": 1}', b'{"looked_ms": "x", "findings": {}}',
        b'{"looked_ms": 1, "findings": []}', b'{"looked_ms": 1, "findings": {"f": {}}}',
        orjson.dumps({"looked_ms": None, "findings": {}}),
        *(
            orjson.dumps({"looked_ms": 1, "findings": {"f": {**OPEN, **more}}})
            for more in ({"last": None}, {"last": {}}, {"last": 7}, {"revision": "x"}, {"looks": None}, {"open": False})
        ),
    ],
)  # fmt: skip
def test_a_row_that_cannot_be_read_names_the_pipeline(row: bytes) -> None:
    """Whatever is wrong with it."""
    with pytest.raises(StateError, match="the findings of pipeline 'p' cannot be read"):
        FindingTracker({"p": row})


FOUND = st.lists(
    st.builds(
        figures,
        st.sampled_from(KINDS),
        st.sampled_from([20, 21, 45, 100]),
        st.sampled_from([3_600.0, 4_000.0, 9_000.0]),
        st.sampled_from([ActKind.LOOK, ActKind.STOP_PIPELINE]),
    ),
    max_size=2,
    unique_by=lambda each: each.kind,
).map(tuple)
STEPS = st.lists(st.builds(Step, st.sampled_from([0, 1, 1, 1, 7, 26]), FOUND, st.sampled_from([0, 0, 0, 0, 3])))


@given(STEPS)
def test_restarts_after_each_look_make_the_same_records(steps: list[Step]) -> None:
    """What is stored is all that is known."""
    assert records_of(steps, restarts=True) == records_of(steps)


@given(STEPS)
def test_the_order_within_a_look_does_not_matter(steps: list[Step]) -> None:
    """Each finding has a life of its own."""
    turned = [replace(step, found=step.found[::-1]) for step in steps]

    assert sorted(records_of(turned), key=by_time) == sorted(records_of(steps), key=by_time)


@given(STEPS)
def test_each_change_is_announced_once_and_lives_alternate(steps: list[Step]) -> None:
    """Revisions rise by one; an end follows each beginning, and only a beginning or a revision."""
    records = records_of(steps)

    for kind in KINDS:
        own = [each for each in records if each.kind == kind]
        assert [each.revision for each in own] == list(range(1, len(own) + 1))
        before = Change.RESOLVED
        for each in own:
            assert (each.change is Change.RAISED) == (before is Change.RESOLVED)
            before = each.change
        for first, second in pairwise(own):
            if second.change is Change.REVISED:
                assert second.time_ms - first.time_ms >= DAY_MS - 3 * HOUR_MS  # clocks may be behind
                assert second.raised_ms == first.raised_ms


@given(STEPS)
def test_what_is_open_at_the_end_is_what_two_looks_said_last(steps: list[Step]) -> None:
    """An oracle that knows nothing of states: the last two looks in a row that agree decide."""
    current = [replace(step, hours=max(1, step.hours), behind=0) for step in steps]
    records = records_of(current)

    for kind in KINDS:
        is_seen = [any(each.kind is kind for each in step.found) for step in current]
        agreed = [first for first, second in pairwise(is_seen) if first == second]
        changes = [each.change for each in records if each.kind == kind]
        assert (bool(changes) and changes[-1] is not Change.RESOLVED) == (bool(agreed) and agreed[-1])


def by_time(record: FindingRecord) -> tuple[int, str]:
    """Records in the order of their times."""
    return record.time_ms, record.id
