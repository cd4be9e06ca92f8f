"""The owner of a pipeline: what events name holds before the list of owners."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from stream_app.analysis.attribution import Attribution
from stream_app.core.detector import Settings
from stream_app.core.events import Event, Scalar
from stream_app.owners import OwnerRule, Owners
from stream_app.replay.replay import Replay
from stream_app.replay.sinks import Sinks, SinkWriter
from stream_app.report.page import page
from tests.support.builders import DAY, T0, happened

LIST = Owners(
    [
        OwnerRule("ads", "ads-*", team="Ads ranking", address="ads@example.com"),
        OwnerRule("search", labels={"cost_center": "4711"}),
    ]
)


def failed(pipeline: str, **properties: Scalar) -> list[Event]:
    """A training that failed after an hour."""
    return [
        happened(0, "t", "Trainer", "RUNNING", pipeline=pipeline, properties=properties),
        happened(60, "t", "Trainer", "FAILED", pipeline=pipeline),
    ]


def test_events_hold_before_the_list(tmp_path: Path) -> None:
    """The list fills in what no event told, by name or by a label; figures, report and examples have the same owner."""
    examples = tmp_path / "examples.jsonl"
    settings = Settings()
    with SinkWriter(Sinks(examples=str(examples))) as writing:
        replay = Replay(settings, settings.learner(), writing, Attribution(owners=LIST))
        for each in [
            *failed("ads-told", owner="video"),
            *failed("ads-silent"),
            *failed("web", cost_center=4711),
            *failed("nobodys"),
        ]:
            replay.step(each)
        replay.tick(T0 + 40 * DAY)
        found = replay.finish()

    owners = {part.name: part.wasted for part in found.waste.by_owner}
    assert owners == {"video": 3600.0, "ads": 3600.0, "search": 3600.0, "": 3600.0}
    assert [(each.owner, each.team, each.address) for each in found.owners] == [
        ("ads", "Ads ranking", "ads@example.com"),
        ("search", "", ""),
        ("video", "", ""),
    ]
    told = {each["pipeline"]: each["owner"] for each in map(orjson.loads, examples.read_bytes().splitlines())}
    assert told == {"ads-told": "video", "ads-silent": "ads", "web": "search", "nobodys": ""}
    assert "Ads ranking, ads@example.com" in page(found)


def test_an_owner_that_events_name_is_reached_by_the_list() -> None:
    """The name decides, whichever pipeline the rule is for."""
    replay = Replay(Settings(), None, SinkWriter(Sinks()), Attribution(owners=LIST))
    for each in failed("video", owner="ads"):
        replay.step(each)

    (owner,) = replay.finish().owners

    assert (owner.owner, owner.address, owner.pipelines) == ("ads", "ads@example.com", 1)


@pytest.mark.parametrize("order", [1, -1])
def test_the_latest_event_names_the_owner(order: int) -> None:
    """By event time, not by arrival."""
    replay = Replay(Settings(), None, SinkWriter(Sinks()), Attribution())
    events = [
        happened(0, "a", "Trainer", "RUNNING", properties={"owner": "before"}),
        happened(60, "b", "Trainer", "RUNNING", properties={"owner": "after"}),
    ]
    for each in events[::order]:
        replay.step(each)

    assert [each.owner for each in replay.finish().owners] == ["after"]
