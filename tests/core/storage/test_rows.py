"""State as rows: only what changed, all that is needed, and nothing that another version wrote."""

from __future__ import annotations

import orjson
import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import CACHED, Event
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Example, Verdict, Withdrawal
from stream_app.core.storage.rows import VERSION, key
from stream_app.errors import StateError
from tests.support.builders import DAY, MINUTE, artifact, ended, ran, run_pruned, started
from tests.support.simulated import folding, ledgers, usual_events, usual_fleet, usual_outputs, wire
from tests.support.steered import PERIOD, Steered, past, whole_run

DAYS = DAY // MINUTE
Rows = dict[bytes, bytes]


def detector_of(*events: list[Event] | Event, learner: object | None = None, **changes: object) -> Detector:
    """A detector after some events, its rows not taken yet."""
    detector = Detector(Settings(**changes), learner, keep_rows=True)  # type: ignore[arg-type]
    for given in events:
        for event in [given] if isinstance(given, Event) else given:
            detector.step(event)
    return detector


def saved(detector: Detector, before: Rows | None = None) -> Rows:
    """All rows, of which a detector gives those that changed since."""
    rows = dict(before or {})
    for row_key, row in detector.take_rows():
        if row is None:
            rows.pop(row_key, None)
        else:
            rows[row_key] = row
    return rows


def taken(detector: Detector) -> set[tuple[str, str]]:
    """(kind, id) of the rows that changed since they were last taken."""
    return {(k.decode().split("\x00")[0], k.decode().split("\x00")[2]) for k, _ in detector.take_rows()}


def test_a_row_says_its_kind_its_pipeline_and_its_id() -> None:
    """So that a table can be looked into, and pipelines never share a row."""
    rows = saved(detector_of(ran(0, "e", "Custom", pipeline="a"), ran(0, "e", "Custom", pipeline="b")))

    assert {key("execution", "a", "e"), key("execution", "b", "e"), key("pipeline", "a", "")} <= set(rows)
    assert {orjson.loads(row)[0] for row in rows.values()} == {VERSION}


def test_only_rows_of_what_changed_are_given() -> None:
    """And each once: what was taken is not taken again."""
    detector = detector_of(ran(0, "gen", "CsvExampleGen", writes=["a"]), ran(5, "other", "Custom"))
    assert {"gen", "other"} <= {name for _, name in taken(detector)}
    assert taken(detector) == set()

    detector.step(started(9, "third", "Custom"))

    assert taken(detector) == {("pipeline", ""), ("execution", "third")}


def test_who_is_read_on_another_day_is_written_again() -> None:
    """Its retention counts from there."""
    detector = detector_of(ran(0, "gen", "CsvExampleGen", writes=["a"]))
    detector.take_rows()
    detector.step(started(3 * DAYS, "prep", "Transform", reads=["a"]))
    assert ("execution", "gen") in taken(detector)

    detector.step(started(3 * DAYS + 1, "prep2", "Transform", reads=["a"]))

    assert ("execution", "gen") not in taken(detector)


def test_artifacts_have_rows_of_their_types_and_properties() -> None:
    """Their edges are those of executions."""
    detector = detector_of(
        ran(0, "gen", "CsvExampleGen", writes=["plain", artifact("told", rows=3), artifact("table", versioned=False)])
    )

    assert {name for kind, name in taken(detector) if kind == "artifact"} == {"plain", "told", "table"}


def test_a_detector_that_keeps_no_rows_has_none() -> None:
    """Replay pays nothing for them."""
    detector = Detector()
    for event in past(2):
        detector.step(event)

    assert detector.take_rows() == []


def test_a_loaded_detector_has_nothing_to_write() -> None:
    """Until something changes."""
    loaded = Detector.load(Settings(), saved(detector_of(past(3), learner=Steered())))

    assert loaded.take_rows() == []


def test_rows_of_nothing_are_an_empty_detector() -> None:
    """A new partition."""
    assert Detector.load(Settings(), {}).pipelines == {}


