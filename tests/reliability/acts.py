"""Acts of people among the events of a fleet: on runs while they train, and on pipelines."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import orjson

from stream_app.core import acts
from stream_app.core.acts import ActOn
from stream_app.core.events import Event
from stream_app.core.ladder import Ladder, Step
from stream_app.core.units import HOUR_MS
from stream_app.times import text_to_time
from stream_app.wire import event_to_dict

#: Of so many trainings one is followed by an act.
ONE_OF = 2


def with_acts(messages: list[bytes], seed: int, taken: Callable[[bytes], bool]) -> list[bytes]:
    """The messages, with acts behind the starts of trainings; only behind those that are `taken`."""
    return list(_mixed(messages, random.Random(seed), taken))


def _mixed(messages: list[bytes], chance: random.Random, taken: Callable[[bytes], bool]) -> Iterator[bytes]:
    for message in messages:
        yield message
        event = orjson.loads(message)
        starts = event["execution"]["type"] == "Trainer" and event["execution"]["state"] == "RUNNING"
        if starts and taken(message) and chance.randrange(ONE_OF) == 0:
            yield orjson.dumps(event_to_dict(_act(event, chance)))


def _act(event: dict[str, object], chance: random.Random) -> Event:
    pipeline, run, time_ms = str(event["pipeline"]), event.get("run"), text_to_time(event["time"]) + 1_000
    trainer = event["execution"]["id"]  # type: ignore[index]
    on = ActOn(pipeline, run=str(run)) if run is not None else ActOn(pipeline, trainer=str(trainer))
    kind = chance.randrange(5)
    if kind == 0:
        return acts.prolong(on, time_ms + chance.randrange(100) * HOUR_MS, "owner", "one more epoch", time_ms)
    if kind == 1:
        return acts.policy(pipeline, Ladder(chance.choice(list(Step)), HOUR_MS), "admin", "", time_ms)
    if kind == 2:
        return acts.wrong(on, "owner", "it is pushed each time", time_ms, value=chance.random() < 0.8)
    return acts.keep(on, "owner", "needed", time_ms)
