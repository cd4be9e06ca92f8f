"""A log in which a finding is raised, revised and resolved: a pipeline that does not push, and then does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from stream_app.core.units import HOUR_MS
from stream_app.service.event_log import Entry
from stream_app.wire import event_to_dict
from tests.analysis.findings.pipelines import Training, events_of
from tests.support.builders import T0

#: Hours at which the pipeline pushes for the first time, and at which the log ends.
PUSHED, END = 60, 66


def finding_entries(begin_ms: int = T0, hours: Sequence[int] = tuple(range(PUSHED + 1)), end: int = END) -> list[Entry]:
    """A training an hour, and a tick each half hour, accepted when they happened.

    Parameters
    ----------
    begin_ms
        When the log begins, in ms since 1970 UTC.
    hours
        When the trainings begin, in hours after that.
    end
        When the log ends, in hours after its begin.
    """
    trainings = [Training(hour, pushed=hour == PUSHED) for hour in hours]
    events = [
        replace(
            event, time_ms=event.time_ms - T0 + begin_ms, properties={**event.properties, "owner": "ann", "team": "ads"}
        )
        for event in events_of(trainings)
    ]
    found = [Entry(0, event.time_ms, orjson.dumps(event_to_dict(event)), "native") for event in events]
    found += [Entry(0, begin_ms + half * HOUR_MS // 2, None) for half in range(2 * end)]
    return sorted(found, key=lambda entry: entry.received_ms)