def test_what_was_said_comes_back_word_for_word() -> None:
    """Stages with their features, flags, revisions, and the history behind them."""
    detector = detector_of(past(7, pushed=True), past(3, first=40 * PERIOD, name="later"), learner=Steered())
    detector.step(started(99 * PERIOD, "prep", "Transform", run="now"))
    loaded = Detector.load(Settings(), saved(detector))
    before, after = detector.pipelines["p"], loaded.pipelines["p"]

    assert {n: (r.announced_kind, r.label_revision, r.had_trainer) for n, r in before.runs.items()} == {
        n: (r.announced_kind, r.label_revision, r.had_trainer) for n, r in after.runs.items()
    }
    for name in before.graphlets:
        assert told(before.graphlets[name].predictions) == told(after.graphlets[name].predictions)
    for name in before.runs:
        assert told(before.runs[name].predictions) == told(after.runs[name].predictions)
    history = [getattr(before.history, name) for name in type(before.history).__dataclass_fields__]
    assert [getattr(after.history, name) for name in type(after.history).__dataclass_fields__] == history


def told(predictions: object) -> object:
    """A talk as a plain value."""
    if predictions is None:
        return None
    stages = [[getattr(said, name) for name in type(said).__slots__] for said in predictions.stages]  # type: ignore[attr-defined]
    return [getattr(predictions, name) for name in ("decision", "flag_ms", "propensity", "revision")], stages


def test_a_flag_outlives_a_restart() -> None:
    """A trainer takes up its run's flag, and the revision goes on."""
    learner = Steered()
    detector = detector_of(past(6), started(10 * PERIOD, "prep", "Transform", run="now"), learner=learner)
    learner.p = 0.999_9999
    loaded = Detector.load(Settings(), saved(detector), learner)  # type: ignore[arg-type]
    (verdict,) = [v for v in loaded.step(started(10 * PERIOD + 1, "t", "Trainer", run="now")) if isinstance(v, Verdict)]

    assert verdict.withdrawn == Withdrawal.RECOVERED


def test_what_prunes_avoided_outlives_a_restart() -> None:
    """It was never spent, so that no fact could tell it again."""
    detector = detector_of(
        past(6), started(10 * PERIOD, "t", "Trainer", run="now"), run_pruned(10 * PERIOD + 1, "now"), learner=Steered()
    )
    loaded = Detector.load(Settings(), saved(detector))

    assert detector.ledger("p").avoided > 0
    assert loaded.ledger("p") == detector.ledger("p")


def test_what_was_said_of_a_trainer_that_proved_cached_is_kept() -> None:
    """Should it be one after all, nothing is said under an old id."""
    detector = detector_of(
        ran(0, "t", "Trainer"), ended(2, "t", "Trainer", state=CACHED), ran(5, "x", "Custom"), learner=Steered()
    )
    rows = saved(detector)
    loaded = Detector.load(Settings(), rows, Steered())  # type: ignore[arg-type]
    assert list(loaded.graphlets()) == []

    said = loaded.step(ended(9, "t", "Trainer"))

    assert [verdict.id for verdict in said if isinstance(verdict, Verdict)] == []
    assert [graphlet["trainer"] for graphlet in loaded.graphlets()] == ["t"]


