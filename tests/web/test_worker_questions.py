"""Questions about graphlets and lineage beside workers: the same answers as of an embedded detector."""

from __future__ import annotations

from collections.abc import Iterator

import orjson
import pytest

from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Settings
from stream_app.core.events import Event
from stream_app.service.settings import EmbeddedSettings
from stream_app.sources.native import decode
from stream_app.wire import event_to_dict
from tests.provenance.two_runs import NEXT, PUSHED
from tests.support.builders import artifact, ended, ran, started
from tests.support.recorded import fleet_lines
from tests.web.asked_workers import PARTITIONS, Fleet, beside_workers
from tests.web.served import Service, embedded_service

SETTINGS = Settings(policy=Policy(budget=0.2))

#: Pipelines with runs, trainers and artifacts of one name, ids that need escapes, and ids that look like names.
HISTORY: list[Event] = [
    *PUSHED.events("p"),
    *NEXT.events("p"),
    *PUSHED.events("q"),
    *NEXT.events("team/ads"),
    *(event for name in ("p", "q") for event in ran(3000, "both", "Trainer", run=None, pipeline=name)),
    *ran(3001, "alone", "Trainer", run=None, reads=["r2-model"], pipeline="z~1"),
    *ran(3002, "x/diff", "Trainer", run="r9", pipeline="p"),
    *ran(3003, "run:odd", "Trainer", run="odd", writes=["artifact:odd"], pipeline="q"),
    *ran(3004, "write", "CsvExampleGen", run="u", writes=[artifact("table", versioned=False)], pipeline="unv"),
    *ran(3005, "read", "Trainer", run="u", reads=[artifact("table", versioned=False)], pipeline="unv"),
    started(3006, "open", "Trainer", run="going", pipeline="going"),
    ended(3007, "first", "Trainer", run="tries", pipeline="tries", state="FAILED"),
]  # fmt: skip

GRAPHLETS = (
    "p/r2-train", "p%2Fr2-train", "q/r1-train", "team~1ads/r2-train", "team/ads/r2-train", "alone", "z~01/alone",
    "r2-train", "r1-train", "both", "p/both", "none", "p/none", "nowhere/r1-train", "p/run:r1", "p/x/diff",
    "x/diff", "q/run~2odd", "run:odd", "going/open", "p/", "/", "%FF%FE", "p%00q/r1", "x" * 3_000,
)  # fmt: skip
DIFFERENCES = (
    "p/r2-train/diff", "p/r1-train/diff", "r2-train/diff", "both/diff", "alone/diff", "p/x/diff", "p/x/diff/diff",
    "p/r2-train/diff?against=q/r1-train", "p/r2-train/diff?against=alone", "p/r2-train/diff?against=both",
    "p/r2-train/diff?against=none", "p/r2-train/diff?against=", "team~1ads/r2-train/diff?against=p/r1-train",
    "p/none/diff", "p/r2-train/diff?bogus=1",
)  # fmt: skip
NAMES = (
    "p/r2-train", "q/r1-push", "team~1ads/r2-prep", "team/ads/r2-prep", "p/artifact:r2-model", "r2-model", "schema",
    "p/schema", "p/run:r2", "p/r2", "run:r9", "run:u", "run:r1", "alone", "both", "unv/artifact:table",
    "unv/artifact:table:write", "unv/artifact:table:", "unv/table", "table", "run:odd", "q/artifact:artifact~2odd",
    "artifact:odd", "z~01/alone", "z~1/alone", "nobody", "p/nobody", "nowhere/nobody", "p/artifact:nobody", "p/run:no",
    "%FF", "p/", "/", "x" * 3_000,
)  # fmt: skip
WHY = (
    "execution=p/r2-prep&graphlet=p/r2-train", "execution=r2-prep&graphlet=p/r2-train",
    "execution=alone&graphlet=alone", "execution=alone&graphlet=p/r2-train", "execution=p/r1-train&graphlet=alone",
    "execution=p/r1-train&graphlet=p/r2-train", "execution=p/r1-push&graphlet=p/run:r1",
    "execution=alone&graphlet=p/run:r1", "execution=both&graphlet=p/r2-train", "execution=alone&graphlet=both",
    "execution=nobody&graphlet=alone", "execution=alone&graphlet=nobody", "execution=r2-model&graphlet=alone",
    "execution=alone&graphlet=p/run:none", "execution=p/r1-push&graphlet=p/r1-push",
)  # fmt: skip
DECISIONS = (
    *(f"{each}%23{revision}" for each in ("p/r2-train", "alone", "q/r1-train", "z~01/alone") for revision in range(5)),
    "p/r2-train", "none%231", "p/none%231", "%23", "%231", "p/run:r1%231", "x" * 3_000,
)  # fmt: skip
QUESTIONS = (
    *(f"/v1/graphlets/{each}" for each in (*GRAPHLETS, *DIFFERENCES)),
    *(f"/v1/lineage?id={each}" for each in NAMES),
    *(f"/v1/lineage?id={each}&direction=up&limit=2" for each in NAMES[:20]),
    *(f"/v1/lineage?id={each}&across=true" for each in NAMES),
    "/v1/lineage?id=alone&depth=0", "/v1/lineage?id=alone&after=x", "/v1/lineage?id=nobody&after=x",
    "/v1/lineage?id=alone&depth=-1", "/v1/lineage?id=", "/v1/lineage?id=p/r2-train&direction=left",
    "/v1/lineage?id=p/r2-train&after=x", "/v1/lineage?id=r2-model&limit=0", "/v1/lineage/why?execution=alone",
    *(f"/v1/lineage/why?{each}" for each in WHY),
    "/v1/verdicts?limit=1000", "/v1/verdicts?pipeline=p", "/v1/verdicts?run=r2", "/v1/verdicts/p/r2-train",
    "/v1/verdicts/alone", "/v1/verdicts/none", "/v1/verdicts/p/run:r1",
    *(f"/v1/decisions/{each}" for each in DECISIONS),
    "/v1/should-prune?run=r2&pipeline=p", "/v1/should-prune?run=r1", "/v1/should-prune?run=none",
    "/v1/should-prune?execution=alone", "/v1/should-prune?execution=both", "/v1/should-prune?run=going",
)  # fmt: skip

