"""What bounds the state: what nothing touches leaves, is told of once, and stays in the sums."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import CACHED, COMPLETE, FAILED, NEW, Event
from stream_app.core.operators import Operators
from stream_app.core.outputs import Closed, Example
from stream_app.core.storage.rows import key
from tests.support.builders import DAY, HOUR, MINUTE, T0, Ref, artifact, at, ended, happened, ran, run_ended, started
from tests.support.oracle import recompute
from tests.support.simulated import fleet_events, wire
from tests.support.steered import Steered, past, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]
DAYS = DAY // MINUTE
#: Days after which an untouched record leaves: retention and lateness.
KEPT = 37
ENDLESS = Settings(retention_ms=100 * 365 * DAY)
CLASSES = ("useful", "wasted", "pending", "unattributed")


def clock(day: float) -> list[Event]:
    """Events that only move the clock, of two executions: one alone may have a wrong clock."""
    return [started(day * DAYS, f"clock{day} {number}", "Custom", run=None) for number in (1, 2)]


def closed(watched: Watched) -> list[Closed]:
    return [output for output in watched.outputs if isinstance(output, Closed)]


# A fleet of four months


@dataclass
class Months:
    """A fleet of 125 days, in the end."""

    detector: Detector
    #: Entities by kind, and bytes of rows, on days 60, 90 and 120.
    sizes: list[dict[str, int]]
    closed: list[Closed]
    rows: dict[bytes, bytes]


def kept(detector: Detector) -> dict[str, int]:
    """How many entities of each kind a detector keeps."""
    kinds = ("executions", "artifacts", "graphlets", "runs", "graphlets_of_run", "retired")
    pipelines = detector.pipelines.values()
    counts = {kind: sum(len(getattr(p, kind)) for p in pipelines) for kind in kinds}
    counts["pushed"] = sum(len(p.pushes.pushes) for p in pipelines)
    counts["timers"] = sum(len(p.timers) for p in pipelines)
    return counts


@pytest.fixture(scope="module")
def events() -> tuple[Event, ...]:
    return fleet_events(3, 125, 5, runs_per_day=1.0)


@pytest.fixture(scope="module")
def months(events: tuple[Event, ...]) -> Months:
    """The fleet through a detector whose rows go to a table."""
    detector = Detector(learner=Steered(), keep_rows=True)  # type: ignore[arg-type]
    rows: dict[bytes, bytes] = {}
    told = Months(detector, [], [], rows)
    days = [60, 90, 120]
    for event in events:
        told.closed += [output for output in detector.step(event) if isinstance(output, Closed)]
        if days and event.time_ms >= events[0].time_ms + days[0] * DAY:
            days.pop(0)
            save(detector, rows)
            told.sizes.append(kept(detector) | {"rows": len(rows), "bytes": sum(map(len, rows.values()))})
    save(detector, rows)
    return told


def save(detector: Detector, rows: dict[bytes, bytes]) -> None:
    """What a table does with the rows that changed."""
    for row_key, row in detector.take_rows():
        if row is None:
            rows.pop(row_key, None)
        else:
            rows[row_key] = row


@pytest.fixture(scope="module")
def endless(events: tuple[Event, ...]) -> Detector:
    """The same events in a detector that forgets nothing."""
    detector = Detector(ENDLESS)
    for event in events:
        detector.step(event)
    return detector


def test_the_state_of_a_fleet_stops_growing(months: Months) -> None:
    """After 120 days there is no more of anything than a tenth over what there was after 60."""
    early, _, late = months.sizes

    assert early["executions"] > 500
    assert late.pop("pushed") <= late["graphlets"]
    assert {kind: late[kind] <= 1.1 * early[kind] + 10 for kind in late} == dict.fromkeys(late, True)


def test_every_graphlet_is_kept_or_was_told_of_once(months: Months, endless: Detector) -> None:
    """None is lost, none is told of twice."""
    told = [output.graphlet["graphlet"] for output in months.closed]
    still = [graphlet["graphlet"] for graphlet in months.detector.graphlets()]

    assert len(told) > 300
    assert sorted(told + still) == sorted(graphlet["graphlet"] for graphlet in endless.graphlets())


def test_a_graphlet_is_closed_as_it_would_have_stayed(months: Months, endless: Detector) -> None:
    """Its members, cost and outcome are those that a detector which forgets nothing ends with."""
    final = {graphlet["graphlet"]: graphlet for graphlet in endless.graphlets()}
    for output in months.closed:
        assert output.graphlet == final[output.graphlet["graphlet"]]
        assert output.graphlet["outcome"] != "open"


def test_a_graphlet_that_is_kept_is_as_it_would_have_been(months: Months, endless: Detector) -> None:
    """What left took nothing from it."""
    final = {graphlet["graphlet"]: graphlet for graphlet in endless.graphlets()}
    for graphlet in months.detector.graphlets():
        assert graphlet == final[graphlet["graphlet"]]


def test_eviction_moves_no_compute_from_class_to_class(months: Months, endless: Detector) -> None:
    """The ledger of four months is that of a detector which forgets nothing."""
    for name in endless.pipelines:
        ours, theirs = months.detector.ledger(name), endless.ledger(name)
        assert [getattr(ours, kind) for kind in CLASSES] == [getattr(theirs, kind) for kind in CLASSES]
        assert ours.total() == sum(ours.wasted_by.values()) + ours.useful + ours.pending + ours.unattributed


def test_nothing_of_a_fleet_that_keeps_to_its_times_is_dropped(months: Months) -> None:
    """No event of it is so late."""
    assert months.detector.dropped == 0
    months.detector.validate()


def test_rows_of_what_left_are_deleted(months: Months) -> None:
    """The table holds a row of everything kept, and none of anything else."""
    expected = set()
    for pipeline in months.detector.pipelines.values():
        expected |= {key("pipeline", pipeline.name, ""), key("history", pipeline.name, "")}
        expected |= {key("execution", pipeline.name, name) for name in pipeline.executions}
    others = {k for k in months.rows if not k.startswith((b"pipeline\x00", b"history\x00", b"execution\x00"))}

    assert set(months.rows) - others == expected
    for row_key in others:
        kind, name, entity = row_key.decode().split("\x00")
        pipeline = months.detector.pipelines[name]
        homes = {"artifact": pipeline.artifacts, "run": pipeline.runs, "graphlet": pipeline.graphlets}
        assert entity in homes[kind] or (kind == "graphlet" and entity in pipeline.retired)


def test_a_detector_of_those_rows_is_the_same(months: Months) -> None:
    """Frozen sums, closed pushes and cutoffs are in them."""
    loaded = Detector.load(months.detector.settings, months.rows)
    loaded.validate()

    order = list(months.detector.pipelines)
    assert sorted(loaded.graphlets(), key=lambda g: order.index(g["pipeline"])) == list(months.detector.graphlets())
    assert {name: loaded.ledger(name) for name in order} == {n: months.detector.ledger(n) for n in order}


# By hand


def test_a_graphlet_nothing_touches_is_closed_after_retention_and_lateness(watch: Watch) -> None:
    """With its outcome, and its executions go with it."""
    watched = watch(Steered()).feed(whole_run(0, "r1", pushed=True), clock(KEPT))
    assert closed(watched) == []

    watched.feed(clock(KEPT + 1))

    (only,) = closed(watched)
    assert (only.graphlet["graphlet"], only.graphlet["up"]) == ("p/train-r1", ["prep-r1"])
    assert (only.graphlet["trainer"], only.graphlet["outcome"], only.graphlet["time_ms"]) == (
        "train-r1",
        "pushed",
        at(7),
    )
    left = {f"clock{day} {number}" for day in (KEPT, KEPT + 1) for number in (1, 2)}
    assert set(watched.detector.pipelines["p"].executions) == left
    assert not watched.detector.pipelines["p"].runs
    watched.feed(clock(KEPT + 2), clock(2 * KEPT))
    assert len(closed(watched)) == 1


def test_an_outcome_is_said_before_its_graphlet_is_closed(watch: Watch) -> None:
    """Even when a pipeline is silent for months and then speaks once."""
    watched = watch(Steered()).feed(whole_run(0, "r1"), clock(200))
    said = [type(output) for output in watched.outputs if isinstance(output, (Example, Closed))]

    assert said == [Example, Example, Closed]


def test_a_horizon_longer_than_the_retention_is_refused() -> None:
    """Outcomes would be evicted unsaid."""
    with pytest.raises(ValueError, match="horizon"):
        Settings(horizon_ms=31 * DAY, retention_ms=30 * DAY)


def test_a_schema_stays_as_long_as_it_is_read(watch: Watch) -> None:
    """Written once, read by each run for half a year: it is in the last run's graphlet as in the first's."""
    watched = watch().feed(ran(0, "schema", "SchemaGen", run="r0", writes=["schema"]))
    for week in range(26):
        watched.feed(ran(week * 7 * DAYS + 5, f"t{week}", "Trainer", run=f"r{week}", reads=["schema"]))

    assert watched.graphlet("t25")["up"] == ["schema"]
    assert {tuple(output.graphlet["up"]) for output in closed(watched)} == {("schema",)}
    assert len(watched.detector.pipelines["p"].executions) < 10
    watched.feed(clock(26 * 7 + KEPT + 1))
    assert "schema" not in watched.detector.pipelines["p"].executions


def test_a_model_that_is_the_baseline_of_every_run_keeps_its_graphlet(watch: Watch) -> None:
    """As long as it is judged against, its trainer is not forgotten."""
    watched = watch().feed(ran(0, "old", "Trainer", run="r0", writes=["m"]))
    for week in range(12):
        watched.feed(ran(week * 7 * DAYS + 5, f"eval{week}", "Evaluator", run=f"r{week}", reads=["m"]))
    assert watched.graphlet("old")["down"][0] == "eval0"

    watched.feed(clock(11 * 7 + KEPT + 1))

    assert [output.graphlet["trainer"] for output in closed(watched)] == ["old"]


def test_what_is_in_a_graphlet_stays_with_it(watch: Watch) -> None:
    """Data that nobody has read for months is still what the model was made of."""
    watched = watch().feed(
        ran(0, "gen", "CsvExampleGen", run="r0", writes=["a"]),
        ran(30 * DAYS, "train", "Trainer", reads=["a"], writes=["m"]),
    )
    for month in range(2, 6):
        watched.feed(ran(month * 30 * DAYS, f"eval{month}", "Evaluator", run=f"e{month}", reads=["m"]))

    assert watched.graphlet("train")["up"] == ["gen"]


def test_an_event_of_what_has_left_is_counted_and_dropped(watch: Watch) -> None:
    """It changes nothing: no new graphlet, no second charge, no correction."""
    watched = watch(Steered()).feed(whole_run(0, "r1"), clock(100))
    before, said = watched.ledger(), len(watched.outputs)
    kept_before = kept(watched.detector)

    watched.feed(whole_run(0, "r1", pushed=True))

    assert watched.detector.dropped == 9
    assert (watched.ledger(), len(watched.outputs), kept(watched.detector)) == (before, said, kept_before)


def test_an_event_just_above_the_cutoff_is_not_dropped(watch: Watch) -> None:
    """Retention and lateness are both given."""
    watched = watch().feed(clock(100), started((100 - KEPT) * DAYS, "late", "Trainer"))

    assert watched.detector.dropped == 0
    assert watched.outcome("late")[0] == "not_pushed"


def test_an_old_event_of_what_is_kept_is_taken(watch: Watch) -> None:
    """However late it is: its execution is still there to be told of."""
    watched = watch().feed(ran(0, "old", "Trainer", run="r0", writes=["m"]))
    for week in range(12):
        watched.feed(started(week * 7 * DAYS + 5, f"eval{week}", "Evaluator", run=f"r{week}", reads=["m"]))
    before = watched.ledger()["wasted"]

    watched.feed(ended(2, "old", "Trainer", run="r0", node_ms=HOUR))

    assert watched.detector.dropped == 0
    assert watched.ledger()["wasted"] - before == HOUR - MINUTE


def test_wrong_clocks_hurt_their_own_pipeline(watch: Watch) -> None:
    """Two a year ahead in one: all of it leaves. The other does not notice."""
    watched = watch().feed(
        started(0, "t", "Trainer", pipeline="p"),
        started(0, "t", "Trainer", pipeline="q"),
        started(365 * DAYS, "jump", "Custom", pipeline="q"),
        started(365 * DAYS, "leap", "Custom", pipeline="q"),
    )

    assert [output.graphlet["graphlet"] for output in closed(watched)] == ["q/t"]
    assert watched.outcome("t")[0] == "open"


def test_a_closed_push_still_supersedes(watch: Watch) -> None:
    """An earlier graphlet that is kept, because its model is read, was overtaken by one that has left."""
    watched = watch().feed(
        started(0, "old", "Trainer", run="r0"),
        ran(5, "new", "Trainer", run="r1", writes=["m"]),
        ran(7, "push", "Pusher", run="r1", reads=["m"]),
    )
    for day in range(0, 60, 5):
        watched.feed(happened(day * DAYS + 10, "old", "Trainer", NEW, run="r0"))

    assert [output.graphlet["trainer"] for output in closed(watched)] == ["new"]
    assert watched.outcome("old") == ("not_pushed", "superseded", at(8))


def test_waste_is_booked_by_the_latest_trainer_whichever_graphlet_leaves_first(watch: Watch) -> None:
    """The later one failed and was forgotten first; the earlier one, judged against for weeks, does not rename it."""
    watched = watch().feed(
        ran(0, "gen", "CsvExampleGen", run="g", writes=["a"], node_ms=7),
        ran(5, "early", "Trainer", reads=["a"], writes=["m"]),
        run_ended(7),
        started(10, "late", "Trainer", run="r2", reads=["a"]),
        ended(11, "late", "Trainer", run="r2", state=FAILED),
    )
    for day in range(7, 120, 7):
        watched.feed(started(day * DAYS, f"look{day}", "Custom", run=None, reads=["a"]))
        if day < 60:
            watched.feed(started(day * DAYS, f"eval{day}", "Evaluator", run=None, reads=["m"]))

    assert [output.graphlet["trainer"] for output in closed(watched)] == ["late", "early"]
    assert "gen" in watched.detector.pipelines["p"].executions
    assert watched.detector.ledger("p").wasted_by["ingest", "failed"] == 7


def test_what_is_not_known_stays_so_whichever_graphlet_leaves_first(watch: Watch) -> None:
    """The later one failed and was forgotten first; of the earlier one nobody knows whether it was pushed."""
    watched = watch().feed(
        ran(0, "gen", "CsvExampleGen", run="g", writes=["a"], node_ms=7),
        ran(5, "early", "Trainer", reads=["a"], writes=["m"], properties={"label_unknown": True}),
        started(10, "late", "Trainer", run="r2", reads=["a"]),
        ended(11, "late", "Trainer", run="r2", state=FAILED),
    )
    for day in range(7, 120, 7):
        watched.feed(started(day * DAYS, f"look{day}", "Custom", run=None, reads=["a"]))
        if day < 60:
            watched.feed(started(day * DAYS, f"eval{day}", "Evaluator", run=None, reads=["m"]))

    assert [output.graphlet["trainer"] for output in closed(watched)] == ["late", "early"]
    assert "gen" in watched.detector.pipelines["p"].executions
    assert watched.detector.ledger("p").wasted_by.get(("ingest", "failed")) is None
    assert watched.detector.ledger("p").unknown == 7 + MINUTE


def table_read_by_one() -> list[Event]:
    """Two writers of one unversioned table and a reader of the later one; the first and the reader are touched on."""
    table = artifact("table", versioned=False)
    log = [
        *ran(0, "w0", "CsvExampleGen", run="a", writes=[table, "x"]),
        *ran(10, "w1", "CsvExampleGen", run="b", writes=[table]),
        *ran(20, "prep", "Transform", run="c", reads=[table], writes=["data"]),
    ]
    return log + [started(d * DAYS, f"y{d}", "Custom", run=None, reads=["data", "x"]) for d in range(3, 60, 3)]


def test_who_read_an_unversioned_artifact_reads_it_still_when_its_writer_has_left(watch: Watch) -> None:
    """It does not turn to an earlier writer, neither at once nor after a restart."""
    watched = watch().feed(table_read_by_one())
    assert "w1" not in watched.detector.pipelines["p"].executions

    for each in (watched, watched.restarted()):
        each.feed(started(58 * DAYS, "t", "Trainer", run="c", reads=["data"]))
        assert each.members("t") == (["prep"], [], [])


def test_an_evicted_writer_of_an_unversioned_artifact_is_forgotten_with_its_last_reader(watch: Watch) -> None:
    """What is remembered of writers has the size of what is kept; their rows too."""
    watched = watch().feed(table_read_by_one())
    for day in range(63, 130, 3):
        watched.feed(started(day * DAYS, f"z{day}", "Custom", run=None, reads=["x"]))
    kept_of = watched.detector.pipelines["p"].artifacts["table"].unversioned

    assert kept_of is not None
    assert (list(kept_of.by_writer), kept_of.ends, kept_of.starts, kept_of.evicted_ends) == (
        ["w0"],
        [(at(1), "w0")],
        [],
        {},
    )
    assert watched.restarted().detector.pipelines["p"].artifacts["table"].unversioned.evicted_ends == {}  # type: ignore[union-attr]


def test_an_evicted_writer_that_is_back_writes_anew(watch: Watch) -> None:
    """Its end is the one told now, so the reader of long ago reads what was there then, live and restarted."""
    watched = watch().feed(table_read_by_one())
    back = ran(59 * DAYS, "w1", "CsvExampleGen", run="b", writes=[artifact("table", versioned=False)])

    for each in (watched, watched.restarted()):
        each.feed(back, started(60 * DAYS, "t", "Trainer", run="c", reads=["data"]))
        assert each.members("t")[0] == ["prep", "w0"]


def test_an_unversioned_artifact_leaves_with_all_that_touched_it(watch: Watch) -> None:
    """Also where a reader had to choose again because a writer was told of late."""
    table = artifact("table", versioned=False)
    watched = watch().feed(
        started(20, "prep", "Transform", reads=[table]), ran(5, "w", "CsvExampleGen", writes=[table]), clock(KEPT + 1)
    )

    assert "table" not in watched.detector.pipelines["p"].artifacts


# Equality with a batch recompute


@dataclass(frozen=True)
class Shape:
    """What one of a pipeline's runs, five days apart, does."""

    hour: int
    spans: int
    statistics: bool
    transform: bool
    baseline: int
    #: Days after the trainer, and None for no push.
    push_after: int | None
    end: str | None
    #: Days by which each event is late, used in turn.
    late: tuple[int, ...]


