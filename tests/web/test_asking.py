"""`GET /v1/should-prune`: what it answers, of an embedded detector and beside workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.core.decisions.policy import ENFORCE, OBSERVE, Policy
from stream_app.core.detector import Settings
from stream_app.service.settings import EmbeddedSettings
from tests.web.served import Service, embedded_service, relayed_service, verdict_record
from tests.web.test_http import applied

UNKNOWN = {"known": False, "decision": None, "p_push": None, "why": [], "prune": False, "why_not": None,
           "verdict": None}  # fmt: skip


def answer(decision: str, verdict: str, prune: bool) -> dict[str, Any]:
    """The whole answer where a verdict decides."""
    return {
        "known": True, "decision": decision, "p_push": 0.25, "why": ["no push for long"],
        "prune": prune, "why_not": None, "verdict": verdict,
    }  # fmt: skip


@pytest.fixture(params=["embedded", "beside workers"])
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    settings = EmbeddedSettings(Settings(policy=Policy(mode=ENFORCE)))
    embedded = request.param == "embedded"
    with embedded_service(tmp_path / "log", settings) if embedded else relayed_service() as running:
        yield running


def asked(service: Service, query: str) -> Any:
    response = service.get(f"/v1/should-prune?{query}")
    assert response.status == 200
    return response.json


def test_the_deciding_verdict_is_told(service: Service) -> None:
    """Whatever it decides."""
    for decision in ("continue", "warn", "prune"):
        service.verdicts.add(verdict_record(decision, decision))

        found = asked(service, f"pipeline=p&run={decision}")

        assert found == answer(decision, f"p/run:{decision}#1", prune=decision == "prune")


def test_a_run_without_a_verdict_is_not_known(service: Service) -> None:
    service.verdicts.add(verdict_record("prune", "r", "t"))

    for query in ("run=another", "pipeline=p&run=another", "pipeline=another&run=r", "pipeline=p&execution=another",
                  "pipeline=another&execution=t", "execution=another"):  # fmt: skip
        assert asked(service, query) == UNKNOWN


def test_reasons_are_told_in_the_form_of_the_verdict(service: Service) -> None:
    reasons = [{"feature": "days_since_push", "value": 3.0, "effect": -0.5}]
    service.verdicts.add(verdict_record("warn", "r") | {"reasons": reasons})

    assert asked(service, "pipeline=p&run=r")["why"] == reasons


def test_pipelines_with_runs_of_one_name_have_answers_of_their_own(service: Service) -> None:
    service.verdicts.add(verdict_record("prune", "2026-11-25", pipeline="bad"))
    service.verdicts.add(verdict_record("continue", "2026-11-25", pipeline="good"))

    assert asked(service, "pipeline=bad&run=2026-11-25") == answer("prune", "bad/run:2026-11-25#1", True)
    assert asked(service, "pipeline=good&run=2026-11-25") == answer("continue", "good/run:2026-11-25#1", False)


def test_a_run_id_alone_is_refused_while_several_pipelines_have_it(service: Service) -> None:
    """With an execution too, for another pipeline may have that as well. It is enough while one pipeline has it."""
    service.verdicts.add(verdict_record("prune", "2026-11-25", pipeline="bad"))
    assert asked(service, "run=2026-11-25")["prune"] is True

    service.verdicts.add(verdict_record("continue", "2026-11-25", "t", pipeline="good"))
    for query in ("run=2026-11-25", "run=2026-11-25&execution=t"):
        refusal = service.get(f"/v1/should-prune?{query}")
        assert (refusal.status, refusal.headers["Content-Type"]) == (409, "application/problem+json")
        assert "give pipeline" in refusal.json["detail"]

    service.verdicts.drop("good/t")
    assert asked(service, "run=2026-11-25")["prune"] is True


def test_a_trainer_is_known_by_its_pipeline_and_id_alone(service: Service) -> None:
    """In a run or in none."""
    service.verdicts.add(verdict_record("prune", None, "7", pipeline="bad"))
    service.verdicts.add(verdict_record("continue", "r", "7", pipeline="good"))

    assert asked(service, "pipeline=bad&execution=7") == answer("prune", "bad/7#1", True)
    assert asked(service, "pipeline=good&execution=7") == answer("continue", "good/7#1", False)


def test_a_trainer_without_a_verdict_is_answered_for_its_run(service: Service) -> None:
    """Until there is one of its own."""
    service.verdicts.add(verdict_record("prune", "r"))
    before = asked(service, "pipeline=p&run=r&execution=t")
    service.verdicts.add(verdict_record("continue", "r", "t"))

    assert before == answer("prune", "p/run:r#1", True)
    assert asked(service, "pipeline=p&run=r&execution=t") == answer("continue", "p/t#1", False)


def test_a_trainer_that_may_go_on_decides_for_its_run(service: Service) -> None:
    """Whichever was said last; when all are flagged, the last flag decides."""
    service.verdicts.add(verdict_record("continue", "r", "good"))
    service.verdicts.add(verdict_record("prune", "r", "bad"))
    assert asked(service, "pipeline=p&run=r") == answer("continue", "p/good#1", False)

    service.verdicts.add(verdict_record("prune", "r", "good", revision=2))
    assert asked(service, "pipeline=p&run=r") == answer("prune", "p/good#2", True)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "run: missing"),
        ("pipeline=p", "run: missing"),
        ("run=", "run: expected a text"),
        ("run=r&pipeline=", "pipeline: expected a text"),
        ("run=r&execution=", "execution: expected a text"),
        ("run=r&trainer=t", "unknown parameter 'trainer'"),
    ],
)
def test_a_question_that_is_not_clear_is_refused(service: Service, query: str, says: str) -> None:
    refusal = service.get(f"/v1/should-prune?{query}")

    assert (refusal.status, refusal.headers["Content-Type"]) == (400, "application/problem+json")
    assert refusal.json["detail"].startswith(says)


def test_an_embedded_detector_stops_a_run_only_in_enforce(tmp_path: Path) -> None:
    """In `observe` the flag is told, and the run goes on."""
    for mode, prune in ((OBSERVE, False), (ENFORCE, True)):
        settings = EmbeddedSettings(Settings(policy=Policy(mode=mode)))
        with embedded_service(tmp_path / mode, settings) as service:
            service.verdicts.add(verdict_record("prune", "r"))

            found = asked(service, "pipeline=p&run=r")
            why_not = found.pop("why_not")
            assert {**found, "why_not": None} == answer("prune", "p/run:r#1", prune)
            assert why_not == (None if prune else {"reason": "observe", "detail": "flags are not enforced"})


def test_beside_workers_the_policy_of_the_verdict_counts() -> None:
    """Some workers may enforce and others not."""
    with relayed_service() as service:
        service.verdicts.add(verdict_record("prune", "a", mode="observe"))
        service.verdicts.add(verdict_record("prune", "b", mode="enforce"))

        why_not = {"reason": "observe", "detail": "its flag was raised in the mode observe"}
        assert asked(service, "pipeline=p&run=a") == answer("prune", "p/run:a#1", False) | {"why_not": why_not}
        assert asked(service, "pipeline=p&run=b") == answer("prune", "p/run:b#1", True)


def test_a_run_of_two_pipelines_is_ambiguous_before_both_have_a_verdict(tmp_path: Path) -> None:
    """One pipeline's run has begun and nothing is predicted of it yet: the other's flag does not stop it."""
    events = [
        {"time": "2026-03-01T06:00:00Z", "pipeline": pipeline, "run": "r",
         "execution": {"id": f"{pipeline}-gen", "type": "CsvExampleGen", "state": "RUNNING"}}
        for pipeline in ("p", "q")
    ]  # fmt: skip
    with embedded_service(tmp_path / "log", EmbeddedSettings(Settings(policy=Policy(mode=ENFORCE)))) as service:
        for event in events:
            assert service.post(orjson.dumps(event), "/v1/events").status == 201
        applied(service)
        service.verdicts.add(verdict_record("prune", "r"))

        assert service.get("/v1/should-prune?run=r").status == 409
        assert asked(service, "run=r&pipeline=p")["prune"] is True
        assert asked(service, "run=r&pipeline=q") == UNKNOWN


def test_the_ladder_of_each_flagged_training_must_allow_a_stop(service: Service) -> None:
    """Their verdicts say from when; an earlier release's say nothing, and nothing is waited for."""
    act = {"last": "act", "warn_again": None, "stop_from": "2026-03-01T00:00:00.000Z", "exempt_hours": ""}
    service.verdicts.add(verdict_record("prune", "r", "first"))
    service.verdicts.add(verdict_record("prune", "r", "second") | {"ladder": act})
    assert asked(service, "pipeline=p&run=r")["prune"] is True

    service.verdicts.add(verdict_record("prune", "r", "first") | {"ladder": {**act, "last": "warn", "stop_from": None}})
    found = asked(service, "pipeline=p&run=r")
    assert (found["prune"], found["why_not"]["reason"]) == (False, "warned_only")
    assert asked(service, "pipeline=p&run=r&execution=second")["prune"] is True

    service.verdicts.add(
        verdict_record("prune", "r", "first") | {"ladder": {**act, "stop_from": "2126-03-01T00:00:00Z"}}
    )
    found = asked(service, "pipeline=p&run=r")
    assert (found["prune"], found["why_not"]["reason"]) == (False, "too_early")
    assert asked(service, "pipeline=p&execution=first")["prune"] is False