Answer = tuple[int, object]


def answer(service: Service, path: str) -> Answer:
    """The status and the body of an answer, without similar names, of which some are left out where there are many."""
    found = service.get(path)
    body = found.json
    if found.status == 404:
        body["detail"] = body["detail"].partition("; there are, for instance, ")[0]
    return found.status, body


def read(service: Service, events: list[Event]) -> None:
    """Posts events and waits until the detector has them."""
    assert service.embedded is not None
    for start in range(0, len(events), 1000):
        body = orjson.dumps([event_to_dict(event) for event in events[start : start + 1000]])
        assert service.post(body, "/v1/events/batch").status == 200
    while service.embedded.behind:
        with service.embedded.detector_lock:
            pass


@pytest.fixture(scope="module")
def history() -> list[Event]:
    """What happened, and a fleet with many verdicts before it."""
    return [*(decode(line) for line in fleet_lines()[:2500]), *HISTORY]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, history: list[Event]) -> dict[str, Answer]:
    """The answers of an embedded detector."""
    with embedded_service(tmp_path_factory.mktemp("one") / "log", EmbeddedSettings(SETTINGS)) as service:
        read(service, history)
        return {path: answer(service, path) for path in QUESTIONS}


@pytest.fixture(scope="module")
def fleet(history: list[Event]) -> Fleet:
    return Fleet(SETTINGS).read(history)


@pytest.fixture(scope="module", params=[1, 2, 3])
def service(request: pytest.FixtureRequest, fleet: Fleet) -> Iterator[Service]:
    with beside_workers(fleet, request.param, token="a token of some length") as running:
        yield running


@pytest.mark.parametrize("path", QUESTIONS, ids=lambda path: path[:60])
def test_workers_answer_as_an_embedded_detector_does(service: Service, expected: dict[str, Answer], path: str) -> None:
    """Word for word, however many share the pipelines."""
    assert answer(service, path) == expected[path]


def test_the_questions_have_answers(expected: dict[str, Answer], fleet: Fleet) -> None:
    """Of each kind, and every worker has some of what is asked for."""
    statuses = [status for status, _ in expected.values()]

    assert {each: statuses.count(each) > 4 for each in (200, 400, 404, 409)} == dict.fromkeys(
        (200, 400, 404, 409), True
    )
    assert all(detector.pipelines for detector in fleet.detectors.values())
    assert len(fleet.detectors) == PARTITIONS