@pytest.mark.parametrize(
    ("row_key", "row"),
    [
        (key("execution", "p", "e"), b"not json"),
        (key("execution", "p", "e"), b"[1]"),
        (key("execution", "p", "e"), b"7"),
        (b"one part", b"[1,null]"),
        (b"\xff\x00p\x00e", b"[1,null]"),
    ],
    ids=["no JSON", "too short", "no list", "a foreign key", "no UTF-8"],
)
def test_a_row_that_is_none_of_ours_is_refused(row_key: bytes, row: bytes) -> None:
    """Better not to start than to start with a part."""
    with pytest.raises(StateError, match="cannot be read"):
        list(Detector.load(Settings(), {row_key: row}).graphlets())


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("pipeline", []),
        ("pipeline", 7),
        ("pipeline", None),
        ("history", {}),
        ("history", []),
        ("execution", ["Trainer"]),
        ("execution", {}),
        ("artifact", None),
        ("artifact", [[], None, "", 0]),
        ("artifact", [None, {"w": "late", "v": 1}, "", 0]),
        ("graphlet", [None, 0, None, None]),
        ("run", []),
        ("run", [None, 0, None, [1], False, False]),
    ],
    ids=str,
)
def test_rows_that_no_version_wrote_are_refused(kind: str, value: object) -> None:
    """Whatever is wrong in them, and also when a row that they need is missing."""
    with pytest.raises(StateError, match="the rows of pipeline 'p' cannot be read: "):
        Detector.load(Settings(), {key(kind, "p", "e"): orjson.dumps([VERSION, value])})


@pytest.mark.parametrize(("field", "value"), [(4, "x"), (6, "x"), (6, []), (7, "x"), (19, "x")])
def test_rows_whose_values_settle_nothing_are_refused(field: int, value: object) -> None:
    """Not only what loads the facts but also what follows from them."""
    rows = saved(detector_of(started(0, "t", "Trainer")))
    version, facts = orjson.loads(rows[key("execution", "p", "t")])
    facts[field] = value
    rows[key("execution", "p", "t")] = orjson.dumps([version, facts])

    with pytest.raises(StateError, match="the rows of pipeline 'p' cannot be read: TypeError: "):
        Detector.load(Settings(), rows)


@pytest.mark.parametrize(("field", "value"), [(2, 4), (10, [4]), (10, [None]), (11, [4.5]), (11, [["x"]]), (2, True)])
def test_rows_with_a_name_that_is_no_text_are_refused(field: int, value: object) -> None:
    """Its run and its artifacts would be loaded, and fail when they are written again."""
    rows = saved(detector_of(*ran(0, "t", "Trainer", run="r", reads=["x"], writes=["y"])))
    version, facts = orjson.loads(rows[key("execution", "p", "t")])
    facts[field] = value
    rows[key("execution", "p", "t")] = orjson.dumps([version, facts])

    with pytest.raises(StateError, match=r"the rows of pipeline 'p' cannot be read: TypeError: .* is no name"):
        Detector.load(Settings(), rows)


def test_a_row_of_another_version_is_refused() -> None:
    """It says which it has and which this program reads."""
    rows = saved(detector_of(past(1)))
    row_key = next(iter(rows))
    rows[row_key] = orjson.dumps([VERSION + 1, orjson.loads(rows[row_key])[1]])

    with pytest.raises(StateError, match=f"has version {VERSION + 1}, this program reads up to {VERSION}"):
        Detector.load(Settings(), rows)


def test_a_fleet_cut_into_four_says_what_it_says_in_one() -> None:
    """Each part by a detector that knows nothing but the rows before it: the same outputs, byte for byte."""
    whole = usual_fleet()[0]
    events, learner, rows, outputs = usual_events(), Learner(), {}, []
    detector = whole
    for first in range(0, len(events), len(events) // 4 + 1):
        detector = Detector.load(whole.settings, rows, learner)
        outputs += folding(detector, learner, events[first : first + len(events) // 4 + 1])
        rows = saved(detector, rows)

    assert [wire(output) for output in outputs] == [wire(output) for output in usual_outputs()]
    assert ledgers(detector) == ledgers(whole)
    assert sum(isinstance(output, Example) for output in outputs) > 100


def test_the_rows_of_a_run_are_few_and_small() -> None:
    """A run of four steps, said of at each stage: under 1 KiB for each execution."""
    rows = saved(detector_of(list(whole_run(0, "r1")), learner=Steered()))

    assert len(rows) == 4 + 4 + 3  # executions, artifacts, and one each for run, history and pipeline
    assert sum(map(len, rows.values())) < 5 * 1024
