"""The past graphlets most alike to a verdict, and what differs from the last push, over HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.core.detector import Detector
from stream_app.core.events import Event
from stream_app.core.outputs import Example, Verdict
from stream_app.provenance.nearest import Comparison, PastStages, known_features
from stream_app.service.settings import EmbeddedSettings
from stream_app.sources.native import decode
from stream_app.wire import event_to_dict
from tests.provenance.two_runs import NEXT, events
from tests.support.builders import ran
from tests.support.recorded import SETTINGS, fleet_lines
from tests.web.served import Answer, Service, embedded_service, relayed_service, verdict_record
from tests.web.test_http import applied

LINES = fleet_lines()[:2500]


def post(service: Service, happened: Iterable[Event]) -> None:
    """Sends events, and waits until the detector has them."""
    body = orjson.dumps([event_to_dict(event) for event in happened])
    assert service.post(body, "/v1/events/batch").status == 200
    applied(service)


class TestNearest:
    """The field `nearest` of verdicts."""

    def expected(self) -> dict[str, Any]:
        """By a detector and a fold that just read the same events: id of a verdict -> its neighbours."""
        learner, past = SETTINGS.learner(), PastStages()
        detector = Detector(SETTINGS, learner)
        current: dict[str, Verdict] = {}
        for line in LINES:
            for output in detector.step(decode(line)):
                if isinstance(output, Example):
                    learner.learn(output)
                    past.learn(output)
                elif isinstance(output, Verdict):
                    current[output.graphlet] = output
        found = {}
        for verdict in current.values():
            stages = past.of(verdict.pipeline, verdict.stage)
            features = known_features(
                detector.pipelines[verdict.pipeline],
                stages, verdict.graphlet, verdict.run, verdict.trainer, verdict.stage, verdict.validator,
            )  # fmt: skip
            found[verdict.id] = None if features is None else [
                each.to_dict() for each in Comparison(stages).nearest(features, verdict.graphlet, verdict.time_ms)
            ]  # fmt: skip
        return found

    def test_verdicts_have_them_also_after_a_restart(self, tmp_path: Path) -> None:
        """The same over HTTP, one by one and in the list, as by the fold; the service rebuilds it from its log."""
        answers = []
        for life in range(2):
            with embedded_service(tmp_path / "log", EmbeddedSettings(SETTINGS)) as service:
                if life == 0:
                    for start in range(0, len(LINES), 1000):
                        body = b"[" + b",".join(LINES[start : start + 1000]) + b"]"
                        assert service.post(body, "/v1/events/batch").status == 200
                    applied(service)
                answers.append(service.get("/v1/verdicts?limit=1000").json["verdicts"])
                one = answers[-1][0]
                assert service.get(f"/v1/verdicts/{one['graphlet']}").json == one

        listed = {each["id"]: each["nearest"] for each in answers[0]}
        assert answers[0] == answers[1]
        assert listed == self.expected()
        assert sum(len(each or ()) == 5 for each in listed.values()) > 50

    def test_beside_workers_they_are_not_known(self) -> None:
        with relayed_service() as service:
            service.verdicts.add(verdict_record("prune", "r"))

            assert service.get("/v1/verdicts").json["verdicts"][0]["nearest"] is None
            assert service.get("/v1/verdicts/p/run:r").json["nearest"] is None


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with embedded_service(tmp_path / "log") as running:
        post(running, events())
        yield running


def sides(answer: Answer) -> tuple[str, str | None]:
    """The ids of what is compared."""
    found = answer.json
    return found["graphlet"]["graphlet"], found["against"] and found["against"]["graphlet"]


class TestDifference:
    """`/v1/graphlets/{graphlet}/diff`."""

    def test_it_is_from_the_last_push_before(self, service: Service) -> None:
        """By the id of the graphlet, or of its trainer alone."""
        answer = service.get("/v1/graphlets/p/r2-train/diff")

        assert answer.status == 200
        assert sides(answer) == ("p/r2-train", "p/r1-train")
        assert answer.json["difference"]["code_version"] == {"before": "c1", "after": "c2"}
        assert service.get("/v1/graphlets/r2-train/diff").json == answer.json
        assert service.get("/v1/graphlets/p%2Fr2-train/diff").json == answer.json

    def test_it_may_be_from_any_other(self, service: Service) -> None:
        """Of another pipeline too."""
        post(service, NEXT.events("q"))

        assert sides(service.get("/v1/graphlets/p/r1-train/diff?against=p/r2-train")) == ("p/r1-train", "p/r2-train")
        assert sides(service.get("/v1/graphlets/r1-train/diff?against=q/r2-train")) == ("p/r1-train", "q/r2-train")
        assert sides(service.get("/v1/graphlets/q/r2-train/diff?against=r1-train")) == ("q/r2-train", "p/r1-train")

    def test_where_nothing_was_pushed_before_it_says_so(self, service: Service) -> None:
        answer = service.get("/v1/graphlets/p/r1-train/diff")

        assert (answer.status, answer.json["against"], answer.json["difference"]) == (200, None, None)

    @pytest.mark.parametrize(
        ("path", "status", "says"),
        [
            ("p/none/diff", 404, "there is no such graphlet"),
            ("p/run:r1/diff", 404, "there is no such graphlet"),
            ("none/diff", 404, "there is no such graphlet"),
            ("/diff", 404, ""),
            ("p/r2-train/diff?against=p/none", 404, "against: there is no such graphlet as 'p/none'"),
            ("p/r2-train/diff?against=p/run:r1", 404, "against: there is no such graphlet"),
            ("p/r2-train/diff?against=", 404, "against: there is no such graphlet"),
            ("p/r2-train/diff?againts=p/r1-train", 400, "unknown parameter 'againts'; there are against"),
            ("both/diff", 409, "more than one pipeline has this id"),
            ("p/r2-train/diff?against=both", 409, "more than one pipeline has this id"),
        ],
    )
    def test_bad_questions_are_problems(self, service: Service, path: str, status: int, says: str) -> None:
        for pipeline in ("p", "q"):
            post(service, ran(3000, "both", "Trainer", run=None, pipeline=pipeline))

        answer = service.get(f"/v1/graphlets/{path}")

        assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
        assert says in answer.json["detail"]

    def test_a_trainer_whose_id_ends_like_the_route_is_still_found(self, service: Service) -> None:
        """Where there is no graphlet without that end; with its slash quoted, always."""
        post(service, [*ran(3000, "x/diff", "Trainer"), *ran(3001, "r1-train/diff", "Trainer")])

        assert service.get("/v1/graphlets/p/x/diff").json["graphlet"]["trainer"] == "x/diff"
        assert sides(service.get("/v1/graphlets/p/x/diff/diff")) == ("p/x/diff", "p/r1-train")
        assert sides(service.get("/v1/graphlets/p/r1-train/diff")) == ("p/r1-train", None)
        assert service.get("/v1/graphlets/p/r1-train%2Fdiff").json["graphlet"]["trainer"] == "r1-train/diff"

    def test_without_a_worker_that_answers_it_is_not_known(self) -> None:
        with relayed_service() as relayed:
            answer = relayed.get("/v1/graphlets/p/t/diff")

        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert "no worker has told where it answers" in answer.json["detail"]

    def test_a_push_shows_at_once(self, service: Service) -> None:
        """The graphlet with which the next one is compared is the last that was pushed by now."""
        post(service, ran(2000, "late", "Pusher", run="r2", reads=["r2-model"]))
        post(service, ran(3000, "r3-train", "Trainer", run="r3"))

        assert sides(service.get("/v1/graphlets/p/r3-train/diff")) == ("p/r3-train", "p/r2-train")
