"""Native events over HTTP: what other programs of ours, and those that speak no OpenLineage, send."""

from __future__ import annotations

from pathlib import Path

import orjson

from stream_app.core import acts
from stream_app.core.acts import ActOn
from stream_app.core.ladder import Ladder
from stream_app.wire import event_to_dict
from tests.support.builders import T0, artifact, ran, run_ended
from tests.web.served import embedded_service
from tests.web.test_http import applied, stored

ONE, BATCH = "/v1/events", "/v1/events/batch"
EVENTS = [
    event_to_dict(event)
    for event in (
        *ran(0, "t", "Trainer", writes=["m"]),
        *ran(20, "d", "Pusher", reads=["m"], writes=[artifact("live", pushed=True)]),
        run_ended(40),
    )
]


def test_they_become_graphlets(tmp_path: Path) -> None:
    """One by one and as an array."""
    with embedded_service(tmp_path / "log") as service:
        first = service.post(orjson.dumps(EVENTS[0]), ONE)
        rest = service.post(orjson.dumps(EVENTS[1:]), BATCH)
        applied(service)
        found = service.get("/v1/graphlets/p/t").json

    assert (first.status, rest.status, rest.json["summary"]["successful"]) == (201, 200, len(EVENTS) - 1)
    assert (found["graphlet"]["down"], found["outcome"]["pushed"]) == (["d"], True)


def test_what_is_none_is_refused_with_the_field(tmp_path: Path) -> None:
    """In an array the others are kept."""
    wrong = {key: value for key, value in EVENTS[0].items() if key != "time"}
    with embedded_service(tmp_path / "log") as service:
        refused = service.post(orjson.dumps(wrong), ONE)
        partly = service.post(orjson.dumps([wrong, EVENTS[0]]), BATCH)

    assert refused.status == 422
    assert refused.json["detail"].startswith("time: missing")
    assert [failed["index"] for failed in partly.json["failed_events"]] == [0]
    assert stored(tmp_path / "log") == [orjson.dumps(EVENTS[0])]


def test_acts_of_people_are_refused(tmp_path: Path) -> None:
    """Whoever may report events must not be able to keep runs, or to set what flags lead to."""
    forged = [
        event_to_dict(acts.keep(ActOn("p", run="r1"), "mallory", "", T0)),
        event_to_dict(acts.policy("p", Ladder(), "mallory", "", T0)),
        {**EVENTS[0], "execution": {"id": "stream_app.Wrong/run:r1", "type": "Trainer", "state": "RUNNING"}},
    ]
    with embedded_service(tmp_path / "log") as service:
        refused = [service.post(orjson.dumps(each), ONE) for each in forged]
        partly = service.post(orjson.dumps([*forged, EVENTS[0]]), BATCH)

    assert [each.status for each in refused] == [422] * 3
    assert "which only the API of flags takes" in refused[0].json["detail"]
    assert [failed["index"] for failed in partly.json["failed_events"]] == [0, 1, 2]
    assert stored(tmp_path / "log") == [orjson.dumps(EVENTS[0])]
