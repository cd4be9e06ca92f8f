"""`serve` beside workers that move, hang, are gone, or do not understand it: right answers, or one line why not."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest
from aiohttp import web

from stream_app.metrics.registry import make_registry
from stream_app.web import asking
from stream_app.web.app import make_app
from tests.provenance.two_runs import NEXT, PUSHED
from tests.web.asked_workers import PARTITIONS, Directory, Fleet, Place, State, beside_workers, place_of, worker
from tests.web.served import Answer, Service, relayed_service, served, verdict_record

GRAPHLET, PATH = "p/r2-train", "/v1/graphlets/p/r2-train"


@pytest.fixture
def fleet() -> Fleet:
    """Two pipelines in two partitions."""
    made = Fleet().read([*PUSHED.events("p"), *NEXT.events("p"), *PUSHED.events("q")])
    assert made.directory.partition_of("p") != made.directory.partition_of("q")
    return made


#: Seconds after which an impatient service gives up.
SOON = 0.4


def graphlet_of(answer: Answer) -> Any:
    """The trainer of the graphlet in a right answer."""
    assert answer.status == 200, answer.body
    return answer.json["graphlet"]["trainer"]


def problem(answer: Answer) -> tuple[int, str]:
    """The status and the words of a problem."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status, answer.json["detail"]


class Moving(Directory):
    """A directory whose partitions are at other places once somebody waits for that."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(stages=fleet.directory.stages)
        self.later: dict[int, Place] = {}
        self.waits = 0

    async def changed(self) -> None:
        """Changes when it is waited for a second time: the first was before the question was sent."""
        self.waits += 1
        if self.waits > 1:
            self.places.update(self.later)
            return
        await super().changed()


@pytest.mark.parametrize("way", ["elsewhere", "restoring", "refused", "another life", "nowhere"])
def test_a_partition_that_moved_is_asked_about_where_it_is(fleet: Fleet, way: str) -> None:
    """The first worker has it no more, restores it, or is gone; the directory changes; then the answer is right."""
    number = fleet.directory.partition_of("p")
    directory = Moving(fleet)
    with ExitStack() as stack:
        all_of_it = fleet.state(0, 1)
        at = place_of(stack.enter_context(worker(all_of_it)), all_of_it)
        without = State({}, restoring=way == "restoring")
        former = place_of(stack.enter_context(worker(without)), without)
        directory.places = dict.fromkeys(range(PARTITIONS), at)
        if way == "refused":
            former = Place(f"127.0.0.1:{free_port()}", "gone")
        if way == "another life":
            former = Place(at.address, "a former life")
        directory.places[number] = former
        if way == "nowhere":
            del directory.places[number]
        directory.later = {number: at}
        service = stack.enter_context(relayed_service(directory))

        assert graphlet_of(service.get(PATH)) == "r2-train"
        directory.places[number], directory.waits = former, 0
        assert graphlet_of(service.get("/v1/graphlets/r2-train")) == "r2-train"
        directory.places[number], directory.waits = former, 0
        assert service.get("/v1/lineage?id=r2-train&across=true").status == 200


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@contextmanager
def hanging() -> Iterator[Place]:
    """A worker that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)
        host, port = listening.getsockname()
        yield Place(f"{host}:{port}", "hanging")


@pytest.mark.parametrize("way", ["hanging", "refused", "closing", "stranger", "unknown host"])
def test_a_worker_that_is_gone_is_said_to_be(fleet: Fleet, way: str) -> None:
    """Of the other worker's pipelines answers are right meanwhile; what all must be asked cannot be told."""
    number = fleet.directory.partition_of("p")
    with ExitStack() as stack:
        service = stack.enter_context(beside_workers(fleet, 1))
        fleet.directory.places[number] = {
            "hanging": lambda: stack.enter_context(hanging()),
            "refused": lambda: Place(f"127.0.0.1:{free_port()}", "gone"),
            "stranger": lambda: stack.enter_context(stranger()),
            "closing": lambda: stack.enter_context(closing_at_once()),
            "unknown host": lambda: Place("no-such-host.invalid:80", "gone"),
        }[way]()
        impatient = stack.enter_context(relayed_service(fleet.directory, seconds=SOON))
        for path in (PATH, "/v1/graphlets/r2-train", "/v1/lineage?id=p/r2-train", "/v1/lineage?id=nobody",
                     f"/v1/lineage/why?execution=q/r1-push&graphlet={GRAPHLET}"):  # fmt: skip
            answer = impatient.get(path)
            status, words = problem(answer)
            assert (status, words.endswith(" moves to another worker; ask again")) == (503, True)
            assert answer.headers["Retry-After"] == "1"

        assert graphlet_of(service.get("/v1/graphlets/q/r1-train")) == "r1-train"
        assert service.get("/v1/lineage?id=q/r1-push").status == 200
        impatient.verdicts.add(verdict_record("continue", "r2", "r2-train") | {"time": "2026-03-01T00:00:00Z"})
        [verdict] = impatient.get("/v1/verdicts?limit=1000").json["verdicts"]
    assert verdict["trainer"] == "r2-train"


@contextmanager
def stranger() -> Iterator[Place]:
    """Another service, which has taken the port."""
    with relayed_service() as other:
        yield Place(f"{other.host}:{other.port}", "gone")


