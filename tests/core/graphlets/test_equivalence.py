"""Whatever the order, number and interruptions of events, the detector ends where a batch recompute does."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import currently_in_test_context, given, note, settings
from hypothesis import strategies as st

from stream_app.core.detector import Detector, Settings
from stream_app.core.events import ArtifactRef, Event
from stream_app.core.learning.learner import Learner
from stream_app.core.operators import Operators
from tests.support.arrivals import any_arrival, cuts, duplicated, late, shuffled
from tests.support.builders import HOUR, MINUTE, T0, artifact, ran, run_ended, run_pruned
from tests.support.oracle import recompute
from tests.support.worlds import HORIZONS, LOST, OPERATORS, fleets, logs, noise

#: 1,170 cases in the normal run; the profile `deep` takes many more.
MORE = settings().max_examples // 100
HORIZON_MS = st.sampled_from(HORIZONS).map(lambda minutes: minutes * MINUTE)
LOST_MS = st.sampled_from(LOST).map(lambda minutes: minutes * MINUTE)


@pytest.mark.slow
@pytest.mark.parametrize("world", [fleets, noise])
@pytest.mark.parametrize("arrival", [shuffled, duplicated, late])
@settings(max_examples=140 * MORE)
@given(data=st.data(), horizon_ms=HORIZON_MS, lost_ms=LOST_MS)
def test_the_order_and_number_of_events_do_not_matter(
    world: Callable[[], st.SearchStrategy[list[Event]]],
    arrival: Callable[[list[Event]], st.SearchStrategy[list[Event]]],
    data: st.DataObject,
    horizon_ms: int,
    lost_ms: int,
) -> None:
    """Shuffled, doubled or dropped and sent late: graphlets, outcomes and ledger equal the oracle's."""
    events = data.draw(world(), label="log")
    arrived = data.draw(arrival(events), label="arrived")
    detector = Detector(_settings(horizon_ms, lost_ms), learner=None)
    for event in arrived:
        detector.step(event)
    _assert_equal(detector, events, arrived, horizon_ms, lost_ms)


@pytest.mark.slow
@settings(max_examples=270 * MORE)
@given(data=st.data(), horizon_ms=HORIZON_MS, lost_ms=LOST_MS, predicting=st.booleans())
def test_a_log_may_be_cut_anywhere_with_the_state_saved_and_loaded_between(
    data: st.DataObject, horizon_ms: int, lost_ms: int, predicting: bool
) -> None:
    """Each part is done by a detector that knows nothing but the rows before it, whether it predicts or not."""
    events = data.draw(logs(), label="log")
    arrived = data.draw(any_arrival(events), label="arrived")
    places = data.draw(cuts(len(arrived)), label="cuts")
    rows: dict[bytes, bytes] = {}
    for first, last in zip([0, *places], [*places, len(arrived)], strict=True):
        learner = Learner() if predicting else None
        detector = Detector.load(_settings(horizon_ms, lost_ms), dict(rows), learner)
        for event in arrived[first:last]:
            detector.step(event)
        _save(detector, rows)
    _assert_equal(detector, events, arrived, horizon_ms, lost_ms)
    reloaded = Detector.load(_settings(horizon_ms, lost_ms), rows)
    reloaded.validate()
    _assert_equal(reloaded, events, arrived, horizon_ms, lost_ms)


@pytest.mark.slow
@settings(max_examples=60 * MORE)
@given(data=st.data(), horizon_ms=HORIZON_MS, lost_ms=LOST_MS)
def test_the_state_is_right_and_its_invariants_hold_after_every_event(
    data: st.DataObject, horizon_ms: int, lost_ms: int
) -> None:
    """A detector is never wrong on the way either."""
    arrived = data.draw(logs().flatmap(any_arrival), label="arrived")
    detector = Detector(_settings(horizon_ms, lost_ms), learner=None)
    for done, event in enumerate(arrived, 1):
        detector.step(event)
        detector.validate()
        _assert_equal(detector, arrived[:done], arrived[:done], horizon_ms, lost_ms)


