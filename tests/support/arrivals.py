"""Hypothesis strategies for how the events of a log arrive."""

from __future__ import annotations

from hypothesis import strategies as st

from stream_app.core.events import Event


@st.composite
def shuffled(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The same events in another order."""
    return draw(st.permutations(events))


@st.composite
def duplicated(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The events shuffled, some of them several times."""
    again = draw(st.lists(st.sampled_from(events), min_size=1, max_size=len(events)))
    return draw(st.permutations([*events, *again]))


@st.composite
def late(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """The events in the order of their times, except those that a broken sender kept back until the end."""
    kept_back = draw(st.sets(st.integers(0, len(events) - 1), min_size=1))
    order = sorted(range(len(events)), key=lambda i: (events[i].time_ms, i))
    return [events[i] for i in order if i not in kept_back] + [events[i] for i in order if i in kept_back]


def any_arrival(events: list[Event]) -> st.SearchStrategy[list[Event]]:
    """In any of these ways, or as written."""
    return st.one_of(st.just(events), shuffled(events), duplicated(events), late(events))


def cuts(length: int) -> st.SearchStrategy[list[int]]:
    """Up to three places at which a log of that length is cut, rising."""
    return st.lists(st.integers(0, length), min_size=1, max_size=3).map(sorted)
