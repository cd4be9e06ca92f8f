"""A signed webhook that stops a run, after one that stores a checkpoint where there is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.hook_sinks import StopWebhookSink
from stream_app.alerts.records import cloud_event
from stream_app.alerts.signing import headers as signed
from stream_app.alerts.sinks.hooks.target import Phase, Place, Seen, Stop
from stream_app.alerts.sinks.http import HttpClient, result_of
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.sinks.webhook import header_id

_CONTENT = {"Content-Type": "application/cloudevents+json; charset=utf-8", "User-Agent": "stream-app"}
#: The types of the two events.
CHECKPOINT, STOP = "stream_app.run.checkpoint", "stream_app.run.stop"


class StopWebhook:
    """Posts requests to stop; see `Target`.

    Parameters
    ----------
    http
        The client.
    sink
        The sink.
    headers
        Its headers.
    keys
        The secrets that are valid now.
    now
        The clock, in seconds since 1970 UTC.
    """

    name = "the webhook"
    keeps_mark = False
    #: It cannot be asked how a run stands.
    answer_confirms = True

    def __init__(
        self,
        http: HttpClient,
        sink: StopWebhookSink,
        headers: Mapping[str, str],
        keys: Sequence[str],
        now: Callable[[], float],
    ) -> None:
        self._http = http
        self._sink = sink
        self._headers = headers
        self._keys = keys
        self._now = now

    def find(self, record: FlagRecord) -> Place | str:
        """The receiver knows runs by the names that events have; see `Target.find`."""
        trainer = next((each.trainer for each in record.graphlets if each.trainer is not None), None)
        found = record.run if record.run is not None else trainer
        return Place(found, record.pipeline) if found is not None else "the flag names neither run nor training"

    async def look(self, place: Place) -> Seen | Result:  # noqa: ARG002
        """It is not asked; see `Target.look`."""
        return Seen(Phase.ACTIVE)

    async def prepare(self, place: Place, stop: Stop) -> Result:
        """Has a checkpoint stored, where there is an address for it; see `Target.prepare`."""
        if self._sink.checkpoint_url is None:
            return Result()
        result = await self._post(self._sink.checkpoint_url, CHECKPOINT, place, stop)
        if result.succeeded:
            return result
        return Result(f"no checkpoint, so the run goes on: {result.reason}", result.retry_after)

    async def stop(self, place: Place, stop: Stop) -> Result:
        """Asks for the stop; see `Target.stop`."""
        return await self._post(self._sink.url, STOP, place, stop)

    async def _post(self, url: str, kind: str, place: Place, stop: Stop) -> Result:
        message_id = f"{stop.message}:{kind.rpartition('.')[2]}"
        body = orjson.dumps(_event(message_id, kind, place, stop))
        now = self._now()
        headers = {**self._headers, **_CONTENT, **signed(self._keys, header_id(message_id), int(now), body)}
        result = result_of(await self._http.post(url, body, headers), now)
        return Result(result.reason, result.retry_after)


def _event(message_id: str, kind: str, place: Place, stop: Stop) -> dict[str, Any]:
    """The CloudEvent of a request: what is to be stopped, for which verdict, and the flag."""
    event = cloud_event(stop.record)
    data = {
        "pipeline": stop.record.pipeline,
        "run": stop.record.run,
        "trainers": [each.trainer for each in stop.record.graphlets if each.trainer is not None],
        "pruned_by": stop.verdict,
        "reason": stop.note,
        "flag": event["data"],
    }
    return {**event, "id": message_id, "type": kind, "subject": str(place), "data": data}