SHAPES = st.builds(
    Shape,
    hour=st.integers(0, 23),
    spans=st.integers(1, 4),
    statistics=st.booleans(),
    transform=st.booleans(),
    baseline=st.integers(0, 4),
    push_after=st.sampled_from((None, None, 0, 0, 3)),
    end=st.sampled_from((COMPLETE, COMPLETE, FAILED, None)),
    late=st.lists(st.sampled_from((0, 0, 0, 0, 1, 3, 6)), min_size=1, max_size=5).map(tuple),
)


def steps(number: int, shape: Shape) -> list[Event]:
    """One run: a new span, some of the last, the one schema, the model and a baseline of some runs ago."""
    minute, run = number * 5 * DAYS + shape.hour * 60, f"r{number}"
    spans: list[Ref] = [f"span{n}" for n in range(max(0, number - shape.spans + 1), number + 1)]
    data: list[Ref] = [*spans, "schema"]
    events = ran(minute, f"gen{number}", "CsvExampleGen", run=run, writes=[f"span{number}"])
    if number == 0:
        events += ran(minute + 1, "schema", "SchemaGen", run=run, reads=spans, writes=["schema"])
    if shape.statistics:
        events += ran(minute + 2, f"stats{number}", "StatisticsGen", run=run, reads=data, writes=[f"stats{number}"])
    if shape.transform:
        events += ran(minute + 3, f"prep{number}", "Transform", run=run, reads=data, writes=[f"data{number}"])
        data = [f"data{number}", "schema"]
    events += ran(minute + 4, f"train{number}", "Trainer", run=run, reads=data, writes=[f"m{number}"], node_ms=HOUR)
    judged: list[Ref] = [f"m{number}", *([f"m{number - shape.baseline}"] if 0 < shape.baseline <= number else [])]
    events += ran(minute + 6, f"eval{number}", "Evaluator", run=run, reads=judged, writes=[f"b{number}"])
    if shape.push_after is not None:
        later = minute + 8 + shape.push_after * DAYS
        events += ran(later, f"push{number}", "Pusher", run=run, reads=[f"m{number}", f"b{number}"])
    return events if shape.end is None else [*events, run_ended(minute + 9, run, state=shape.end)]


