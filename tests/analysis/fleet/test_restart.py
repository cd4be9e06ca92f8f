"""What is evicted stays in the sums over restarts, and what is stored of it is bounded and checked."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.analysis.fleet import fleet_rows
from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.fleet_rows import FLEET
from stream_app.analysis.fleet.frozen_cells import OLDER, OTHER, TYPES_MAX, WEEKS_MAX, FrozenCells
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.units import DAY_MS
from stream_app.errors import StateError
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode

EVENTS = [decode(orjson.dumps(event)) for event in Fleet(FleetOptions(pipelines=3, days=40, seed=3)).events()]
OPTIONS = Settings(horizon_ms=2 * DAY_MS, lateness_ms=1 * DAY_MS, retention_ms=4 * DAY_MS)
LABELS = ("owner",)


class Life:
    """A detector with its analysis, whose rows are stored together."""

    def __init__(self, rows: dict[bytes, bytes]) -> None:
        self.rows = rows
        own = {key: row for key, row in rows.items() if not key.startswith(FLEET)}
        self.detector = Detector.load(OPTIONS, own)
        self.analysis = FleetAnalysis(label_names=LABELS)
        self.analysis.load(rows)
        self.detector.follow(self.analysis)

    def save(self) -> dict[bytes, bytes]:
        """All rows, after those that have changed were stored."""
        for key, row in (*self.detector.take_rows(), *self.analysis.take_rows()):
            if row is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = row
        return self.rows


def figures(life: Life) -> dict[str, Any]:
    """Everything that figures are made of."""
    return {
        name: (each.cells, each.since, each.redundancy.figures(), each.first_ms, each.last_ms, each.labels)
        for name, each in life.analysis.pipelines().items()
    }


def lived(events: list[Event], cuts: set[int]) -> Life:
    life = Life({})
    for number, event in enumerate(events):
        if number in cuts:
            life = Life(life.save())
        life.detector.step(event)
    return life


@pytest.fixture(scope="module")
def whole() -> dict[str, Any]:
    """The figures of one life."""
    return figures(lived(EVENTS, set()))


@pytest.mark.slow
@settings(max_examples=12)
@given(cuts=st.sets(st.integers(1, len(EVENTS) - 1), min_size=1, max_size=4))
def test_restarts_change_nothing(whole: dict[str, Any], cuts: set[int]) -> None:
    """Wherever the process ended: sums, what was spent since the last push, redundant work, and owners."""
    assert figures(lived(EVENTS, cuts)) == whole


def test_what_is_too_long_for_a_row_is_in_several(whole: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are not needed any more are dropped."""
    numbers, life = [], lived(EVENTS[:9_000], {6_000})
    for characters in (700, 300_000, 2_000):
        monkeypatch.setattr(fleet_rows, "PART_CHARACTERS", characters)
        life = Life(life.save())
        for each in life.analysis.pipelines().values():
            each.is_unsaved = True
        rows = life.save()
        numbers.append(sum(key.startswith(FLEET + b"part") for key in rows))
        assert all(len(row) < 2 * characters for key, row in rows.items() if key.startswith(FLEET + b"part"))
    for event in EVENTS[9_000:]:
        life.detector.step(event)

    assert numbers[1] == 0 < numbers[2] < numbers[0]
    assert figures(life) == whole