@pytest.mark.slow
def test_the_halves_of_a_log_may_run_in_processes_that_hash_strings_differently(tmp_path: Path) -> None:
    """No set of strings is walked in its own order: the rows are the same bytes whatever the seed."""
    log = _busy_log()
    halves = [log[: len(log) // 2], log[len(log) // 2 :]]
    rows: list[dict[bytes, bytes]] = [{}, {}]
    for half in halves:
        rows = [_in_own_process(tmp_path, seed, half, own) for seed, own in zip((1, 2), rows, strict=True)]
    assert rows[0] == rows[1]
    _assert_equal(Detector.load(_settings(40 * MINUTE), rows[0]), log, log, 40 * MINUTE)


def test_a_graphlet_of_more_than_ten_thousand_executions_keeps_no_members() -> None:
    """It is open like any other, but its members are charged to nobody."""
    log = ran(0, "t", "Trainer", writes=["m"], node_ms=5)
    for number in range(10_001):
        log += ran(1, f"eval{number}", "Evaluator", reads=["m"], node_ms=1)[1:]
    detector = Detector(Settings(), learner=None)
    for event in log:
        detector.step(event)
    expected = recompute(log, operators=Operators(), horizon_ms=HORIZONS[-1] * MINUTE)
    assert _differences(expected, _final(detector, log)) == []
    assert expected["ledger"]["p"] == {"useful": 0, "wasted": 0, "pending": 5, "unattributed": 10_001}


def _settings(horizon_ms: int, lost_ms: int = 6 * HOUR) -> Settings:
    return Settings(operators=OPERATORS, horizon_ms=horizon_ms, lost_ms=lost_ms)


def _save(detector: Detector, rows: dict[bytes, bytes]) -> None:
    """Apply the rows that changed, as a table would."""
    for key, value in detector.take_rows():
        if value is None:
            rows.pop(key, None)
        else:
            rows[key] = value


def _assert_equal(
    detector: Detector, events: list[Event], arrived: list[Event], horizon_ms: int, lost_ms: int = 6 * HOUR
) -> None:
    if currently_in_test_context():
        note(f"horizon {horizon_ms // MINUTE}, lost {lost_ms // MINUTE} minutes; as they arrived:\n{_script(arrived)}")
    expected = recompute(events, operators=OPERATORS, horizon_ms=horizon_ms, lost_ms=lost_ms)
    differences = _differences(expected, _final(detector, events))
    assert not differences, "\n".join(["detector and oracle differ:", *differences])


def _final(detector: Detector, events: Iterable[Event]) -> dict[str, Any]:
    """What the detector holds, in the oracle's form."""
    graphlets = {}
    for graphlet in detector.graphlets():
        if graphlet["trainer"] is not None:
            one = {name: graphlet[name] for name in ("pipeline", "run", "trainer", "up", "down", "side")}
            one |= {name: graphlet[name] for name in ("outcome", "cause", "cost")}
            graphlets[graphlet["graphlet"]] = one | {"time": graphlet["time_ms"]}
    ledgers = {pipeline: detector.ledger(pipeline) for pipeline in sorted({e.pipeline for e in events})}
    classes = ("useful", "wasted", "pending", "unattributed", "unknown")
    return {
        "graphlets": graphlets,
        "ledger": {
            p: {name: sum_ for name in classes if (sum_ := getattr(own, name)) or name != "unknown"}
            for p, own in ledgers.items()
        },
    }


def _differences(expected: dict[str, Any], actual: dict[str, Any]) -> list[str]:
    """One line for each field that differs."""
    lines = []
    for kind in ("graphlets", "ledger"):
        for key in sorted({*expected[kind], *actual[kind]}):
            oracle, ours = expected[kind].get(key), actual[kind].get(key)
            if oracle is None or ours is None:
                lines.append(f"{kind} {key}: only {'the detector' if oracle is None else 'the oracle'} has it")
                continue
            for name in sorted({*oracle, *ours}):
                if oracle.get(name) != ours.get(name):
                    lines.append(f"{kind} {key} {name}: oracle {oracle.get(name)!r}, detector {ours.get(name)!r}")
    return lines


def _script(events: Iterable[Event]) -> str:
    """The events as lines that a person can read and paste into a test."""
    return "\n".join(_line(event) for event in events)


def _line(event: Event) -> str:
    parts = [f"{(event.time_ms - T0) / MINUTE:g}"]
    parts += [repr(told) for told in (event.execution_id, event.execution_type, event.state)]
    parts.append(f"run={event.run!r}")
    for name, refs in (("reads", event.inputs), ("writes", event.outputs)):
        if refs:
            parts.append(f"{name}=[{', '.join(_ref(ref) for ref in refs)}]")
    if event.node_ms is not None:
        parts.append(f"node_ms={event.node_ms}")
    if event.properties:
        parts.append(f"properties={event.properties}")
    if event.pipeline != "p":
        parts.append(f"pipeline={event.pipeline!r}")
    return f"happened({', '.join(parts)}),"


def _ref(ref: ArtifactRef) -> str:
    told = [repr(ref.id)]
    told += [] if ref.versioned else ["versioned=False"]
    told += [f"{key}={value!r}" for key, value in ref.properties.items()]
    return told[0] if len(told) == 1 else f"artifact({', '.join(told)})"


def _busy_log() -> list[Event]:
    """Three runs with a hub schema, a rolling window, an unversioned table, baselines and a resolver."""
    table, log = (
        artifact("table", versioned=False),
        ran(0, "schema", "SchemaGen", run="r0", writes=["schema"]),
    )
    for n in (1, 2, 3):
        run, minute = f"r{n}", 10.0 * n
        spans, models = [f"span{n}", f"span{n - 1}", table], [f"m{n}", f"m{n - 1}"]
        for name, type_, reads, writes in (
            ("gen", "CsvExampleGen", [], [f"span{n}", table]),
            ("stats", "StatisticsGen", spans, [f"stats{n}"]),
            ("check", "ExampleValidator", [f"stats{n}", "schema"], []),
            ("transform", "Transform", [*spans, "schema"], [f"data{n}"]),
            ("resolve", "Resolver", [f"m{n - 1}"], [f"m{n - 1}"]),
            ("train", "Trainer", [f"data{n}", "schema"], [f"m{n}"]),
            ("eval", "Evaluator", [*models, *spans], [f"blessing{n}"]),
            ("push", "Pusher", [f"m{n}", f"blessing{n}"], [artifact(f"out{n}", pushed=n % 2)]),
        ):
            log += ran(minute, f"{name}{n}", type_, run=run, reads=reads, writes=writes)
            minute += 1
    return [*log, run_ended(30, "r1"), run_pruned(31, "r2")]


#: Reads its part of the log and the rows so far from a file, and leaves all rows there.
_PART = """
import pickle, sys
from stream_app.core.detector import Detector
from tests.core.graphlets.test_equivalence import _save, _settings
from tests.support.builders import MINUTE
path = sys.argv[1]
events, rows = pickle.load(open(path, "rb"))
detector = Detector.load(_settings(40 * MINUTE), dict(rows))
for event in events:
    detector.step(event)
_save(detector, rows)
pickle.dump(rows, open(path, "wb"))
"""


def _in_own_process(folder: Path, hash_seed: int, events: list[Event], rows: dict[bytes, bytes]) -> dict[bytes, bytes]:
    path = folder / "part.pickle"
    path.write_bytes(pickle.dumps((events, rows)))
    environment = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", _PART, str(path)], check=True, cwd=root, env=environment)
    after: dict[bytes, bytes] = pickle.loads(path.read_bytes())
    return after
