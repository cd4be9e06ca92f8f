"""Decisions on flags from the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.commands import Run
from tests.support.flagged import Flagging, flagging


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flagging]:
    """One service for all."""
    with flagging(tmp_path_factory.mktemp("acts")) as made:
        yield made


@pytest.fixture(autouse=True)
def _asked(running: Flagging, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address and the token of the service are in the environment."""
    monkeypatch.setenv("STREAM_APP_URL", running.service.url)
    monkeypatch.setenv("STREAM_APP_TOKEN", "admin")


@pytest.mark.parametrize("act", ["keep", "wrong"])
def test_a_run_is_kept_by_the_id_of_its_flag(running: Flagging, run: Run, act: str) -> None:
    """One line says what was done, for what reason, and who did it."""
    flag = running.flag()

    ran = run("flags", act, flag, "--reason", "the launch")

    assert ran.code == 0
    done = {"keep": "kept", "wrong": "called wrong"}[act]
    assert ran.out.startswith(f"{flag} is {done}: the launch (root, 20")
    assert running.record(flag, lambda record: record["outcome"] == "overridden")
    undone = run("flags", act, flag, "--reason", "no launch", "--undo")
    assert undone.out.startswith(f"{flag} is no longer {done}: no launch (root, 20")


def test_a_run_may_be_named_by_its_pipeline_and_itself(running: Flagging, run: Run) -> None:
    """Where the id of a flag is awkward; --json prints one document."""
    flag = running.flag()

    ran = run(
        "flags", "prolong", flag.partition("run:")[2], "--pipeline", "p", "--hours", "3", "--reason", "x", "--json"
    )

    made = json.loads(ran.out)
    assert (ran.code, made["flag"], made["act"]) == (0, flag, "prolong")
    assert running.record(flag, lambda record: record["ladder"]["stop_from"] == made["until"])


def test_a_time_may_be_given(running: Flagging, run: Run) -> None:
    """One that is past is refused by the service."""
    flag = running.flag()

    ran = run("flags", "prolong", flag, "--until", "2020-01-01T00:00:00Z", "--reason", "x")

    assert (ran.code, ran.err.strip()) == (1, "stream-app: until: expected a time that is still to come")


def test_messages_about_a_flag_are_held_or_stopped(running: Flagging, run: Run) -> None:
    """Of a subscription, or of all of an owner."""
    flag = running.flag()

    snoozed = run("flags", "snooze", flag, "--hours", "8", "--reason", "tomorrow", "--subscription", "hook")
    muted = run("flags", "mute", flag.partition("run:")[2], "--pipeline", "p", "--owner", "ann", "--reason", "known")

    assert snoozed.out.startswith(f"{flag} is snoozed until 20")
    assert " for hook: tomorrow (root, 20" in snoozed.out
    assert muted.out.startswith(f"{flag} is muted for hook: known (root, 20")
    assert running.record(flag)["change"] == "raised"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["keep"], 2, "missing argument 'FLAG'"),
        (["keep", "p/run:r0"], 2, "missing option '--reason'"),
        (["keep", "", "--reason", "x"], 2, "expected the id of a flag"),
        (["keep", "p/run:none", "--reason", "x"], 1, "there is no such flag"),
        (["keep", "none", "--pipeline", "p", "--reason", "x"], 1, "there is no such flag"),
        (["keep", "..", "--reason", "x"], 1, "there is no such flag"),
        (["keep", "p/run:none", "--reason", ""], 1, "reason: expected why"),
        (["keep", "p/run:none", "--reason", "x", "--hours", "3"], 2, "no such option: --hours"),
        (["prolong", "p/run:none", "--reason", "x"], 2, "either --hours or --until"),
        (["prolong", "p/run:none", "--reason", "x", "--hours", "1", "--until", "x"], 2, "either --hours or --until"),
        (["prolong", "p/run:none", "--reason", "x", "--hours", "many"], 2, "invalid value for '--hours'"),
        (["prolong", "p/run:none", "--reason", "x", "--hours", "1000"], 1, "hours: expected a number"),
        (["snooze", "p/run:none", "--reason", "x"], 2, "either --hours or --until"),
        (["mute", "p/run:none", "--reason", "x", "--owner", "a", "--subscription", "b"], 2, "not both"),
        (["mute", "p/run:none", "--reason", "x"], 1, "there is no such flag"),
        (["stop", "p/run:r0"], 2, "no such command 'stop'"),
    ],
)
def test_what_is_refused_is_one_line(run: Run, arguments: list[str], code: int, says: str) -> None:
    """1 where the service refuses it, 2 for wrong use."""
    ran = run("flags", *arguments)

    assert ran.code == code
    assert len(ran.err.splitlines()) == 1
    assert says in ran.err


def test_a_flag_that_has_ended_is_told_from_one_that_never_was(running: Flagging, run: Run) -> None:
    """By either of its names."""
    flag = running.ended("pushes")

    for named in ([flag], [flag.partition("run:")[2], "--pipeline", "pushes"]):
        ran = run("flags", "keep", *named, "--reason", "x")
        assert ran.code == 1
        assert "the flag is not open any more: pushed" in ran.err


def test_flags_are_still_shown(running: Flagging, run: Run) -> None:
    """Without one of the commands."""
    flag = running.flag()

    assert flag.partition("run:")[2] in run("flags", "--open", "--pipeline", "p").out
    assert "Example:  stream-app flags keep" in run("flags", "keep", "--help").out
    assert {"keep", "wrong", "prolong"} <= set(run("flags", "--help").out.split())
