"""Alertmanager, by version 2 of its API: an alert fires while the flag or finding is open.

References
----------
https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson

from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.sinks.http import HttpClient, result_of
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.texts import Text
from stream_app.core.units import DAY_MS
from stream_app.times import time_to_text

_JSON = {"Content-Type": "application/json", "User-Agent": "stream-app"}
#: An alert that is not posted again ends after Alertmanager's `resolve_timeout`, so its end is set: far away.
_OPEN_MS, _FINDING_OPEN_MS = 40 * DAY_MS, 400 * DAY_MS
#: An end that Alertmanager's clock has not reached is ignored in favour of the former one: an end lies so far back.
_SKEW_MS = 5 * 60_000
NAME, FINDING_NAME = "StreamAppRunFlagged", "StreamAppFinding"


class Alertmanager:
    """Posts alerts.

    Parameters
    ----------
    http
        The client.
    url
        Where Alertmanager listens.
    now
        The clock, in seconds since 1970 UTC.
    """

    def __init__(self, http: HttpClient, url: str, now: Callable[[], float] = time.time) -> None:
        self._http = http
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._now = now

    async def send(self, message: Outgoing) -> Result:
        """Posts the alerts of a message; see `Sink.send`."""
        now = self._now()
        alerts = [alert(record, message.text, round(now * 1000)) for record in message.records]
        return result_of(await self._http.post(self._url, orjson.dumps(alerts), _JSON), now)


def alert(record: AlertRecord, text: Text, now_ms: int) -> dict[str, Any]:
    """The alert of a flag or finding. Its labels identify it, so they never change over its life.

    Parameters
    ----------
    record
        The record.
    text
        Its text.
    now_ms
        The time in ms since 1970 UTC.
    """
    if isinstance(record, FindingRecord):
        labels, open_ms = {"alertname": FINDING_NAME, "finding": record.finding, "kind": record.kind}, _FINDING_OPEN_MS
    else:
        labels, open_ms = {"alertname": NAME, "flag": record.flag}, _OPEN_MS
        if record.run is not None:
            labels["run"] = record.run
    ends_ms = now_ms - _SKEW_MS if record.is_end else now_ms + open_ms
    return {
        "labels": {**labels, "pipeline": record.pipeline},
        "annotations": {
            "summary": text.title,
            "description": text.body,
            **({"owner": record.owner} if record.owner else {}),
        },
        "startsAt": time_to_text(min(record.raised_ms, ends_ms)),
        "endsAt": time_to_text(ends_ms),
    }
