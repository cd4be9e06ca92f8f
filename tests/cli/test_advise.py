"""`stream-app advise` at its edges."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.commands import Ran
from tests.support.recorded import fleet_lines, write_lines

Run = Callable[..., Ran]


@pytest.fixture
def history(tmp_path: Path) -> str:
    write_lines(tmp_path / "events.jsonl", fleet_lines()[:3_000])
    return "events.jsonl"


def test_the_first_line_is_what_to_do_next(run: Run, history: str) -> None:
    """The evidence is below it; the JSON has both."""
    ran = run("advise", history)
    document = run("advise", history, "--json").document

    first, *evidence = ran.out.splitlines()
    assert ran.code == 0
    assert first == document["next"]
    assert first.startswith(("observe", "look at flags", "warn at", "act on", "report executions"))
    assert all(line.startswith("  ") for line in evidence)
    assert document["advice"]["evidence"]["in_force"] in (True, False)


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--canary", "p"], 2, "--canary and --since go together"),
        (["--since", "2026-01-05"], 2, "--canary and --since go together"),
        (["--control", "p"], 2, "--control with them"),
        (["--canary", "nobody", "--since", "2026-01-05"], 2, "there is no pipeline 'nobody' in these events"),
        (["--canary", "nobody", "--since", "soon"], 2, "expected a day such as 2026-03-02"),
        (["--budget", "much"], 2, "budget"),
    ],
)
def test_wrong_use_is_one_line(run: Run, history: str, flags: list[str], code: int, says: str) -> None:
    ran = run("advise", history, *flags)

    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err
    assert "Traceback" not in ran.err


def test_a_history_of_nothing_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    ran = run("advise", "empty.jsonl")

    assert ran.code == 1
    assert "there are no events" in ran.err
