"""The ladder of a pipeline, as people decide it: shown, set, cleared, and what follows for flags that are open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest

from stream_app.core.ladder import Ladder, LadderRule, Step
from stream_app.times import text_to_time
from tests.support.builders import started
from tests.support.flagged import Flagging, flagging
from tests.web.asked_workers import Fleet, beside_workers
from tests.web.served import Answer

HOUR_MS = 3_600_000
RULES = (
    LadderRule(Ladder(Step.WARN), "p", labels={"tier": "prod*"}),
    LadderRule(Ladder(Step.OBSERVE), "quiet-*"),
    LadderRule(Ladder(Step.ACT, between_ms=HOUR_MS)),
    LadderRule(Ladder(Step.WARN), "never-reached"),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flagging]:
    """One service for all."""
    with flagging(tmp_path_factory.mktemp("policies"), ladders=RULES) as made:
        yield made


def put(running: Flagging, pipeline: str = "p", token: str = "admin", **body: Any) -> Answer:
    """Sets a policy."""
    given = {"last": "warn", "reason": "a launch", **body}
    return running.ask("PUT", f"/v1/policies/{quote(pipeline, safe='')}", given, token)


def clear(running: Flagging, pipeline: str = "p", token: str = "admin", **query: str) -> Answer:
    """Clears a policy."""
    given = {"reason": "it is over", **query}
    return running.ask("DELETE", f"/v1/policies/{quote(pipeline, safe='')}?{urlencode(given)}", None, token)


def shown(running: Flagging, pipeline: str = "p", token: str = "admin") -> Answer:
    """What holds."""
    return running.ask("GET", f"/v1/policies/{quote(pipeline, safe='')}", None, token)


def test_the_settings_hold_where_nobody_has_decided(running: Flagging) -> None:
    """Those rules are shown that may hold for some run of the pipeline."""
    found = shown(running, "nobody-s").json

    assert (found["source"], found["ladder"], found["by"], found["time"]) == ("settings", None, None, None)
    assert [each["ladder"]["last"] for each in found["rules"]] == ["act"]
    assert [each["ladder"]["last"] for each in shown(running, "quiet-1").json["rules"]] == ["observe"]
    assert shown(running).json["rules"] == [
        {"pipeline": "p", "owner": "*", "labels": {"tier": "prod*"}, "ladder": Ladder(Step.WARN).to_dict()},
        {"pipeline": "*", "owner": "*", "labels": {}, "ladder": RULES[2].ladder.to_dict()},
    ]


def test_a_policy_holds_for_flags_that_are_open_and_is_shown_with_who_and_why(running: Flagging) -> None:
    """Until it is cleared; the audit log has both."""
    flag = running.flag()
    stop = running.record(flag)["ladder"]["stop_from"]

    answer = put(running, last="warn_twice", between_hours=3)

    assert answer.status == 200
    held = running.record(flag, lambda record: record["ladder"]["last"] == "warn_twice")
    assert held["ladder"]["stop_from"] is None
    assert text_to_time(held["ladder"]["warn_again"]) == text_to_time(held["raised"]) + 3 * HOUR_MS
    found = shown(running).json
    assert found == answer.json
    assert (found["source"], found["by"], found["reason"]) == ("act", "root", "a launch")
    assert found["ladder"] == {"last": "warn_twice", "between_hours": 3.0, "exempt_labels": [], "exempt_hours": ""}

    cleared = clear(running)

    assert cleared.status == 200
    assert running.record(flag, lambda record: record["ladder"]["last"] == "act")["ladder"]["stop_from"] == stop
    found = shown(running).json
    assert (found["source"], found["ladder"], found["by"], found["reason"]) == ("settings", None, "root", "it is over")
    changes = [entry for entry in running.audit() if entry[2] == "p"]
    assert changes[:2] == [("root", "clear policy: it is over", "p"), ("root", "policy warn_twice: a launch", "p")]


def test_all_of_a_ladder_can_be_set(running: Flagging) -> None:
    """For a pipeline with any name, also before its first event."""
    ladder = {
        "last": "act",
        "between_hours": 1.5,
        "exempt_labels": ["tier=prod*", "release=*"],
        "exempt_hours": "22:00-06:00 Europe/Berlin",
    }
    assert put(running, "team/\u00e9 1", **ladder).status == 200

    assert shown(running, "team/\u00e9 1").json["ladder"] == ladder


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"last": None}, "last"),
        ({"last": "stop"}, "last"),
        ({"last": ["warn"]}, "last"),
        ({"reason": ""}, "reason"),
        ({"reason": None}, "reason"),
        ({"between_hours": -1}, "between_hours"),
        ({"between_hours": 1e9}, "between_hours"),
        ({"between_hours": "soon"}, "between_hours"),
        ({"exempt_labels": "tier=prod"}, "exempt_labels"),
        ({"exempt_labels": ["tier"]}, ""),
        ({"exempt_labels": ["a=b,c=d"]}, "exempt_labels"),
        ({"exempt_labels": [7]}, "exempt_labels"),
        ({"exempt_hours": "at night"}, ""),
        ({"exempt_hours": "22:00-06:00 Mars/Olympus"}, ""),
        ({"exempt_hours": 7}, "exempt_hours"),
        ({"owner": "q"}, "owner"),
        ({"by": "eve"}, "by"),
    ],
)
def test_what_is_not_as_it_should_be_changes_nothing(running: Flagging, body: dict[str, Any], field: str) -> None:
    """The answer names the field where there is one."""
    before = shown(running).json

    answer = put(running, **body)

    assert (answer.status, answer.json.get("field", "")) == (422, field), answer.body
    assert shown(running).json == before


@pytest.mark.parametrize(
    ("token", "last", "status"),
    [
        ("nobody", "warn", 401),
        ("reader", "warn", 403),
        ("ann", "warn", 403),
        ("only-q", "warn", 404),
        ("only-p", "warn", 200),
        ("only-p", "observe", 200),
        ("only-p", "act", 403),
        ("admin", "act", 200),
    ],
)
def test_to_let_runs_be_stopped_is_for_administrators(running: Flagging, token: str, last: str, status: int) -> None:
    """The other steps for whoever may write and sees the pipeline; owners have a part of it alone."""
    assert put(running, token=token, last=last).status == status


def test_a_policy_is_cleared_by_administrators_where_the_settings_let_runs_be_stopped(running: Flagging) -> None:
    """By others where they do not."""
    put(running, "quiet-2")

    assert clear(running, token="only-p").status == 403
    assert clear(running, "quiet-2", token="only-q").status == 404
    assert clear(running, reason="").status == 422
    assert clear(running, why="x").status == 400
    assert clear(running, "quiet-2").status == 200


@pytest.mark.parametrize(("token", "status"), [("reader", 200), ("only-q", 404), ("ann", 200), ("nobody", 401)])
def test_a_policy_is_shown_to_whoever_sees_the_pipeline(running: Flagging, token: str, status: int) -> None:
    """And to nobody else."""
    assert shown(running, token=token).status == status


def test_beside_workers_the_one_that_has_the_pipeline_is_asked() -> None:
    """It answers as an embedded detector does, also of pipelines of which nothing is known yet."""
    fleet = Fleet().read([started(1, "train", "Trainer", run="r", pipeline="team/ads")])
    with beside_workers(fleet, 2) as service:
        before = service.get("/v1/policies/team%2Fads").json
        body = orjson.dumps({"last": "warn_twice", "between_hours": 2, "reason": "a launch"})
        made = [service.ask("PUT", f"/v1/policies/{name}", body) for name in ("team%2Fads", "new")]
        after = [service.get(f"/v1/policies/{name}") for name in ("team%2Fads", "new")]
        cleared = service.ask("DELETE", "/v1/policies/new?reason=over")
        last = service.get("/v1/policies/new").json

    assert (before["source"], before["ladder"]) == ("settings", None)
    assert [each.status for each in (*made, *after)] == [200] * 4
    assert [each.json for each in after] == [each.json for each in made]
    assert after[0].json["ladder"]["last"] == "warn_twice"
    assert last == cleared.json
    assert (last["source"], last["reason"]) == ("settings", "over")


def test_a_service_without_workers_says_so() -> None:
    """503: it can be asked again."""
    with beside_workers(Fleet(), 0, seconds=0.1) as service:
        assert service.get("/v1/policies/ads").status == 503