def test_most_has_been_evicted() -> None:
    """Or restarts would prove nothing."""
    life = lived(EVENTS, {len(EVENTS) // 2})
    figures(life)

    for each in life.analysis.pipelines().values():
        frozen = sum(cell.counters.get("pairs", 0) for cell in each.frozen.cells.values())
        assert frozen > 3 * len(each.pipeline.graphlets)
        assert each.redundancy.to_row()["sums"]
    assert life.analysis.take_rows()


def test_rows_are_written_after_an_eviction_alone() -> None:
    """An event costs no row of the analysis."""
    life = lived(EVENTS[:9_000], set())
    life.save()

    life.detector.step(EVENTS[9_000])

    assert life.analysis.take_rows() == []


def test_weeks_and_model_types_of_the_past_are_bounded() -> None:
    """Of evicted work 54 weeks are told apart, and 16 model types a week; nothing is lost."""
    frozen = FrozenCells()
    for week in range(1_000, 1_200):
        for model_type in ("", *(f"type{number:02}" for number in range(40))):
            frozen.add((week, model_type), _count, lambda place: place)
        frozen.fold(week)

    weeks = {week for week, _ in frozen.cells}
    types = {model_type for _, model_type in frozen.cells}
    assert weeks == {OLDER, *range(1_200 - WEEKS_MAX, 1_200)}
    assert types == {"", OTHER, *(f"type{number:02}" for number in range(TYPES_MAX))}
    assert len(frozen.cells) == (WEEKS_MAX + 1) * (TYPES_MAX + 2)
    assert sum(cell.counters["runs"] for cell in frozen.cells.values()) == 200 * 41


def _count(cell: Cell, _: object, sign: int) -> None:
    cell.count("runs", sign)


def test_a_folded_week_is_dropped_from_what_is_stored() -> None:
    """Its cell is merged into that of all older weeks, which is stored instead."""
    frozen = FrozenCells()
    frozen.add((1_000, ""), _count, lambda place: place)
    frozen.fold(1_000)
    assert dict(frozen.take_changed()).keys() == {(1_000, "")}

    frozen.fold(1_000 + WEEKS_MAX)

    assert dict(frozen.take_changed()) == {(1_000, ""): None, (OLDER, ""): Cell({"runs": 1})}
    assert dict(frozen.take_changed()) == {}


def _stored(part: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """The rows of a life, and the key of one of them."""
    rows = dict(_ROWS) if _ROWS else lived(EVENTS[:9_000], set()).save()
    _ROWS.update(rows)
    return rows, next(key for key in rows if key.startswith(FLEET + part))


_ROWS: dict[bytes, bytes] = {}


@pytest.mark.parametrize(
    "row",
    [
        b"", b"{", b"\xff", b"[1]", b"[1, 2, 3]", b"null", b"7", b'[2, {}]', b'["1", {}]', b"[1, null]", b"[1, []]",
        b"[1, {}]", b"[1, 3]", b'[1, "x"]', b'[1, [{"runs": "x"}, {}]]', b'[1, [{}, {"depth": 4}]]', b"[1, [[], []]]",
        b'[1, [{"runs": null}, {}]]', b'[1, [{}, {"depth": [[1]]}]]',
    ],
)  # fmt: skip
@pytest.mark.parametrize("part", [b"cell", b"head"])
def test_a_row_that_cannot_be_read_is_named_in_one_line(part: bytes, row: bytes) -> None:
    """As other rows of the state."""
    rows, key = _stored(part)

    with pytest.raises(StateError) as refused:
        Life(rows | {key: row})

    assert len(str(refused.value).splitlines()) == 1
    assert "analysis" in str(refused.value)


PARTS = ("first_ms", "labels", "order", "left", "runs", "redundancy", "held")
VALUES = (None, 7, "text", {"a": 1}, [[]])
#: What a part may be.
RIGHT = [("first_ms", 7), ("left", {"a": 1})]


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name in PARTS for value in VALUES if (name, value) not in RIGHT]
)
def test_a_part_that_cannot_be_read_is_named_in_one_line(name: str, value: object) -> None:
    """Each part of what is stored of a pipeline."""
    rows, key = _stored(b"head")
    version, head = orjson.loads(rows[key])

    with pytest.raises(StateError, match=r"the analysis of pipeline '.*' cannot be read"):
        Life(rows | {key: orjson.dumps([version, head | {name: value}])})


def test_a_later_version_is_refused() -> None:
    rows, key = _stored(b"head")

    with pytest.raises(StateError, match="has version 9, not 1"):
        Life(rows | {key: b"[9, {}]"})


def test_graphlets_beyond_the_bound_count_once_while_they_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """They leave the order before the detector lets go of them; what comes for them later changes nothing."""
    whole = {name: _graphlets(each[0]) for name, each in figures(lived(EVENTS[:12_000], set())).items()}
    monkeypatch.setattr("stream_app.analysis.fleet.order.ORDER_MAX", 5)

    bounded = lived(EVENTS[:12_000], set())
    restarted = lived(EVENTS[:12_000], {7_000, 11_000})

    assert any(len(each.pipeline.graphlets) > 20 for each in bounded.analysis.pipelines().values())
    found = figures(bounded)
    assert {name: _graphlets(each[0]) for name, each in found.items()} == whole
    assert figures(restarted) == found


def _graphlets(cells: dict[tuple[int, str], Cell]) -> int:
    return sum(
        amount for cell in cells.values() for name, amount in cell.counters.items() if name.startswith("outcome:")
    )
