"""The ladder of a pipeline from the terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from stream_app.core.ladder import Ladder, LadderRule, Step
from tests.support.commands import Run
from tests.support.flagged import Flagging, flagging

RULES = (LadderRule(Ladder(Step.WARN), "p", labels={"tier": "prod*"}), LadderRule(Ladder(Step.ACT, 5_400_000), "p"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flagging]:
    """One service for all."""
    with flagging(tmp_path_factory.mktemp("policy"), ladders=RULES) as made:
        yield made


@pytest.fixture(autouse=True)
def _asked(running: Flagging, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address and the token of the service are in the environment."""
    monkeypatch.setenv("STREAM_APP_URL", running.service.url)
    monkeypatch.setenv("STREAM_APP_TOKEN", "admin")


def test_a_policy_is_set_shown_and_cleared(run: Run) -> None:
    """With who decided it, and why."""
    words = [
        "--last",
        "act",
        "--between-hours",
        "2",
        "--exempt-label",
        "tier=prod*",
        "--exempt-hours",
        "22:00-06:00 UTC",
    ]
    ran = run("policy", "set", "ads", *words, "--reason", "a launch")

    says = "ads: act, 2 h between steps, not runs with tier=prod*, not within 22:00-06:00 UTC"
    assert (ran.code, ran.out.splitlines()[0]) == (0, says)
    shown = run("policy", "show", "ads").out.splitlines()
    assert shown[0] == says
    assert shown[1].startswith("decided by root at 20")
    assert shown[1].endswith("Z: a launch")
    assert json.loads(run("policy", "show", "ads", "--json").out)["ladder"]["last"] == "act"
    assert run("policy", "clear", "ads", "--reason", "it is over").out.splitlines()[0] == "ads: as the settings say"


def test_the_settings_are_shown_where_they_hold(run: Run) -> None:
    """Rule by rule; without one that holds for all runs the last is to act at once."""
    assert run("policy", "show", "p").out.splitlines() == [
        "p: as the settings say",
        "  runs of tier=prod*: warn",
        "  runs: act, 1.5 h between steps",
    ]
    assert run("policy", "show", "q").out.splitlines() == ["q: as the settings say", "  runs: act, at once"]


@pytest.mark.parametrize(
    ("token", "arguments", "code", "says"),
    [
        ("admin", ["set", "p"], 2, "missing option '--last'"),
        ("admin", ["set", "p", "--last", "warn"], 2, "missing option '--reason'"),
        ("admin", ["set", "p", "--last", "stop", "--reason", "x"], 2, "invalid value for '--last'"),
        ("admin", ["set", "p", "--last", "warn", "--reason", ""], 1, "reason: expected why"),
        (
            "admin",
            ["set", "p", "--last", "warn", "--reason", "x", "--exempt-hours", "night"],
            1,
            "expected hours and a time zone",
        ),
        ("admin", ["set", "p", "--last", "warn", "--reason", "x", "--exempt-label", "tier"], 1, "'tier'"),
        ("admin", ["clear", "p"], 2, "missing option '--reason'"),
        ("only-p", ["set", "p", "--last", "act", "--reason", "x"], 1, "the scope admin to let runs be stopped"),
        ("only-p", ["show", "q"], 1, "there is no such pipeline"),
        ("nobody", ["show", "p"], 1, "set STREAM_APP_TOKEN"),
    ],
)
def test_what_is_refused_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, token: str, arguments: list[str], code: int, says: str
) -> None:
    """1 where the service refuses it, 2 for wrong use."""
    monkeypatch.setenv("STREAM_APP_TOKEN", token)
    ran = run("policy", *arguments)

    assert ran.code == code
    assert len(ran.err.splitlines()) == 1
    assert says in ran.err
