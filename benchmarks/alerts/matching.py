"""What it costs to find the subscriptions of a flag record, and to preview one over 35 days.

python -m benchmarks.alerts.matching
"""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

from benchmarks.results import median, publish, table, times
from stream_app.alerts.flags import Change, FlaggedGraphlet, FlagRecord
from stream_app.alerts.matching import Matcher
from stream_app.alerts.preview import preview
from stream_app.alerts.subscriptions import Subscription, make_subscription

RUNS = 5
_RECORDS = 2_000
_PIPELINES, _OWNERS, _TEAMS = 2_000, 500, 200
_NOW = 1_780_000_000_000
#: Flag records of 35 days of a fleet with some 200 flags a day.
_HISTORY = 21_000


def subscription(number: int, chance: random.Random) -> Subscription:
    """A subscription as people make them: to pipelines, to an owner, to a team, one in a thousand to everything."""
    kind = chance.random()
    chosen: dict[str, Any]
    if kind < 0.001:
        chosen = {"node_hours_left": {"at_least": 50}}
    elif kind < 0.4:
        chosen = {"pipeline": f"team{chance.randrange(_TEAMS)}-pipeline{chance.randrange(_PIPELINES)}"}
    elif kind < 0.6:
        chosen = {"pipeline": f"team{chance.randrange(_TEAMS)}-*", "p_push": {"below": 0.05}}
    elif kind < 0.8:
        chosen = {"owner": f"owner{chance.randrange(_OWNERS)}"}
    else:
        chosen = {"labels": {"team": f"team{chance.randrange(_TEAMS)}"}, "not": {"stage": "validate"}}
    sink = {"kind": "kafka", "topic": "t"}
    return make_subscription({"id": f"s{number}", "name": "s", "owner": "o", "sink": sink, "filter": chosen})


def record(number: int, chance: random.Random) -> FlagRecord:
    """The raising of a flag."""
    team, pipeline = chance.randrange(_TEAMS), chance.randrange(_PIPELINES)
    graphlet = FlaggedGraphlet("g", "t", None, "train", chance.random() / 10, 0.1, 0.1, "1", 1.0, 90_000.0, (), "v")
    return FlagRecord(
        flag=f"f{number}", revision=1, change=Change.RAISED, pipeline=f"team{team}-pipeline{pipeline}", run="r",
        owner=f"owner{chance.randrange(_OWNERS)}", labels={"team": f"team{team}"}, graphlets=(graphlet,),
        mode="observe", budget=0.05, raised_ms=_NOW, time_ms=_NOW,
    )  # fmt: skip


def microseconds(matcher: Matcher, records: list[FlagRecord]) -> float:
    """Microseconds of matching one record."""
    began = time.process_time()
    for each in records:
        matcher.match(each)
    return (time.process_time() - began) / len(records) * 1e6


def main() -> None:
    """Measures, and publishes the section `alert-matching`."""
    chance = random.Random(1)
    records = [record(number, chance) for number in range(_RECORDS)]
    rows = []
    for count in (10, 1_000, 10_000):
        matcher = Matcher(subscription(number, chance) for number in range(count))
        matched = statistics.mean(len(matcher.match(each)) for each in records)
        runs = [microseconds(matcher, records) for _ in range(RUNS)]
        rows.append([f"{count:,}", f"{matched:.1f}", median(runs, ".1f")])
    history = [(_NOW + 140_000 * number, record(number, chance)) for number in range(_HISTORY)]
    draft = subscription(1, random.Random(0)).model_copy(update={"filter": subscription(2, chance).filter.__class__()})
    seconds = []
    for _ in range(RUNS):
        began = time.process_time()
        preview(draft, history)
        seconds.append(time.process_time() - began)
    publish(
        "alert-matching",
        "Alerts: matching and preview",
        [
            f"CPU time, {times(RUNS)}.",
            "",
            *table(["subscriptions", "matches of a record", "us a record"], rows),
            "",
            f"A preview over {_HISTORY:,} flag records, all matching: {median(seconds, '.2f')} s, reading excluded.",
        ],
    )


if __name__ == "__main__":
    main()
