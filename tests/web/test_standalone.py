"""A training that is in no run: flagged, found and stopped by its own id, in every way of running."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from stream_app import wire
from stream_app.client.pruning import pruning_verdict, should_prune
from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.events import Event
from stream_app.core.outputs import PRUNE, Closed, Example, Verdict
from stream_app.service.settings import EmbeddedSettings
from tests.support.builders import DAY, HOUR, MINUTE, ended, started
from tests.support.steered import Steered
from tests.web.served import Service, embedded_service, relayed_service, verdict_record
from tests.web.test_http import applied

SETTINGS = Settings(policy=Policy(mode=ENFORCE, budget=0.05))
#: Minutes from one training to the next: longer than the horizon, so that the ones before are labelled.
PERIOD = 16 * DAY // MINUTE


@dataclass
class Pessimist(Steered):
    """Predicts that nothing is ever pushed, whatever it is taught."""

    def learn(self, example: Example) -> None:
        """Learns nothing."""


def training(number: int, *, pipeline: str = "p") -> Iterator[Event]:
    """A training that begins; what it costs is known from those before."""
    minute = PERIOD * number
    data, name = f"data-{number}", f"train-{number}"
    yield ended(minute, f"prep-{number}", "Transform", run=None, writes=[data], node_ms=HOUR, pipeline=pipeline)
    yield started(minute + 1, name, "Trainer", run=None, reads=[data], pipeline=pipeline)


def trained(number: int) -> Iterator[Event]:
    """A training that has ended and was not pushed."""
    yield from training(number)
    yield ended(PERIOD * number + 60, f"train-{number}", "Trainer", run=None, writes=[f"m-{number}"], node_ms=HOUR)


#: Those of the past, and one that begins: the one that asks.
EVENTS = [*(event for number in range(6) for event in trained(number)), *training(6)]
FLAGGED, LABELLED = "train-6", "train-0"


def verdicts_of(events: list[Event]) -> list[Verdict]:
    """What an embedded detector says of events."""
    learner, found = Pessimist(), list[Verdict]()

    def ignored(_: Example | Closed) -> None:
        """The test is about verdicts."""

    detector = Detector(SETTINGS, learner)  # type: ignore[arg-type]
    for event in events:
        dispatch(detector.step(event), learner, Handlers(found.append, ignored, ignored))  # type: ignore[arg-type]
    return found


@contextmanager
def detecting(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """The service with a detector of its own, which has all events."""
    monkeypatch.setattr(Settings, "learner", lambda _: Pessimist())
    with embedded_service(path, EmbeddedSettings(SETTINGS)) as service:
        for event in EVENTS:
            assert service.post(orjson.dumps(wire.event_to_dict(event)), "/v1/events").status == 201
        applied(service)
        yield service


@pytest.fixture(params=["embedded", "beside workers"])
def service(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    if request.param == "embedded":
        with detecting(tmp_path / "log", monkeypatch) as running:
            yield running
    else:
        with relayed_service() as running:
            for number, verdict in enumerate(verdicts_of(EVENTS)):
                running.verdicts.add(wire.verdict_to_dict(verdict), number)
            yield running


def test_an_embedded_detector_flags_it_by_its_own_id() -> None:
    """The verdict names the trainer, no run, and that it is enforced."""
    last = verdicts_of(EVENTS)[-1]

    assert (last.graphlet, last.run, last.trainer) == (f"p/{FLAGGED}", None, FLAGGED)
    assert (last.decision, last.mode, last.holdout) == (PRUNE, ENFORCE, False)


def test_it_is_told_to_stop_by_its_own_id(service: Service) -> None:
    """With its pipeline or without, as the execution that it is or as what the client calls a run."""
    assert should_prune(execution=FLAGGED, pipeline="p", url=service.url)
    assert should_prune(execution=FLAGGED, url=service.url)
    assert should_prune(FLAGGED, pipeline="p", url=service.url)
    assert should_prune(FLAGGED, url=service.url)
    assert pruning_verdict(execution=FLAGGED, url=service.url) == service.get("/v1/verdicts").json["verdicts"][0]["id"]


def test_nothing_else_is_told_to_stop(service: Service) -> None:
    """What is not known, and its id in another pipeline."""
    assert not should_prune(execution="train-7", url=service.url)
    assert not should_prune(execution=FLAGGED, pipeline="q", url=service.url)
    assert not should_prune(f"prep-{6}", url=service.url)


def test_an_id_of_two_pipelines_is_refused_without_the_pipeline(service: Service) -> None:
    """The client goes on."""
    service.verdicts.add(verdict_record("prune", None, FLAGGED, pipeline="q"), 10**15)

    for query in (f"execution={FLAGGED}", f"run={FLAGGED}"):
        refusal = service.get(f"/v1/should-prune?{query}")
        assert (refusal.status, refusal.headers["Content-Type"]) == (409, "application/problem+json")
        assert "give pipeline" in refusal.json["detail"]
    assert service.get(f"/v1/verdicts/{FLAGGED}").status == 409
    assert not should_prune(execution=FLAGGED, url=service.url)
    assert should_prune(execution=FLAGGED, pipeline="p", url=service.url)


def test_its_verdict_is_found_by_its_id_alone(service: Service) -> None:
    found = service.get(f"/v1/verdicts/{FLAGGED}").json

    assert found == service.get(f"/v1/verdicts/p/{FLAGGED}").json
    assert (found["trainer"], found["decision"]) == (FLAGGED, "prune")


def test_its_graphlet_is_found_by_its_id_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the detector has it, with the verdict on it; of two pipelines it has to be said which."""
    with detecting(tmp_path / "log", monkeypatch) as service:
        found = service.get(f"/v1/graphlets/{FLAGGED}").json
        other = next(event for event in training(6, pipeline="q") if event.execution_id == FLAGGED)
        assert service.post(orjson.dumps(wire.event_to_dict(other)), "/v1/events").status == 201
        applied(service)
        ambiguous = service.get(f"/v1/graphlets/{FLAGGED}")
        whole = service.get(f"/v1/graphlets/p/{FLAGGED}").json

    assert found == whole
    assert (found["graphlet"]["trainer"], found["graphlet"]["up"]) == (FLAGGED, ["prep-6"])
    assert found["verdict"]["decision"] == "prune"
    assert ambiguous.status == 409
