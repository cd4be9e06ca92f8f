"""Replay: files in, the same bytes out, whatever way the input is cut and packed."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError
from stream_app.replay.reading import InputError, MessageReader
from stream_app.replay.replay import replay
from stream_app.replay.sinks import Sinks
from stream_app.sources.native import decode
from stream_app.times import text_to_time
from stream_app.wire import verdict_to_dict
from tests.sources.bad_input import BAD_INPUT
from tests.support.recorded import SETTINGS, fleet_lines, outputs, records, replayed_to, write_lines

#: Enough for verdicts, flags and outcomes, and quick.
LINES = fleet_lines()[:2500]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What a replay of one plain file writes."""
    folder = tmp_path_factory.mktemp("plain")
    replayed_to(folder / "out", [write_lines(folder / "events.jsonl", LINES)])
    return outputs(folder / "out")


def test_something_is_said_about_the_recorded_fleet(plain: dict[str, bytes]) -> None:
    """The tests below would prove nothing if every output were empty."""
    verdicts = [orjson.loads(line) for line in plain["verdicts"].splitlines()]

    assert {"continue", "prune"} <= {verdict["decision"] for verdict in verdicts}
    assert all(plain[name] for name in ("verdicts", "graphlets", "outcomes", "examples"))


def in_two_files(folder: Path) -> list[str]:
    return [write_lines(folder / "a.jsonl", LINES[:1000]), write_lines(folder / "b.jsonl", LINES[1000:])]


def gzipped(folder: Path) -> list[str]:
    path = folder / "events.jsonl.gz"
    path.write_bytes(gzip.compress(b"\n".join(LINES)))
    return [str(path)]


def as_an_array(folder: Path) -> list[str]:
    path = folder / "events.json"
    path.write_bytes(b"[" + b",\n".join(LINES) + b"]")
    return [str(path)]


@pytest.mark.parametrize("packed", [in_two_files, gzipped, as_an_array])
def test_the_outputs_do_not_depend_on_how_the_input_is_packed(
    packed: Any, tmp_path: Path, plain: dict[str, bytes]
) -> None:
    """Two files, gzip, an array: byte for byte what the plain file gives."""
    replayed_to(tmp_path / "out", packed(tmp_path))

    assert outputs(tmp_path / "out") == plain


