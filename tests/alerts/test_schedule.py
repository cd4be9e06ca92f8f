"""The earliest is done first, whatever was changed meanwhile."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.schedule import Schedule

NAMES, TIMES = st.sampled_from("abcd"), st.none() | st.integers(0, 5)


@given(st.lists(st.tuples(NAMES, TIMES) | st.just("pop"), max_size=40))
def test_it_behaves_as_a_table_of_times(steps: list[tuple[str, int | None] | str]) -> None:
    """Each name has the time that it was given last, once."""
    schedule, table = Schedule(), dict[str, int]()
    for step in steps:
        if isinstance(step, tuple):
            name, time_ms = step
            schedule.set(name, time_ms)
            table.pop(name, None)
            if time_ms is not None:
                table[name] = time_ms
        elif schedule.first_ms() is not None:
            first = min(table.values())
            assert schedule.first_ms() == first
            assert table.pop(schedule.pop()) == first
        assert schedule.first_ms() == min(table.values(), default=None)

    assert {schedule.pop(): None for _ in iter(schedule.first_ms, None)}.keys() == table.keys()


def test_what_was_put_off_and_back_is_there_once() -> None:
    """Though its first entry was never taken out."""
    schedule = Schedule()
    for time_ms in (1, 9, 1):
        schedule.set("a", time_ms)

    assert (schedule.first_ms(), schedule.pop(), schedule.first_ms()) == (1, "a", None)
