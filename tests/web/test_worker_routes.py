"""The endpoint in which a worker is asked: who may ask, what is refused, and what it has open."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from stream_app.provenance.questions import QUESTIONS
from stream_app.web.worker_routes import QUESTION_BYTES
from tests.provenance.two_runs import PUSHED
from tests.web.asked_workers import PARTITIONS, Fleet, State, worker
from tests.web.served import JSON, Answer, Service

TOKEN = "a token of some length"
FLEET = Fleet().read(list(PUSHED.events("p")))
NUMBER = FLEET.directory.partition_of("p")
GRAPHLET = {"id": "p/r1-train"}


@pytest.fixture(scope="module")
def state() -> State:
    """The state of a worker that has every second partition, that of the pipeline among them."""
    own = {number: FLEET.detectors[number] for number in range(PARTITIONS) if number % 2 == NUMBER % 2}
    return State(own)


@pytest.fixture(scope="module")
def service(state: State) -> Iterator[Service]:
    with worker(state, token=TOKEN) as running:
        yield running


def ask(
    service: Service,
    question: str = "graphlet",
    parameters: object = GRAPHLET,
    headers: Mapping[str, str] | None = None,
    **changed: object,
) -> Answer:
    """A question, with its parts changed."""
    asked: dict[str, Any] = {"instance": "first", "of": PARTITIONS, "partitions": [NUMBER], "parameters": parameters}
    body = json.dumps({**asked, **changed}).encode()
    sent = {"Authorization": f"Bearer {TOKEN}"} if headers is None else headers
    return service.ask("POST", f"/internal/v1/{question}", body, {**JSON, **sent})


def refusal(answer: Answer) -> tuple[int, str]:
    """The status and the words of a problem."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    return answer.status, answer.json["detail"]


def test_it_answers_whoever_has_the_token(service: Service) -> None:
    answer = ask(service)

    assert (answer.status, answer.json["answer"]["trainer"]) == (200, "r1-train")