def test_standard_input_gives_the_same(
    tmp_path: Path, plain: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` reads it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(b"\n".join(LINES)))))

    replayed_to(tmp_path / "out", ["-"])

    assert outputs(tmp_path / "out") == plain


@pytest.mark.slow
def test_the_outputs_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    """Two processes whose strings hash differently write the same bytes, the report among them."""
    write_lines(tmp_path / "events.jsonl", LINES[:1200])
    for seed in ("1", "2"):
        flags = [part for name in ("verdicts", "graphlets", "outcomes", "examples", "report")
                 for part in (f"--{name}", f"{name}-{seed}")]  # fmt: skip
        subprocess.run(
            [sys.executable, "-m", "stream_app", "replay", "events.jsonl", "--budget", "0.2", *flags],
            cwd=tmp_path, env=os.environ | {"PYTHONHASHSEED": seed}, check=True, capture_output=True,
        )  # fmt: skip

    for name in ("verdicts", "graphlets", "outcomes", "examples", "report"):
        assert (tmp_path / f"{name}-1").read_bytes() == (tmp_path / f"{name}-2").read_bytes() != b""


def test_verdicts_are_those_of_the_detector(plain: dict[str, bytes]) -> None:
    """Every revision, in the order said, when examples are learned at once."""
    learner = Learner(SETTINGS.policy.budgets)
    detector = Detector(SETTINGS, learner)
    said = []
    for line in LINES:
        for output in detector.step(decode(line)):
            if type(output).__name__ == "Verdict":
                said.append(verdict_to_dict(output))  # type: ignore[arg-type]
            elif type(output).__name__ == "Example":
                learner.learn(output)  # type: ignore[arg-type]

    assert [orjson.loads(line) for line in plain["verdicts"].splitlines()] == said


def test_graphlets_have_their_documented_form_and_are_sorted(plain: dict[str, bytes]) -> None:
    """Ids, sorted members, outcome, cause, and the cost of each operator group in node-seconds."""
    told = [orjson.loads(line) for line in plain["graphlets"].splitlines()]
    names = ["graphlet", "pipeline", "run", "trainer", "up", "down", "side", "outcome", "cause", "cost"]

    assert all(list(graphlet) == names for graphlet in told)
    assert [graphlet["graphlet"] for graphlet in told] == sorted(graphlet["graphlet"] for graphlet in told)
    assert all(graphlet[side] == sorted(graphlet[side]) for graphlet in told for side in ("up", "down", "side"))
    detector = Detector(SETTINGS)
    for line in LINES:
        detector.step(decode(line))
    by_name = {record["graphlet"]: record for record in detector.graphlets()}
    assert len(told) == len(by_name)
    for graphlet in told:
        expected = by_name[graphlet["graphlet"]]["cost"]
        assert graphlet["cost"] == {group: node_ms / 1000 for group, node_ms in expected.items()}


def test_outcomes_are_those_of_the_graphlets_that_have_one(plain: dict[str, bytes]) -> None:
    """An open graphlet has none; the cause of a push is the push."""
    graphlets = [orjson.loads(line) for line in plain["graphlets"].splitlines()]
    outcomes = [orjson.loads(line) for line in plain["outcomes"].splitlines()]

    assert [outcome["graphlet"] for outcome in outcomes] == [
        graphlet["graphlet"] for graphlet in graphlets if graphlet["outcome"] != "open"
    ]
    by_name = {graphlet["graphlet"]: graphlet for graphlet in graphlets}
    for outcome in outcomes:
        graphlet = by_name[outcome["graphlet"]]
        assert outcome["pushed"] == {"pushed": True, "not_pushed": False, "pruned": None}[graphlet["outcome"]]
        assert outcome["cause"] == (graphlet["cause"] or graphlet["outcome"])


def test_evicted_graphlets_are_written_with_those_that_are_kept(tmp_path: Path) -> None:
    """A retention of a day forgets most of them along the way; all are in the file, each once and sorted."""
    file = write_lines(tmp_path / "events.jsonl", fleet_lines())
    short = Settings(horizon_ms=DAY_MS, retention_ms=DAY_MS, lateness_ms=0)

    found = replay([file], short, None, Sinks(graphlets=str(tmp_path / "graphlets")))

    names = [graphlet["graphlet"] for graphlet in map(orjson.loads, (tmp_path / "graphlets").read_bytes().splitlines())]
    detector = Detector(Settings())
    for line in fleet_lines():
        detector.step(decode(line))
    assert names == sorted(names)
    assert {str(record["graphlet"]) for record in detector.graphlets()} <= set(names)
    assert sum(each.graphlets for each in found.figures.outcomes) == len(names)


def test_bad_input_goes_to_the_dead_letters_and_changes_nothing_else(tmp_path: Path, plain: dict[str, bytes]) -> None:
    """Every kind of bad input, strewn among the events: each is told with its bytes, place and reason."""
    of_files = ("empty", "a list of events", "two objects")  # a message holds one event, a line any number
    bad = [each for each in BAD_INPUT if not {10, 0} & set(each.message) and each.name not in of_files]
    lines, places = [], {}
    for number, line in enumerate(LINES):
        if number % 10 == 5 and number // 10 < len(bad):
            lines.append(bad[number // 10].message)
            places[len(lines)] = bad[number // 10]
        lines.append(line)
    assert len(places) == len(bad) >= 40
    file = write_lines(tmp_path / "events.jsonl", lines)

    found = replayed_to(tmp_path / "out", [file])

    letters = records(tmp_path / "out", "dead_letters")
    assert [letter["place"] for letter in letters] == [f"{file}:{line}" for line in places]
    for letter, each in zip(letters, places.values(), strict=True):
        assert each.reason in str(letter["reason"])
    written = outputs(tmp_path / "out")
    assert written | {"dead_letters": b""} == plain
    assert sum(each.messages for each in found.figures.dead_letters) == len(bad)
    assert found.figures.events == len(LINES)


def test_a_file_without_any_event_is_an_error(tmp_path: Path) -> None:
    """Such as a log of something else: it names the place and the reason of the first message."""
    file = write_lines(tmp_path / "other.jsonl", [b'{"level":"info"}'] * 3)

    with pytest.raises(InputError, match=r"none of 3 messages is an event.*other.jsonl:1: time: missing"):
        replayed_to(tmp_path / "out", [file])


def test_another_format_than_asked_for_is_refused(tmp_path: Path) -> None:
    """`auto` tells formats apart by their keys; one that is not read here is named."""
    lineage = b'{"eventTime":"2026-03-01T00:00:00Z","eventType":"START","run":{},"job":{}}'
    file = write_lines(tmp_path / "events.jsonl", [*LINES[:10], lineage])

    found = replayed_to(tmp_path / "out", [file], source="native")

    assert [each.reason.split(":")[0] for each in found.figures.dead_letters] == ["time"]


def test_now_bounds_the_times_of_events_and_ends_the_input(tmp_path: Path) -> None:
    """Events more than a day later are refused; a run that hangs has reached its horizon by then."""
    event = {"time": "2026-03-01T00:00:00Z", "pipeline": "p", "run": "r",
             "execution": {"id": "t", "type": "Trainer", "state": "RUNNING"}}  # fmt: skip
    late = event | {"time": "2026-03-20T00:00:00Z", "execution": {"id": "u", "type": "Trainer", "state": "RUNNING"}}
    file = write_lines(tmp_path / "events.jsonl", [orjson.dumps(event), orjson.dumps(late)])

    replayed_to(tmp_path / "without", [file])
    replayed_to(tmp_path / "with", [file], now_ms=text_to_time("2026-03-17T00:00:00Z"))

    without = {(each["trainer"], each["cause"]) for each in records(tmp_path / "without", "graphlets")}
    assert without == {("t", "expired"), ("u", None)}
    assert [(each["trainer"], each["cause"]) for each in records(tmp_path / "with", "outcomes")] == [("t", "expired")]
    assert "a time not after 2026-03-18" in str(records(tmp_path / "with", "dead_letters")[0]["reason"])


def test_without_a_learner_there_are_graphlets_but_no_predictions(tmp_path: Path) -> None:
    """The ledger and the outcomes need no model."""
    file = write_lines(tmp_path / "events.jsonl", LINES)

    found = replay([file], Settings(), None)

    assert found.figures.compute.wasted > 0
    assert found.figures.stages == []
    assert found.figures.verdicts == []


def test_progress_is_told_by_events_and_bytes(tmp_path: Path) -> None:
    """Rising, and complete at the end."""
    file = write_lines(tmp_path / "events.jsonl", LINES)
    told: list[tuple[int, int]] = []

    def note(events: int, reading: MessageReader) -> None:
        told.append((events, reading.bytes_read))

    replay([file], Settings(), None, progress=note)

    assert told == sorted(told)
    assert len(told) == 3
    assert told[-1] == (len(LINES), os.path.getsize(file))


@pytest.mark.parametrize(
    ("sinks", "says"),
    [
        (Sinks(verdicts="events.jsonl"), "one of the files to be read"),
        (Sinks(verdicts="a", graphlets="./a"), "--verdicts writes there already"),
        (Sinks(examples="no/such/folder"), "cannot be written: no such file"),
        (Sinks(dead_letters="."), "cannot be written: is a directory"),
    ],
)
def test_outputs_that_cannot_be_are_refused(
    sinks: Sinks, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An input is never written to."""
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "events.jsonl", LINES[:10])

    with pytest.raises(OptionsError, match=says):
        replay(["events.jsonl"], Settings(), None, sinks)

    assert (tmp_path / "events.jsonl").read_bytes().count(b"\n") == 10


def test_the_figures_add_up(tmp_path: Path) -> None:
    """What is counted while reading equals what the files say."""
    found = replayed_to(tmp_path / "out", [write_lines(tmp_path / "events.jsonl", LINES)]).figures

    graphlets = records(tmp_path / "out", "graphlets")
    outcomes = {(each.outcome, each.cause): each.graphlets for each in found.outcomes}
    assert outcomes == Counter((each["outcome"], each["cause"]) for each in graphlets)
    verdicts = Counter((each["stage"], each["decision"]) for each in records(tmp_path / "out", "verdicts"))
    assert {(each.stage, each.decision): each.verdicts for each in found.verdicts} == verdicts
    examples = records(tmp_path / "out", "examples")
    pushed = {str(each["graphlet"]) for each in examples if each["trainer"] and each["pushed"]}
    budget = next(each for each in found.tradeoff.budgets if each.in_force)
    flagged = {
        str(each["graphlet"])
        for each in examples
        for stage in [*each["stages"], *each["inherited"]]  # type: ignore[misc]
        if SETTINGS.policy.budget in stage["flagged"]
    }
    assert budget.pushes == len(pushed)
    assert budget.pushes_flagged == len(pushed & flagged)
    waste = found.waste
    for parts in (waste.by_pipeline, waste.by_owner, waste.by_group, waste.by_cause, waste.by_group_and_cause):
        assert sum(each.wasted for each in parts) == pytest.approx(found.compute.wasted)