@contextmanager
def closing_at_once() -> Iterator[Place]:
    """What closes every connection."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(64)

        def close() -> None:
            while True:
                try:
                    listening.accept()[0].close()
                except OSError:
                    return

        thread = threading.Thread(target=close)
        thread.start()
        host, port = listening.getsockname()
        yield Place(f"{host}:{port}", "closing")
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_partition_that_nobody_has_told_of_is_not_known(fleet: Fleet) -> None:
    """Nothing is answered of what is left, as if it were all."""
    number = fleet.directory.partition_of("q")
    with beside_workers(fleet, 2, seconds=SOON) as service:
        del fleet.directory.places[number]
        status, words = problem(service.get("/v1/graphlets/r2-train"))

    assert (status, words.endswith("; ask again")) == (503, True)


@pytest.mark.parametrize(("known", "shown"), [("a token of the workers", None), ("a token of the workers", "another")])
def test_a_wrong_token_is_one_line(fleet: Fleet, known: str, shown: str | None) -> None:
    """Which does not have it."""
    with worker(fleet.state(0, 1), fleet.directory, known), relayed_service(fleet.directory, shown) as service:
        status, words = problem(service.get(PATH))

    assert (status, words.endswith("refuses the token: set queries.token to the same value for all")) == (502, True)
    assert known not in words


def test_a_token_that_is_not_asked_for_does_no_harm(fleet: Fleet) -> None:
    with worker(fleet.state(0, 1), fleet.directory), relayed_service(fleet.directory, "any token at all") as service:
        assert graphlet_of(service.get(PATH)) == "r2-train"


@contextmanager
def impostor(directory: Directory, status: int, body: bytes, **headers: str) -> Iterator[Service]:
    """`serve` beside what answers the same to every question."""

    async def handle(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers=headers)

    app = make_app([web.route("*", "/{rest:.*}", handle)], lambda: "", make_registry())
    with served(app) as other:
        place = Place(f"{other.host}:{other.port}", "impostor")
        directory.places = dict.fromkeys(range(PARTITIONS), place)
        with relayed_service(directory) as service:
            yield service


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (200, b"", "failed on the question"),
        (200, b"null", "failed on the question"),
        (200, b"[]", "failed on the question"),
        (200, b"{}", "failed on the question"),
        (200, b"<html>", "failed on the question"),
        (200, b"\xff", "failed on the question"),
        (204, b"", "failed on the question"),
        (302, b"", "failed on the question"),
        (200, b'{"answer": null}', "failed on the question"),
        (200, b'{"answer": null, "instance": "another"}', "failed on the question"),
        (200, b'{"unknown": "nothing of that name", "instance": "another"}', "failed on the question"),
        (200, b'{"instance": "impostor"}', "failed on the question"),
        (418, b'{"detail": "teapot"}', "failed on the question"),
        (500, b'{"detail": "a secret"}', "failed on the question"),
        (400, b'{"detail": "expected a question"}', "another release"),
        (501, b'{"detail": "no such question"}', "another release"),
    ],
)
def test_what_is_no_answer_is_said_to_be_none(status: int, body: bytes, says: str) -> None:
    """In one line; the words of a failure are not repeated, and redirections are not followed."""
    with impostor(Directory(), status, body, Location="http://127.0.0.1:1/") as service:
        found = problem(service.get(PATH))

    assert (found[0], says in found[1]) == (502, True)
    assert "secret" not in found[1]


def test_an_answer_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_ANSWER_BYTES", 1_000)
    with impostor(Directory(), 200, b" " * 2_000) as service:
        status, words = problem(service.get(PATH))

    assert (status, words.endswith("answers more than 1,000 bytes")) == (502, True)


class TestWhoStops:
    """`/v1/should-prune` by a run alone, which several pipelines may have."""

    def test_a_run_that_another_pipeline_has_is_not_stopped(self, fleet: Fleet) -> None:
        """Though that pipeline has no verdict on it yet."""
        with beside_workers(fleet, 2) as service:
            service.verdicts.add(verdict_record("prune", "r1", pipeline="p"))
            assert problem(service.get("/v1/should-prune?run=r1"))[0] == 409
            service.verdicts.add(verdict_record("prune", None, "r1-train", pipeline="p"))
            assert problem(service.get("/v1/should-prune?execution=r1-train"))[0] == 409
            assert service.get("/v1/should-prune?run=r1&pipeline=p").json["prune"] is True

    def test_while_that_cannot_be_found_out_it_is_not_stopped(self, fleet: Fleet) -> None:
        """A verdict that stops nobody is answered without asking."""
        with beside_workers(fleet, 1, seconds=SOON) as service:
            fleet.directory.places.clear()
            service.verdicts.add(verdict_record("prune", "stops", pipeline="p"))
            service.verdicts.add(verdict_record("continue", "goes on", pipeline="p"))
            service.verdicts.add(verdict_record("prune", "is observed", pipeline="p", mode="observe"))

            assert problem(service.get("/v1/should-prune?run=stops"))[0] == 503
            assert service.get("/v1/should-prune?run=goes+on").json["decision"] == "continue"
            assert service.get("/v1/should-prune?run=is+observed").json["prune"] is False
            assert service.get("/v1/should-prune?run=stops&pipeline=p").json["prune"] is True

    def test_where_workers_answer_no_questions_verdicts_decide(self) -> None:
        """As in a deployment without the directory."""
        with relayed_service() as service:
            service.verdicts.add(verdict_record("prune", "r"))
            assert service.get("/v1/should-prune?run=r").json["prune"] is True
