"""`GET /v1/lineage` and `/v1/lineage/why`: of an embedded detector, and beside workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest

from stream_app.alerts.access import Principal, Scope, Token, Tokens, digest_of
from stream_app.core.events import Event
from stream_app.wire import event_to_dict
from tests.provenance.graphs import asked, detector_of
from tests.support.builders import ended, ran
from tests.web.served import Service, embedded_service, relayed_service
from tests.web.test_http import applied

LOG = [
    *ran(0, "gen", "CsvExampleGen", writes=["s3://bucket/span"]),
    *ran(1, "stats", "StatisticsGen", reads=["s3://bucket/span"]),
    *ran(2, "train", "Trainer", reads=["s3://bucket/span"], writes=["model"]),
    *ran(3, "push", "Pusher", reads=["model"], writes=["pushed"]),
    *ran(9, "other", "Trainer", run="r2", reads=["s3://bucket/span"], pipeline="q"),
    *ran(9, "train", "Trainer", run="r2", reads=["model"], pipeline="q"),
]


def tell(service: Service, log: list[Event]) -> None:
    """Posts events, and waits until the detector has them."""
    body = orjson.dumps([event_to_dict(event) for event in log])
    assert service.post(body, "/v1/events/batch").status == 200
    applied(service)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with embedded_service(tmp_path_factory.mktemp("served") / "log") as running:
        tell(running, LOG)
        yield running


def get(service: Service, path: str = "", **query: object) -> Any:
    """The answer to a question."""
    answer = service.get(f"/v1/lineage{path}?{urlencode(query)}")
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json


def test_it_answers_as_the_detector_would(service: Service) -> None:
    """Word for word, with every parameter."""
    detector = detector_of(LOG)

    assert get(service, id="p/push", direction="up") == asked(detector, "p/push", direction="up")
    assert get(service, id="push") == asked(detector, "p/push")
    assert get(service, id="p/s3://bucket/span", direction="down", depth=1, across="true") == asked(
        detector, "p/artifact:s3~2//bucket/span", direction="down", depth=1, across=True
    )
    assert get(service, id="p/run:r1", depth=0, across="false") == asked(detector, "p/run:r1", depth=0)


def test_pages_follow_one_another(service: Service) -> None:
    """By the cursor of the page before."""
    pages = [get(service, id="p/push", direction="up", limit=2)]
    while pages[-1]["next"] is not None:
        pages.append(get(service, id="p/push", direction="up", limit=2, after=pages[-1]["next"]))

    assert [[node["id"] for node in page["nodes"]] for page in pages] == [
        ["push", "model"], ["train", "s3://bucket/span"], ["gen"],
    ]  # fmt: skip


def test_why_an_execution_is_in_a_graphlet_and_why_not(service: Service) -> None:
    member = get(service, "/why", execution="p/gen", graphlet="p/train")
    other = get(service, "/why", execution="q/other", graphlet="p/train")

    assert (member["sets"], [node["id"] for node in member["path"]]) == (["up"], ["gen", "s3://bucket/span", "train"])
    assert (other["member"], other["rule"]) == (False, "other_pipeline")


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("", 400, "id: missing; expected the name of an execution, an artifact or a run"),
        ("id=", 400, "id: missing"),
        ("id=push&bogus=1", 400, "there is no parameter 'bogus'; there are id, direction, depth, limit, after, across"),
        ("id=push&direction=left", 400, "direction: expected one of up, down, both"),
        ("id=push&depth=-1", 400, "depth: expected a number from 0 to 10000"),
        ("id=push&depth=1e3", 400, "depth: expected"),
        ("id=push&depth=99999999999999999999", 400, "depth: expected"),
        ("id=push&depth=%D9%A3", 400, "depth: expected"),
        ("id=push&limit=0", 400, "limit: expected a number from 1 to 1000"),
        ("id=push&limit=1001", 400, "limit: expected"),
        ("id=push&limit=", 400, "limit: expected"),
        ("id=push&across=yes", 400, "across: expected true or false"),
        ("id=push&after=", 400, "after: expected the cursor of an answer"),
        ("id=push&after=%FF%00", 400, "after: expected the cursor"),
        ("id=nobody", 404, "nobody: no such execution, artifact or run; there are, for instance, "),
        ("id=%FF%FE%0A", 404, "no such execution, artifact or run"),
        (f"id={'x' * 6_000}", 404, "no such execution, artifact or run"),
        ("id=train", 409, "train: names 2 things: give one of p/train, q/train"),
    ],
)
def test_a_wrong_question_is_one_line(service: Service, query: str, status: int, says: str) -> None:
    """With its status, and the parameter that is wrong."""
    answer = service.get(f"/v1/lineage?{query}")

    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert says in answer.json["detail"]
    assert len(answer.json["detail"].splitlines()) == 1
    assert (answer.json.get("field") is not None) == (status == 400)


@pytest.mark.parametrize(
    ("query", "status", "says"),
    [
        ("graphlet=p/train", 400, "execution: missing; expected the name of an execution"),
        ("execution=p/gen", 400, "graphlet: missing; expected the id of a graphlet"),
        ("execution=p/gen&graphlet=p/train&depth=1", 400, "there is no parameter 'depth'"),
        ("execution=model&graphlet=p/train", 404, "model: no such execution"),
        ("execution=p/gen&graphlet=p/gen", 404, "p/gen: no such graphlet"),
        ("execution=train&graphlet=p/train", 409, "train: names 2 things"),
    ],
)
def test_a_wrong_question_why_is_one_line(service: Service, query: str, status: int, says: str) -> None:
    answer = service.get(f"/v1/lineage/why?{query}")

    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert says in answer.json["detail"]


def test_other_methods_are_refused_and_a_slash_makes_no_difference(service: Service) -> None:
    assert service.ask("POST", "/v1/lineage", b"{}").status == 405
    assert service.get("/v1/lineage/?id=push").json == service.get("/v1/lineage?id=push").json


def test_an_answer_to_a_hub_is_a_page_however_many_read_it(tmp_path: Path) -> None:
    """The service goes on taking events."""
    log = ran(0, "gen", "CsvExampleGen", writes=["hub"])
    log += [ended(1, f"reader{n}", "StatisticsGen", run=f"r{n}", reads=["hub"]) for n in range(5_000)]
    with embedded_service(tmp_path / "log") as service:
        tell(service, log)
        answer = service.get(f"/v1/lineage?id={quote('p/artifact:hub')}&direction=down")
        tell(service, ran(9, "late", "StatisticsGen", reads=["hub"]))
        late = service.get("/v1/lineage?id=late&direction=up").json

    assert (len(answer.json["nodes"]), answer.json["truncated"]) == (200, False)
    assert len(answer.body) < 100_000
    assert [node["id"] for node in late["nodes"]] == ["late", "hub", "gen"]


def test_it_needs_a_token_where_the_service_does(tmp_path: Path) -> None:
    """As other questions: a token that is bound to pipelines may not ask."""
    tokens = Tokens(
        [
            Token(digest_of("reader"), Principal("reader", Scope.READ)),
            Token(digest_of("bound"), Principal("bound", Scope.READ, (), ("p*",))),
        ]
    )
    with embedded_service(tmp_path / "log", tokens=tokens) as service:
        for path in ("/v1/lineage?id=push", "/v1/lineage/why?execution=gen&graphlet=train"):
            statuses = [
                service.ask("GET", path, headers={"Authorization": f"Bearer {token}"}).status
                for token in ("wrong", "bound", "reader")
            ]
            assert statuses == [401, 403, 404]


@pytest.mark.parametrize("path", ["/v1/lineage?id=push", "/v1/lineage/why?execution=gen&graphlet=train"])
def test_without_a_worker_that_answers_it_is_not_known(path: str) -> None:
    """As of `/v1/graphlets`."""
    with relayed_service() as service:
        answer = service.get(path)

    assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.json["detail"].startswith("no worker has told where it answers")
