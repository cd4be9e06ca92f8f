"""Fuzzing: kept inputs hold what they must, and one target is fuzzed for a minute.

The rest is of the runner: it finds what is wrong, says how to repeat it, and goes on where it was.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.fuzz import run
from tests.fuzz.targets import FOLDER, IN_TURN, TARGETS, corpus, target

SECONDS = 60


def turn() -> int:
    """The number of the commit, by which the same commit fuzzes the same; without git the day of the year."""
    command = ["git", "-C", str(FOLDER), "rev-list", "--count", "HEAD"]
    try:
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    except (OSError, subprocess.CalledProcessError):
        return time.gmtime().tm_yday


TURN = turn()


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_are_as_they_should_be(name: str) -> None:
    """Each of them once found new code, or a fault."""
    module = target(name)
    getattr(module, "prepare", lambda: None)()
    check = getattr(module, "replay", module.check)
    for path in corpus(name):
        try:
            check(path.read_bytes())
        except Exception as error:
            raise AssertionError(f"repeat it: python -m tests.fuzz.run {name} --repeat {path}") from error
    assert len(corpus(name)) > 10


@pytest.mark.parametrize("name", TARGETS)
def test_kept_inputs_are_small(name: str) -> None:
    """The repository does not grow with the hours."""
    assert sum(path.stat().st_size for path in corpus(name)) <= run.KEPT_BYTES


def runner(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.run", *arguments]
    return subprocess.run(command, cwd=run.ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [IN_TURN[TURN % len(IN_TURN)]])
def test_a_minute_of_fuzzing_finds_nothing(name: str, tmp_path: Path) -> None:
    """Each run of the tests takes another target, and the same again for the same commit."""
    done = runner(name, "--seconds", str(SECONDS), "--seed", str(TURN), "--folder", str(tmp_path))

    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    assert json.loads((tmp_path / "results.json").read_text())[name]["executions"] > 100


@pytest.mark.slow
def test_a_fault_is_found_kept_and_can_be_repeated(tmp_path: Path) -> None:
    """In a target with a fault of its own; one line says what to type."""
    found = runner("planted", "--seconds", "60", "--seed", "1", "--folder", str(tmp_path))
    (fault,) = (tmp_path / "planted" / "faults").iterdir()

    assert found.returncode == 1
    assert f"a fault; repeat it: python -m tests.fuzz.run planted --repeat {fault}\n" in found.stdout
    assert fault.read_bytes().startswith(b"{!")
    assert "the planted fault" in runner("planted", "--repeat", str(fault)).stderr


@pytest.mark.slow
def test_a_run_goes_on_where_another_ended(tmp_path: Path) -> None:
    """With its inputs, and with the sum of what both did."""
    before = tmp_path / "stores" / "inputs" / "of-another-run"
    before.parent.mkdir(parents=True)
    before.write_bytes(next(target("stores").seeds()))
    (tmp_path / "results.json").write_text('{"stores": {"seconds": 100, "executions": 7000}}')

    assert runner("stores", "--seconds", "1", "--folder", str(tmp_path)).returncode == 0
    after = json.loads((tmp_path / "results.json").read_text())["stores"]
    assert after["executions"] > 7000
    assert after["seconds"] > 100
    assert before.exists()


def test_without_the_fuzzer_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the exit code is not that of success: no run of the tests takes it for one."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert run.main(["stores", "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr().out.splitlines() == [
        "atheris is not installed, without which nothing is fuzzed: make test installs it on Linux on x86_64"
    ]
