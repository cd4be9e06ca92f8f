"""The sidecar in front of Kafka."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from stream_app.kafka.records import FORMAT
from tests.broker.cluster import Cluster
from tests.broker.conftest import MakeTopic
from tests.sidecar.emitting import Emitting
from tests.support.nobody import nobody

NATIVE = b'{"id":"1"}'
#: Of more bytes than the topic takes, compressed as well.
LARGE = b'{"id":"%s"}' % random.Random(0).randbytes(150_000).hex().encode()
LINEAGE = b'{"eventTime":"2026-01-01T00:00:00Z"}'


def test_events_wait_for_kafka_and_arrive_with_their_formats(
    cluster: Cluster, topic: MakeTopic, tmp_path: Path
) -> None:
    """They outlast the process; what is larger than the topic takes is refused, and not what is in its batch."""
    source = topic("sidecar", partitions=1, **{"max.message.bytes": "100000"})
    with nobody() as address:
        away = Emitting(tmp_path, "--bootstrap-servers", address, "--topic", source, "--drain-seconds", "1")
        posted = [
            away.service.post(NATIVE, "/v1/events").status,
            away.service.post(LINEAGE).status,
            away.service.post(LARGE, "/v1/events").status,
        ]
        ended = away.end()
    back = Emitting(tmp_path, "--bootstrap-servers", cluster.bootstrap, "--topic", source)
    back.wait_for("sidecar_events_total", 2, fate="delivered")
    memory = back.peak_mib
    answer = back.service.get("/v1/should-prune?run=r").json["prune"]
    refused = back.metric("sidecar_events_total", fate="refused")
    code = back.end()
    records = asyncio.run(cluster.read(source, 1))

    assert (posted, ended, code) == ([201] * 3, 0, 0)
    assert "3 events are not delivered, and wait in" in away.log
    assert {(record.value, dict(record.headers)[FORMAT]) for record in records} == {
        (NATIVE, b"native"), (LINEAGE, b"openlineage"),
    }  # fmt: skip
    assert (refused, answer) == (1, False)
    assert f"it is larger than topic {source} takes" in back.log
    assert memory < 96
