"""The runner of rows, and that the checks of rows find what they are for."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from stream_app.core.detector import Detector
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources import native
from tests.reliability.__main__ import ROWS, go_on, read
from tests.reliability.invariants import legal
from tests.reliability.soak_figures import Sample, not_flat
from tests.reliability.steady import SETTINGS, check_steady


def row(run: Any) -> Any:
    return SimpleNamespace(NAME="counts", run=run)


def counting(begun: list[int], stop_at: int | None = None) -> Any:
    """A row that counts, notes from where, and is interrupted at some number."""

    def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
        begun.append(so_far.get("count", 0))
        for number in range(so_far.get("count", 0) + 1, amount + 1):
            if number == stop_at:
                raise KeyboardInterrupt
            (work / "kept").touch()
            yield {"count": number}

    return row(run)


def test_a_row_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    """From its stored progress and with its files, which are deleted when it is done."""
    results, begun = tmp_path / "results.json", []
    with pytest.raises(KeyboardInterrupt):
        go_on("T0", counting(begun, stop_at=4), 6, results, "the command")
    interrupted, kept = read(results)["T0"], (tmp_path / "results.work" / "T0" / "kept").exists()
    broken = go_on("T0", counting(begun), 6, results, "the command")
    done = read(results)["T0"]

    assert begun == [0, 3]
    assert (interrupted["done"], interrupted["progress"], kept) == (False, {"count": 3}, True)
    assert (done["done"], done["progress"], done["amount"], broken) == (True, {"count": 6}, 6, [])
    assert [start["command"] for start in done["starts"]] == ["the command"] * 2
    assert not (tmp_path / "results.work" / "T0").exists()


def test_rows_share_a_file(tmp_path: Path) -> None:
    """Each stores its own and leaves the others'."""
    results = tmp_path / "results.json"
    for name in ("T0", "T00"):
        go_on(name, counting([]), 2, results, name)

    assert {name: stored["progress"] for name, stored in read(results).items()} == {
        "T0": {"count": 2},
        "T00": {"count": 2},
    }


def test_what_broke_is_stored_and_not_forgotten(tmp_path: Path) -> None:
    """A promise that a row tells is kept with one that ended it, also when the row goes on later."""

    def run(_: Path, so_far: dict[str, Any], __: int) -> Iterator[dict[str, Any]]:
        yield {"broken": ["late"]}
        if not so_far:
            raise AssertionError("I3: one graphlet differs")

    results = tmp_path / "results.json"
    first = go_on("T0", row(run), 1, results, "")
    done = read(results)["T0"]["done"]
    second = go_on("T0", row(run), 1, results, "")

    assert first == second == ["late", "I3: one graphlet differs"]
    assert (done, read(results)["T0"]["done"]) == (False, True)


@pytest.mark.parametrize("name", ROWS)
def test_every_row_can_be_run(name: str) -> None:
    """Its module has what the runner needs."""
    module = importlib.import_module(f"tests.reliability.{ROWS[name]}")

    assert callable(module.run)
    assert module.AMOUNT > 0
    assert "\n" not in module.NAME
    assert str(module.__doc__).startswith(f"{name}: ")


def test_flags_are_raised_and_ended_in_turn() -> None:
    """Only such orders of alerts are legal."""
    orders = itertools.product(("raised", "revised", "withdrawn", "resolved"), repeat=2)

    assert [order for order in orders if legal(order)] == [
        ("raised", "revised"), ("raised", "withdrawn"), ("raised", "resolved"),
    ]  # fmt: skip


def test_the_oracle_of_forgotten_fleets_misses_no_lost_event() -> None:
    """Equal to a detector that has seen all; not to one that missed an event that it still holds."""
    messages = [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=1, days=6, seed=4)).events()]
    ended = [n for n, m in enumerate(messages) if b'"Trainer"' in m and b'"COMPLETE"' in m][-4]

    def rows(kept: list[bytes]) -> list[dict[bytes, bytes]]:
        detector = Detector(SETTINGS, None, keep_rows=True)
        for message in kept:
            detector.step(native.decode(message))
        return [{key: value for key, value in detector.take_rows() if value is not None}]

    assert check_steady(rows(messages), messages) > 5
    with pytest.raises(AssertionError, match=r"^\d+ differ\nI"):
        check_steady(rows(messages[:ended] + messages[ended + 1 :]), messages)


def life(mib_per_hour: float, files_per_hour: float = 0, started: float = 0) -> list[Sample]:
    """Half an hour of a process."""
    return [
        {
            "process": "worker",
            "started": started,
            "at": started + second,
            "mib": 100 + mib_per_hour * second / 3600,
            "files": int(20 + files_per_hour * second / 3600),
            "series": 50,
        }
        for second in range(0, 1800, 5)
    ]


@pytest.mark.parametrize(
    ("samples", "told"),
    [
        ([*life(1), *life(1, started=1800)], []),
        (life(20), ["I8: worker 0 grows by 20.0 MiB an hour"]),
        (life(0, files_per_hour=20), ["I8: worker 0 has 29 files"]),
        ([*life(1), *life(20, started=1800)], ["I8: worker 1 grows by 20.0 MiB an hour"]),
    ],
)
def test_what_grows_is_told(samples: list[Sample], told: list[str]) -> None:
    """Of each process by itself, after its warm-up."""
    found = not_flat(samples)

    assert [line.split(",")[0] for line in found] == told