@settings(max_examples=30 * (settings().max_examples // 100))
@given(shapes=st.lists(SHAPES, min_size=10, max_size=24))
def test_with_retention_graphlets_equal_a_batch_recompute(shapes: list[Shape]) -> None:
    """Up to four months, events up to six days late: what is kept, what was closed and the sums are the oracle's."""
    arrivals = []
    for number, shape in enumerate(shapes):
        for place, event in enumerate(steps(number, shape)):
            arrivals.append((event.time_ms + shape.late[place % len(shape.late)] * DAY, len(arrivals), event))
    arrived = [event for _, _, event in sorted(arrivals, key=lambda arrival: arrival[:2])]
    watched = Watched(Detector()).feed(arrived)
    expected = recompute(arrived, operators=Operators(), horizon_ms=watched.detector.settings.horizon_ms)
    note(f"{len(closed(watched))} closed; last event on day {(arrived[-1].time_ms - T0) / DAY:.0f}")

    told = {output.graphlet["graphlet"]: output.graphlet for output in closed(watched)}
    found = told | {graphlet["graphlet"]: graphlet for graphlet in watched.detector.graphlets()}
    assert len(found) == len(told) + sum(1 for _ in watched.detector.graphlets())
    assert set(found) == set(expected["graphlets"])
    for name, ours in found.items():
        theirs = expected["graphlets"][name]
        assert {part: ours[part] for part in ("up", "down", "side", "cost")} == {
            part: theirs[part] for part in ("up", "down", "side", "cost")
        }
        # Of runs that never end a push in the far future would change the cause and the time, never the outcome.
        decided = ours["cause"] not in ("superseded", "expired")
        assert (ours["outcome"], ours["time_ms"] if decided else None) == (
            theirs["outcome"],
            theirs["time"] if decided else None,
        )
    assert watched.ledger() == expected["ledger"]["p"]
    assert watched.detector.dropped == 0
    watched.detector.validate()


# What outlives what it belonged to


def outlived(watch: Watch) -> Watched:
    """A validator that judged its own run's model against a baseline, and outlived its trainer; then a reader of it."""
    return watch().feed(
        ran(0, "base", "Trainer", run="r0", writes=["m0"]),
        ran(1, "t", "Trainer", writes=["m"]),
        ran(2, "eval", "Evaluator", reads=["m", "m0"], writes=["bless"]),
        started(20 * DAYS, "e20", "Evaluator", run="e20", reads=["m0"]),
        ran(30 * DAYS, "late", "Custom", run="r9", reads=["bless"]),
        clock(40),
    )


def test_a_validator_stays_out_of_its_baselines_graphlet_when_its_trainer_has_left(watch: Watch) -> None:
    """Before and after a restart: what it judged does not change with what is forgotten."""
    watched = outlived(watch)

    assert watched.members("base") == ([], ["e20"], [])
    assert watched.restarted().members("base") == ([], ["e20"], [])


def test_the_state_is_whole_when_a_deploy_execution_outlives_its_trainer(watch: Watch) -> None:
    """What is known of trainers read is what would be found anew, before and after a restart."""
    watched = watch().feed(ran(0, "t", "Trainer", writes=["m"]), ran(2, "push", "Pusher", reads=["m"], writes=["out"]))
    watched.feed(ran(30 * DAYS, "late", "Custom", run="r9", reads=["out"]), clock(40))

    assert "t" not in watched.detector.pipelines["p"].executions
    assert "push" in watched.detector.pipelines["p"].executions
    watched.detector.validate()
    watched.restarted().detector.validate()


def test_a_cached_trainer_that_leaves_was_not_one_that_was_read(watch: Watch) -> None:
    """A push of what it passed on belongs to what led to it, whatever is forgotten."""
    watched = watch().feed(
        ran(0, "old", "Trainer", run="r0", writes=["m0"]),
        ended(1, "cached", "Trainer", run="r2", state=CACHED, writes=["copy"]),
        ran(2, "eval", "Evaluator", run="e", reads=["m0"], writes=["bless"]),
        started(4, "push", "Pusher", run="d", reads=["copy", "bless"]),
    )
    for day in range(3, 75, 3):
        watched.feed(started(day * DAYS, f"e{day}", "Evaluator", run=f"e{day}", reads=["m0"]))

    assert "cached" not in watched.detector.pipelines["p"].executions
    assert "push" in watched.members("old")[1]
    assert "push" in watched.restarted().members("old")[1]


def test_a_restart_does_not_shorten_the_retention(watch: Watch) -> None:
    """A writer is kept as long as what it wrote is read, whatever its readers' own outputs were read for."""
    first = [
        *ran(0, "w", "CsvExampleGen", run="r0", writes=["a"]),
        *ran(5, "R", "Transform", run="r0", reads=["a"], writes=["b"]),
        *ran(30 * DAYS, "X", "Custom", run="r1", reads=["b"]),
    ]
    after = [
        *ran(30 * DAYS + 5, "R2", "Transform", run="r2", reads=["a"], writes=["c"]),
        *clock(38),
        started(40 * DAYS, "t", "Trainer", run="r2", reads=["c"]),
    ]

    restarted = watch().feed(first).restarted().feed(after)

    assert restarted.members("t") == watch().feed(first, after).members("t") == (["R2", "w"], [], [])


@pytest.mark.parametrize("restart", [False, True])
def test_eviction_changes_no_saving_and_no_cause(watch: Watch, restart: bool) -> None:
    """A member that outlives its graphlet stays booked as what became of that, with the flags it had."""
    log = [
        *past(6),
        started(1000, "t", "Trainer"),
        ended(1001, "t", "Trainer", writes=["m"]),
        *ran(1002, "eval", "Evaluator", reads=["m"], writes=["b"], node_ms=7 * MINUTE),
        run_ended(1010),
        *ran(20 * DAYS, "later", "Custom", run=None, reads=["b"]),
        *clock(45),
    ]
    evicting = watch(Steered()).feed(log)
    keeping = watch(Steered(), retention_ms=10_000 * DAY).feed(log)
    ledger = (evicting.restarted() if restart else evicting).detector.ledger("p")
    whole = keeping.detector.ledger("p")

    assert "t" not in evicting.detector.pipelines["p"].executions
    assert (ledger.saved, ledger.wasted_by) == (whole.saved, whole.wasted_by)
    assert ledger.saved


@pytest.mark.parametrize("later", [True, False], ids=["restart", "late event"])
def test_a_pushed_run_is_not_called_a_negative_once_its_trainer_has_left(watch: Watch, later: bool) -> None:
    """Its span is still read, so the run is kept; what was to be said of it was said."""
    watched = watch(Steered()).feed(
        ran(0, "gen", "CsvExampleGen", writes=["span"]),
        started(2, "prep", "Transform", reads=["span"]),
        ran(3, "train", "Trainer", writes=["m"]),
        ran(5, "push", "Pusher", reads=["m"]),
        run_ended(9),
    )
    for day in range(5, 60, 5):
        watched.feed(started(day * DAYS, f"x{day}", "Transform", run=None, reads=["span"]))
    pushed = [e.pushed for e in watched.outputs if isinstance(e, Example) and e.graphlet == "p/run:r1"]
    assert pushed == [True]
    assert "r1" in watched.detector.pipelines["p"].runs

    again = watched.restarted() if later else watched.feed(run_ended(9))
    heard = len(again.outputs) if not later else 0
    again.tick(at(0) + 60 * DAY)

    assert not [e for e in again.outputs[heard:] if isinstance(e, Example) and e.graphlet == "p/run:r1"]


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "every"), [(1, 200), (0, 97)])
def test_a_fleet_cut_where_things_leave_says_what_it_says_in_one(seed: int, every: int) -> None:
    """Two days of retention, and a restart every so many events: all outputs, in their order."""
    settings = Settings(horizon_ms=DAY, retention_ms=2 * DAY, lateness_ms=DAY)
    events = fleet_events(5, 12, seed)
    detector = Detector(settings, Steered(p=0.3, limit=3.0))  # type: ignore[arg-type]
    whole = [wire(output) for event in events for output in detector.step(event)]

    rows: dict[bytes, bytes] = {}
    said = []
    for first in range(0, len(events), every):
        detector = Detector.load(settings, dict(rows), Steered(p=0.3, limit=3.0))  # type: ignore[arg-type]
        said += [wire(output) for event in events[first : first + every] for output in detector.step(event)]
        for row_key, row in detector.take_rows():
            if row is None:
                rows.pop(row_key, None)
            else:
                rows[row_key] = row

    assert said == whole


@pytest.mark.parametrize("how", ["as it came", "the other way round", "after a restart"])
def test_the_end_of_a_run_stays_as_long_as_anything_of_it(watch: Watch, how: str) -> None:
    """Whatever order they are looked at in."""
    log = [ended(0, "t", "Trainer", run="r"), run_ended(5, "r")]
    watched = watch(Steered()).feed(log[::-1] if how == "the other way round" else log)
    if how == "after a restart":
        watched = watched.restarted()

    watched.feed(clock(45), started(45 * DAYS, "t2", "Trainer", run="r"))

    assert watched.outcome("t2") == ("open", None, None)
