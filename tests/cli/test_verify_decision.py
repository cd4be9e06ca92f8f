"""`stream-app explain --record` and `stream-app verify-decision`, one after the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from tests.support.commands import Ran
from tests.support.recorded import fleet_lines, write_lines

Run = Callable[..., Ran]


@pytest.fixture
def graphlet(run: Run, tmp_path: Path) -> str:
    """A graphlet of a history, which is in events.jsonl, with its examples log in examples.jsonl."""
    write_lines(tmp_path / "events.jsonl", fleet_lines()[:2_500])
    run("replay", "events.jsonl", "--examples", "examples.jsonl", "--verdicts", "verdicts.jsonl")
    last = Path("verdicts.jsonl").read_bytes().splitlines()[-1]
    return str(orjson.loads(last)["graphlet"])


def test_a_decision_is_recorded_and_verified(run: Run, graphlet: str) -> None:
    """A record that was changed is found out; a log that is too short is told."""
    recorded = run("explain", graphlet, "events.jsonl", "--record", "record.json")
    verified = run("verify-decision", "record.json", "examples.jsonl", "--json")
    record = orjson.loads(Path("record.json").read_bytes())
    record["baseline"] += 0.25
    Path("changed.json").write_bytes(orjson.dumps(record))
    changed = run("verify-decision", "changed.json", "examples.jsonl")
    Path("short.jsonl").write_bytes(b"".join(Path("examples.jsonl").read_bytes().splitlines(keepends=True)[:1]))
    short = run("verify-decision", "record.json", "short.jsonl")

    assert (recorded.code, verified.code) == (0, 0)
    assert verified.document["same"] is True
    assert (changed.code, changed.err.count("\n")) == (1, 1)
    assert "the probability is not that of the record" in changed.err
    assert (short.code, "the examples log has 1 records" in short.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["missing.json", "examples.jsonl"], "missing.json cannot be read"),
        (["events.jsonl", "examples.jsonl"], "is no record of a verdict"),
        (["list.json", "examples.jsonl"], "expected an object"),
        (["empty.json", "examples.jsonl"], "this is no record of a verdict"),
    ],
)
def test_what_is_no_record_is_one_line(run: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    for name, content in (
        ("events.jsonl", "{}\n{}\n"),
        ("list.json", "[]"),
        ("empty.json", "{}"),
        ("examples.jsonl", ""),
    ):
        (tmp_path / name).write_text(content)
    ran = run("verify-decision", *arguments)

    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert says in ran.err
