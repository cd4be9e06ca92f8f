"""A hook beside workers: from the flag of a worker to the stop that a notifier sends, and back to the log of events."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
from aiokafka import TopicPartition

from stream_app.kafka.state.changelog import LogReader
from tests.broker.broker import Broker
from tests.broker.notifying import Notifying, notifying, until
from tests.support.sinks import Sinks, sinks

ENFORCE = '[detector]\nmode = "enforce"\n'


async def read(group: Notifying) -> list[bytes]:
    """What the topic of events has, partition by partition."""
    values: list[bytes] = []
    for number in range(4):
        async with LogReader({"bootstrap_servers": group.bootstrap}, TopicPartition(group.names.events, number)) as log:
            async for fetched in log.read(0, await log.end()):
                values += [record.value for record in fetched if (record.value or b"").startswith(b"{")]
    return values


def canceled(group: Notifying) -> list[dict[str, Any]]:
    """The events so far that say that something was canceled."""
    found = asyncio.run(read(group))
    events = [event for each in found if "execution" in (event := orjson.loads(each))]
    return [event for event in events if event["execution"]["state"] == "CANCELED"]


def hook(group: Notifying, name: str, receivers: Sinks, **sink: Any) -> None:
    """A hook that stops runs by a webhook."""
    url = receivers.url("ok", name)
    group.subscribe(
        group.notifiers[0], name, receivers, types=["due"],
        sink={"kind": "stop_webhook", "url": url, "dry_run": False, "pipelines": ["mine"], **sink},
    )  # fmt: skip


def test_a_hook_stops_the_runs_of_its_pipelines_and_says_so(broker: Broker, prefix: str, tmp_path: Path) -> None:
    """Once, and only those; a hook of other pipelines and one that only tries send nothing."""
    with notifying(broker.bootstrap, tmp_path, prefix) as group, sinks(tmp_path / "sinks") as receivers:
        settings = tmp_path / "settings.toml"
        settings.write_text(settings.read_text().replace("[kafka]", "[kafka]\ntick_seconds = 1") + ENFORCE)
        group.worker()
        group.notifier()
        group.all_ready()
        hook(group, "stops", receivers)
        hook(group, "tries", receivers, dry_run=True)
        hook(group, "others", receivers, pipelines=["nobodys"])
        group.flag("mine")
        group.flag("other")
        found = until(lambda: canceled(group), "the stop is in the log of events")
        log = {
            name: group.ask(group.notifiers[0], "GET", f"/v1/subscriptions/{name}/deliveries").json["deliveries"]
            for name in ("tries", "others")
        }

    assert {each["pipeline"] for each in found} == {"mine"}
    assert all(each["properties"]["pruned_by"].startswith("mine/") for each in found)
    assert {each.name for each in receivers.attempts()} == {"stops"}
    assert len(receivers.attempts()) == 1
    assert any("would" in orjson.dumps(each).decode() for each in log["tries"])
