"""What people decide about a flag, with a token, on a real service: it is stored, it takes effect, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.times import text_to_time, time_to_text
from tests.support.flagged import Flagging, flagging, now_ms
from tests.web.served import JSON


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flagging]:
    """One service for all."""
    with flagging(tmp_path_factory.mktemp("acts")) as made:
        yield made


@pytest.mark.parametrize("act", ["keep", "wrong"])
def test_a_word_of_the_owner_ends_a_flag_and_the_run_goes_on(running: Flagging, act: str) -> None:
    """The flag is overridden, whoever asks is told to go on, and the audit log knows who decided it, and why."""
    flag = running.flag()

    answer = running.act(flag, act, "ann", reason=" it  matters\n")

    assert answer.status == 202
    time = answer.json.pop("time")
    given = {"flag": flag, "act": act, "value": True, "by": "ann-ci", "reason": "it matters"}
    assert {**answer.json, "time": time} == {**given, "time": time}
    ended = running.record(flag, lambda record: record["outcome"] == "overridden")
    assert ended["change"] == "resolved"
    run = flag.partition(":")[2]
    assert not running.ask("GET", f"/v1/should-prune?pipeline=p&run={run}").json["prune"]
    assert ("ann-ci", f"{act}: it matters", flag) in running.audit()


def test_a_word_can_be_taken_back(running: Flagging) -> None:
    """The run is then judged as before."""
    flag = running.flag()
    running.act(flag, "keep")
    running.record(flag, lambda record: record["outcome"] == "overridden")

    answer = running.act(flag, "keep", value=False)

    assert (answer.status, answer.json["value"]) == (202, False)
    assert running.audit()[0][1] == "not keep: it matters"
    running.post(running.rest(flag)[:1])
    assert running.record(flag, lambda record: record["change"] == "raised")


def test_a_run_is_prolonged_by_hours_from_when_it_may_be_stopped(running: Flagging) -> None:
    """Or until a time; the flag stays open, and its next record says so."""
    flag = running.flag()
    before = running.record(flag)
    stop_ms = text_to_time(before["ladder"]["stop_from"])

    answer = running.act(flag, "prolong", hours=2.5)

    until_ms = text_to_time(answer.json["until"])
    assert answer.status == 202
    assert until_ms >= stop_ms + 2.5 * HOUR_MS
    prolonged = running.record(flag, lambda record: record["revision"] > before["revision"])
    assert prolonged["ladder"]["stop_from"] == answer.json["until"]
    assert prolonged["change"] == "revised"
    later = time_to_text(now_ms() + 10 * DAY_MS)
    assert running.act(flag, "prolong", until=later).json["until"] == later


@pytest.mark.parametrize(
    ("act", "body", "field"),
    [
        ("keep", {"reason": None}, "reason"),
        ("keep", {"reason": ""}, "reason"),
        ("keep", {"reason": " \n\t"}, "reason"),
        ("keep", {"reason": 7}, "reason"),
        ("keep", {"reason": ["a"]}, "reason"),
        ("keep", {"reason": "x" * 1_001}, "reason"),
        ("keep", {"reason": "\u202e\u0000"}, "reason"),
        ("keep", {"value": "no"}, "value"),
        ("keep", {"value": None}, "value"),
        ("keep", {"value": 0}, "value"),
        ("keep", {"hours": 3}, "hours"),
        ("keep", {"by": "somebody else"}, "by"),
        ("wrong", {"until": "2030-01-01T00:00:00Z"}, "until"),
        ("prolong", {}, "until"),
        ("prolong", {"hours": 1, "until": "2030-01-01T00:00:00Z"}, "until"),
        ("prolong", {"hours": 0}, "hours"),
        ("prolong", {"hours": -1}, "hours"),
        ("prolong", {"hours": True}, "hours"),
        ("prolong", {"hours": "24"}, "hours"),
        ("prolong", {"hours": 24 * 14 + 1}, "hours"),
        ("prolong", {"hours": 1e308}, "hours"),
        ("prolong", {"until": "tomorrow"}, "until"),
        ("prolong", {"until": 1_900_000_000}, "until"),
        ("prolong", {"until": None}, "until"),
        ("prolong", {"until": "2020-01-01T00:00:00Z"}, "until"),
        ("prolong", {"until": "2099-01-01T00:00:00Z"}, "until"),
        ("prolong", {"value": False, "hours": 1}, "value"),
    ],
)
def test_what_is_not_as_it_should_be_changes_nothing(
    running: Flagging, open_flag: str, act: str, body: dict[str, Any], field: str
) -> None:
    """The answer names the field."""
    entries = len(running.audit())

    answer = running.act(open_flag, act, **body)

    assert (answer.status, answer.json["field"]) == (422, field), answer.body
    assert len(running.audit()) == entries
    assert running.record(open_flag)["change"] in ("raised", "revised")


@pytest.fixture(scope="module")
def open_flag(running: Flagging) -> str:
    """A flag that nobody may end."""
    return running.flag()


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), (b"{", 400), (b"[]", 422), (b"7", 422), (b"{" * 100, 400), (b" " * 20_000, 413)]
)
def test_a_body_that_is_none_is_refused(running: Flagging, open_flag: str, body: bytes, status: int) -> None:
    """Before anything is done."""
    assert running.ask("POST", f"/v1/flags/{open_flag}/keep", body).status == status


@pytest.mark.parametrize("content", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_form_of_another_site_is_refused(running: Flagging, open_flag: str, content: str) -> None:
    """A browser sends these without asking."""
    headers = {**JSON, "Authorization": "Bearer admin", "Content-Type": content}

    assert running.service.ask("POST", f"/v1/flags/{open_flag}/keep", b'{"reason": "x"}', headers).status == 415


@pytest.mark.parametrize(
    ("token", "status"),
    [("nobody", 401), ("reader", 403), ("bob", 403), ("only-q", 404), ("only-p", 202), ("ann", 202)],
)
def test_a_token_acts_on_what_it_sees_and_nothing_else(
    running: Flagging, open_flag: str, token: str, status: int
) -> None:
    """It needs the scope write, the owner of the run, and the pipeline."""
    assert running.act(open_flag, "prolong", token, hours=1).status == status


@pytest.mark.parametrize("flag", ["p/run:none", "p", "q/run:r0", "p/run:", "\u00e9/run:r", "x" * 3_000, "p%2Frun:r0"])
def test_there_is_no_such_flag(running: Flagging, flag: str) -> None:
    """It may be of another pipeline or misspelt."""
    answer = running.act(flag, "keep")

    assert (answer.status, answer.json["detail"]) == (404, "there is no such flag")


@pytest.mark.parametrize("act", ["keep", "wrong", "prolong"])
def test_a_flag_that_has_ended_says_how(running: Flagging, ended_flag: str, act: str) -> None:
    """Nothing is done to its run any more."""
    answer = running.act(ended_flag, act, **({"hours": 1} if act == "prolong" else {}))

    assert answer.status == 404
    assert answer.json["detail"].startswith("the flag is not open any more: pushed at 20")


@pytest.fixture(scope="module")
def ended_flag(running: Flagging) -> str:
    """A flag whose run was pushed."""
    return running.ended("pushes")


def test_twice_at_once_is_once(running: Flagging) -> None:
    """Both are answered, and the flag ends once."""
    flag = running.flag()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: running.act(flag, "keep").status, range(8)))

    assert set(answers) <= {202}
    ended = running.record(flag, lambda record: record["outcome"] == "overridden")
    running.act(flag, "keep", value=True)
    assert running.record(flag)["revision"] == ended["revision"]


def test_an_act_holds_after_a_restart(tmp_path: Path) -> None:
    """It is in the log before it is answered, as any event is."""
    with flagging(tmp_path) as first:
        flag = first.flag()
        assert first.act(flag, "keep").status == 202
    with flagging(tmp_path) as second:
        assert second.record(flag, lambda record: record["outcome"] == "overridden")
