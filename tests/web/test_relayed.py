"""What the service hands to workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import orjson
import pytest

from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.errors import MalformedEvent
from stream_app.metrics.registry import make_registry
from stream_app.sources import NATIVE, OPENLINEAGE, SOURCES
from stream_app.web.relayed import LARGE_MESSAGE, relayed_app
from stream_app.web.worker_keepers import WorkerKeepers
from tests.sources.openlineage_events import message, run_event, run_id
from tests.web.served import BATCH, NoDirectory, Service, served


@dataclass
class Workers:
    """Remembers what it is given, or refuses it."""

    sent: list[tuple[bytes, str | None, str]] = field(default_factory=list)
    unavailable_reason: str = ""
    too_large: bool = False
    native_only: bool = False

    async def send(self, messages: Sequence[tuple[bytes, str | None, str]]) -> None:
        if self.too_large:
            raise MalformedEvent("an event is larger than the topic takes")
        self.sent += messages

    async def run(self) -> None:
        """There is nothing to do."""


@pytest.fixture
def workers() -> Workers:
    return Workers()


@pytest.fixture
def service(workers: Workers) -> Iterator[Service]:
    with served(
        relayed_app(workers, WorkerKeepers(NoDirectory()), PublishedFleet(), SOURCES, make_registry(), None)
    ) as running:
        yield running


def large(event: dict[str, object]) -> bytes:
    return message(event | {"plan": "x" * LARGE_MESSAGE})


def test_a_message_goes_on_as_it_is_with_its_pipeline_and_format(service: Service, workers: Workers) -> None:
    event = run_event("START", "vision.train", "t1", parent=("r1", "vision"))
    native = b'{"time":"2026-03-01T06:00:00Z","pipeline":"p","execution":{"id":"e","type":"T","state":"NEW"}}'
    assert service.post(message(event)).status == 201
    assert service.post(native, "/v1/events").status == 201

    assert workers.sent == [(message(event), "prod/vision", OPENLINEAGE), (native, "p", NATIVE)]


def test_of_a_large_message_only_what_is_read_goes_on(service: Service, workers: Workers) -> None:
    """One that describes no execution is not sent at all."""
    job = run_event(None)
    del job["run"]
    job["schemaURL"] = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
    run = run_event("START", "vision.train", "t1", parent=("r1", "vision"))
    for each in (job, run):
        assert service.post(large(each)).status == 201

    [(sent, pipeline, form)] = workers.sent
    assert (orjson.loads(sent)["execution"]["id"], pipeline, form) == (run_id("t1"), "prod/vision", NATIVE)
    assert len(sent) < 1_000


def test_without_a_source_topic_everything_is_sent_in_the_native_form(service: Service, workers: Workers) -> None:
    """The events topic is read as native events alone."""
    workers.native_only = True
    assert service.post(message(run_event("START", "vision.train", "t1", parent=("r1", "vision")))).status == 201

    [(sent, pipeline, form)] = workers.sent
    assert (orjson.loads(sent)["execution"]["id"], pipeline, form) == (run_id("t1"), "prod/vision", NATIVE)


@pytest.mark.parametrize("path", ["/api/v1/lineage", BATCH])
def test_what_a_topic_does_not_take_is_too_large(service: Service, workers: Workers, path: str) -> None:
    """To send it again would not help."""
    workers.too_large = True
    body = message(run_event()) if path != BATCH else orjson.dumps([run_event()])
    answer = service.post(body, path)

    assert (answer.status, answer.headers["Content-Type"]) == (413, "application/problem+json")
    assert "larger than the topic takes" in answer.json["detail"]
