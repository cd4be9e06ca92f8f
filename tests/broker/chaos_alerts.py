"""Kills of workers and notifiers at length: `make chaos`, or `pytest tests/broker/chaos_alerts.py -s`.

Every flag that was raised, and its end, must reach each subscription once, in order, whoever dies meanwhile. What must
reach it is told by the runs that were made, and by the topic of alerts; nothing is asked of the code under test.
"""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from pathlib import Path

import orjson
from kafka.admin import KafkaAdminClient

from tests.broker.broker import Broker
from tests.broker.cluster import Cluster
from tests.broker.notifying import DROPPED, Notifying, notifying
from tests.support.receipts import by_message, extra_share, missing, wrong
from tests.support.sinks import Sinks, sinks

#: Kills while flags are raised, and as many while they end.
KILLS = 25
#: Seconds between two flags, and until the last has arrived.
PAUSE_SECONDS, ARRIVED_SECONDS = 0.5, 240
#: The share of messages that may be repeated.
EXTRA = 0.01
#: Subscriptions, and the pipelines that each hears of.
WANTED = {"all0": "*", "all1": "*", "all2": "*", "even0": "even-*", "even1": "even-*", "odd0": "odd-*"}


def test_fifty_kills_of_workers_and_notifiers(broker: Broker, admin: KafkaAdminClient, tmp_path: Path) -> None:
    """Two of each are killed in turn, at random points, while flags are raised and while they end."""
    prefix = f"alerts{time.time_ns():x}"
    with sinks(tmp_path / "sinks") as receivers, notifying(broker.bootstrap, tmp_path, prefix) as made:
        for _ in range(2):
            made.notifier()
            made.worker()
        made.all_ready()
        for number, (name, pipelines) in enumerate(WANTED.items()):
            made.subscribe(made.notifiers[number % 2], name, receivers, filter={"pipeline": pipelines})
        numbers = itertools.count()

        def raise_one() -> bool:
            number = next(numbers)
            made.flag(f"{'odd' if number % 2 else 'even'}-{number}")
            return True

        ending = iter(made.flags)

        def end_one() -> bool:
            flag = next(ending, None)
            if flag is not None:
                made.end(flag)
            return flag is not None

        with made.meanwhile(raise_one, PAUSE_SECONDS):
            made.kills(KILLS, seed=1)
        arrived(made, receivers, "raised")
        with made.meanwhile(end_one, PAUSE_SECONDS):
            made.kills(KILLS, seed=2)
        while end_one():
            pass
        arrived(made, receivers, "resolved")
        made.all_ready()
        records = asyncio.run(alerts(Cluster(broker.bootstrap, admin, tmp_path, made.names, partitions=4)))
        check(made, receivers, records)


def arrived(made: Notifying, receivers: Sinks, change: str) -> None:
    """Waits until a change of every flag has reached those who want it."""
    for name in WANTED:
        made.heard(receivers, [name], change, ARRIVED_SECONDS, of(name, made.flags))


def of(name: str, flags: list[str]) -> list[str]:
    """The flags, or records of flags, that a subscription is to hear of."""
    return [flag for flag in flags if flag.startswith(WANTED[name].rstrip("*"))]


async def alerts(cluster: Cluster) -> list[str]:
    """The records of the topic of alerts, each once however often a worker wrote it."""
    found = [orjson.loads(each.value) for each in await cluster.read(cluster.names.alerts, cluster.partitions)]
    data = [each.get("data", each) for each in found]
    return list(dict.fromkeys(f"{each['flag']}#{each['revision']}" for each in data))


def check(made: Notifying, receivers: Sinks, records: list[str]) -> None:
    """What must hold, and figures."""
    attempts = receivers.attempts()
    assert wrong(attempts) == []
    for name in WANTED:
        dropped, wanted = made.dropped(name), of(name, records)
        assert len(wanted) >= 2 * len(of(name, made.flags)) > 0
        for _, record in missing(attempts, [name], wanted):
            assert any(reason in dropped.get(record, "") for reason in DROPPED), (name, record, dropped.get(record))
        unwanted = {each.record for each in attempts if each.name == name} - set(wanted)
        assert not unwanted, (name, unwanted)
    share = extra_share(attempts)
    sys.stdout.write(
        f"\n{2 * KILLS} kills, {len(made.flags)} flags, {len(records)} records, {len(by_message(attempts))} messages, "
        f"{len(attempts) - len(by_message(attempts))} attempts more ({100 * share:.2f} %)\n"
    )
    assert share <= EXTRA