@pytest.mark.parametrize(
    "given",
    [{}, {"Authorization": ""}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {TOKEN}x"},
     {"Authorization": f"Bearer {TOKEN[:-1]}"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": TOKEN},
     {"Authorization": f"Bearer {TOKEN.upper()}"}, {"X-Token": TOKEN}, {"Cookie": f"token={TOKEN}"}],
)  # fmt: skip
def test_nobody_else_is_told_anything(
    service: Service, given: Mapping[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Nor which paths there are; and the token is in no log line."""
    with caplog.at_level(logging.DEBUG):
        answers = [ask(service, headers=given), ask(service, "nothing", headers=given)]
        answers.append(service.ask("GET", "/metrics", headers=dict(given)))

    assert {refusal(each) for each in answers} == {(401, "expected a valid bearer token")}
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("127.0.0.1:80", 200), ("localhost", 200), ("localhost:4711", 200), ("[::1]:4711", 200),
     ("evil.example", 403), ("evil.example:80", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403),
     ("localhost@evil.example", 403), ("0.0.0.0", 403), ("", 403), ("127.0.0.1:80:evil.example", 403)],
)  # fmt: skip
def test_without_a_token_only_names_of_the_own_machine_are_answered(state: State, host: str, status: int) -> None:
    """A page in a browser of the machine, whose name leads here, has another one."""
    with worker(state) as open_to_all:
        assert ask(open_to_all, headers={"Host": host}).status == status


@pytest.mark.parametrize("path", ["/", "/v1/graphlets/p/r1-train", "/internal/v1", "/internal/v2/graphlet", "/x" * 500])
def test_other_paths_are_no_questions(service: Service, path: str) -> None:
    """So that a service of another release can say so."""
    for method in ("GET", "POST", "DELETE"):
        answer = service.ask(method, path, headers={"Authorization": f"Bearer {TOKEN}"})
        assert refusal(answer)[0] == 501


@pytest.mark.parametrize("question", ["nothing", "GRAPHLET", "graphlet%2Fx", "..%2f..%2fetc", "%00", "a" * 4_000])
def test_unknown_questions_are_refused(service: Service, question: str) -> None:
    assert ask(service, question).status == 501


def test_questions_are_posted(service: Service) -> None:
    answer = service.ask("GET", "/internal/v1/graphlet", headers={"Authorization": f"Bearer {TOKEN}"})

    assert refusal(answer)[0] == 501


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{}", b"{", b"\xff\xfe", b"7", b'"x"', b"[" * 100_000, b'{"a":' * 50_000,
     b'{"instance":1}', b'{"instance":"first","of":5,"partitions":[0],"parameters":[]}',
     b'{"instance":"first","of":5,"partitions":[0.5],"parameters":{}}',
     b'{"instance":"first","of":5,"partitions":[true],"parameters":{}}',
     b'{"instance":"first","of":"5","partitions":[0],"parameters":{}}',
     b'{"instance":"first","of":5,"partitions":"0","parameters":{}}',
     b'{"instance":null,"of":5,"partitions":[0],"parameters":{}}'],
    ids=lambda body: str(body[:20]),
)  # fmt: skip
def test_what_is_no_question_is_one_line(service: Service, body: bytes) -> None:
    answer = service.ask("POST", "/internal/v1/graphlet", body, {**JSON, "Authorization": f"Bearer {TOKEN}"})

    assert refusal(answer) == (400, "expected a question: instance, of, partitions and parameters")


@pytest.mark.parametrize("question", sorted(QUESTIONS))
@pytest.mark.parametrize(
    "parameters",
    [{}, {"id": 1}, {"id": None, "name": None, "run": None, "trainer": None}, {"id": ["p/r1-train"]},
     {"stages": 1}, {"stages": [1]}, {"stages": [["p", "r", "t", "input"]]}, {"stages": [[{}, 1, 2, 3, 4]]},
     {"name": "x", "wanted": "everything"}, {"name": "x", "wanted": 7}, {"name": {}, "wanted": "graphlet"},
     {"ask": "everything"}, {"ask": None}, {"ask": "find", "name": "x" * 20_000}, {"ask": "find", "name": 5},
     {"ask": "page", "target": ["execution"], "depth": -1}, {"execution": "p/r1-push"},
     {"execution": [], "graphlet": 1}],
)  # fmt: skip
def test_wrong_parameters_are_one_line(service: Service, question: str, parameters: dict[str, object]) -> None:
    """Whatever they are; and what is not asked for is not read."""
    answer = ask(service, question, parameters)

    assert refusal(answer)[0] == 400
    assert len(answer.json["detail"].splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    ["", "/", "p/", "/r1-train", "p//r1-train", "p/r1-train/", "~", "~9", "p~1/r1-train", "p/run:", "p/run:r1",
     "p/artifact:", "p/artifact::", "\x00", "p/\x00", "\n", "\r\nHost: x", "../../etc/passwd", "%2e%2e", "${jndi:x}",
     "'; DROP TABLE x; --", "<script>", "\u202e", "\ud800", "é" * 2_000, "x" * 9_000, "/" * 5_000,
     "~" * 5_000],
    ids=lambda name: ascii(name[:15]),
)  # fmt: skip
def test_hostile_names_name_nothing(service: Service, name: str) -> None:
    """They are answered like any other name that is unknown."""
    graphlet = ask(service, "graphlet", {"id": name})
    portraits = ask(service, "portraits", {"id": name})
    pipelines = ask(service, "pipelines-with", {"trainer": name})
    looked_up = ask(service, "names", {"name": name, "wanted": "execution"})
    found = ask(service, "lineage", {"ask": "find", "name": name})
    why = ask(service, "why", {"execution": name, "graphlet": name})

    assert [each.json["answer"] for each in (graphlet, portraits, pipelines)] == [None, None, []]
    assert (looked_up.status, looked_up.json["answer"][1]) == (200, 0)
    assert (found.status, set(why.json)) == (200, {"instance", "unknown"})


def test_large_questions_and_other_types_are_refused(service: Service) -> None:
    login = {"Authorization": f"Bearer {TOKEN}"}

    def post(body: bytes, **headers: str) -> int:
        return service.ask("POST", "/internal/v1/graphlet", body, {**JSON, **login, **headers}).status

    assert post(b"x" * (QUESTION_BYTES + 1)) == 413
    assert post(b"{}", **{"Content-Type": "text/plain"}) == 415
    assert post(b"{}", **{"Content-Type": "application/x-www-form-urlencoded"}) == 415
    assert post(b"{}", **{"Content-Encoding": "gzip"}) == 415


def test_it_answers_for_what_it_has_open(service: Service, state: State) -> None:
    """Others are elsewhere; while partitions are restored, it may be asked again."""
    other = (NUMBER + 1) % PARTITIONS

    assert refusal(ask(service, partitions=[NUMBER, other])) == (421, f"partition {other} is not at this worker")
    for number in (-1, PARTITIONS, 1 << 70):
        assert ask(service, partitions=[number]).status == 421
    state.restoring = True
    restoring = ask(service, partitions=[other])
    state.restoring = False
    assert (restoring.status, restoring.headers["Retry-After"]) == (503, "1")


def test_another_life_of_a_worker_is_another_worker(service: Service) -> None:
    """A port is taken again by others, also those of another deployment."""
    for changed in ({"instance": "second"}, {"instance": ""}, {"of": PARTITIONS + 1}):
        assert refusal(ask(service, **changed))[0] == 421


def test_probes_need_no_token(service: Service) -> None:
    """As of every service; metrics do."""
    assert [service.get(path).status for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 401]
