"""Webhooks: CloudEvents in structured JSON, signed as Standard Webhooks."""

from __future__ import annotations

import hashlib
import string
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import orjson

from stream_app.alerts.records import SOURCE, TYPE, AlertRecord, cloud_event, noun_of, record_to_dict
from stream_app.alerts.signing import headers as signed
from stream_app.alerts.sinks.http import HttpClient, result_of
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.times import time_to_text

_CONTENT = {"Content-Type": "application/cloudevents+json; charset=utf-8", "User-Agent": "stream-app"}
#: Characters that an id keeps in a header, and how many of them.
_KEPT, _ID_MAX = string.punctuation.replace("%", ""), 255


class Webhook:
    """Posts messages to a URL.

    Parameters
    ----------
    http
        The client.
    url
        The URL.
    keys
        The secrets that are valid now.
    headers
        Further headers.
    now
        The clock, in seconds since 1970 UTC.
    """

    def __init__(
        self,
        http: HttpClient,
        url: str,
        keys: Sequence[str],
        headers: Mapping[str, str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._http = http
        self._url = url
        self._keys = keys
        self._headers = headers
        self._now = now

    async def send(self, message: Outgoing) -> Result:
        """Posts a message; see `Sink.send`."""
        body = orjson.dumps(event_of(message.id, message.records, message.links))
        now = self._now()
        headers = {**self._headers, **_CONTENT, **signed(self._keys, header_id(message.id), int(now), body)}
        return result_of(await self._http.post(self._url, body, headers), now)


def header_id(message_id: str) -> str:
    """The id of a message as a header: visible ASCII, whatever pipelines and runs are called.

    Parameters
    ----------
    message_id
        The id.

    Examples
    --------
    >>> header_id("ads/run:7#1@s"), header_id("\u00e9 1/t#1@s")
    ('ads/run:7#1@s', '%C3%A9%201/t#1@s')
    """
    quoted = quote(message_id, safe=_KEPT, errors="surrogatepass")
    if len(quoted) <= _ID_MAX:
        return quoted
    digest = hashlib.sha256(message_id.encode(errors="surrogatepass")).hexdigest()
    return f"{quoted[: _ID_MAX - 65]}~{digest}"


def event_of(
    message_id: str, records: Sequence[AlertRecord], links: Mapping[str, Mapping[str, str]] = MappingProxyType({})
) -> dict[str, Any]:
    """The CloudEvent of a message: that of its record, or a digest of several.

    Parameters
    ----------
    message_id
        The id of the message, which is that of the event of a digest.
    records
        Its records: of flags, or of findings.
    links
        The links by which people act, by the id of the record and the name of the act: each record has its own as the
        field `links`.
    """
    if len(records) == 1:
        made = cloud_event(records[0])
        return {**made, "data": _linked(made["data"], links)}
    noun = noun_of(records[0])
    return {
        "specversion": "1.0",
        "id": message_id,
        "source": SOURCE,
        "type": f"{TYPE}.{noun}.digest",
        "time": time_to_text(max(record.time_ms for record in records)),
        "datacontenttype": "application/json",
        "data": {f"{noun}s": [_linked(record_to_dict(record), links) for record in records]},
    }


def _linked(record: dict[str, Any], links: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    found = links.get(record["id"])
    return {**record, "links": dict(found)} if found else record
