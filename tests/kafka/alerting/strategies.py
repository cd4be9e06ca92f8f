"""Flag records, and JSON that is nearly one, drawn by Hypothesis."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.messages import Fate, LogEntry
from tests.alerts.records import NOW, record

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
TIMES = st.integers(min_value=NOW, max_value=NOW + 10**9)


@st.composite
def flag_records(draw: st.DrawFn) -> FlagRecord:
    """A record with any names in it."""
    return record(
        draw(st.integers(min_value=1, max_value=1_000)),
        draw(st.sampled_from(Change)),
        draw(NAMES),
        owner=draw(st.text(st.characters(codec="utf-8"), max_size=12)),
        labels=draw(st.dictionaries(NAMES, NAMES, max_size=2)),
        run=draw(st.none() | NAMES),
        time_ms=draw(TIMES),
    )


def log_entries() -> st.SearchStrategy[LogEntry]:
    """An entry of the delivery log."""
    records = st.lists(NAMES, max_size=3).map(tuple)
    return st.builds(LogEntry, NAMES, st.sampled_from(Fate), TIMES, st.integers(0, 20), st.text(max_size=9), records)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


def places(value: Any) -> list[tuple[Any, ...]]:
    """The ways to all parts of a JSON value."""
    found: list[tuple[Any, ...]] = [()]
    each = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, inner in each:
        found += [(step, *rest) for rest in places(inner)]
    return found


def altered(value: Any, way: tuple[Any, ...], other: Any) -> Any:
    """A JSON value with another one in one place; `...` takes it out."""
    if not way:
        return None if other is ... else other
    made = dict(value) if isinstance(value, dict) else list(value)
    if other is ... and len(way) == 1:
        del made[way[0]]
    else:
        made[way[0]] = altered(made[way[0]], way[1:], other)
    return made
