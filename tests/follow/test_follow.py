"""`stream-app follow` from real stores into the real service."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
from mlflow import MlflowClient

from stream_app.follow.cursor_file import CursorFile
from stream_app.follow.event_poster import EventPoster, ServiceUnavailableError
from stream_app.follow.follower import Follower
from stream_app.follow.stores import mlmd_passes
from stream_app.sources.mlmd import Rules
from stream_app.wire import event_to_dict
from tests.follow.follow_process import FollowProcess, once
from tests.sources.final_graphlets import graphlets, native, shape
from tests.sources.history import history
from tests.sources.mlmd_store import OUTPUT, StoreWriter, names, write_history
from tests.support.builders import DAY, T0, ran
from tests.support.nobody import nobody
from tests.web.served import Process, Service, embedded_service
from tests.web.test_http import applied, stored

TOKEN = "s3cret-token"


@pytest.fixture
def followers() -> Iterator[list[FollowProcess]]:
    """Those in it are killed in the end."""
    made: list[FollowProcess] = []
    yield made
    for each in made:
        each.kill()


def until(holds: Callable[[], Any], seconds: float = 60) -> Any:
    """Waits for something that comes about in another process; returns it."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)
    return found


def found_in(service: Service, called: Mapping[str, str]) -> dict[str, Any]:
    """What the service made of all it was sent, by trainer, with the names of the history."""
    applied(service)
    assert service.embedded is not None
    found = {}
    for record in service.embedded.detector.graphlets():
        sets = {each: sorted(called[one] for one in record[each]) for each in ("up", "down", "side")}
        kept = {each: record[each] for each in ("pipeline", "run", "outcome", "cause")}
        found[called[record["trainer"]]] = kept | sets
    return found


@pytest.mark.slow
def test_a_store_becomes_the_graphlets_of_native_events(tmp_path: Path) -> None:
    """Killed when all is acknowledged and nothing saved, it sends all again; nothing is lost and nothing changes."""
    store, cursor = tmp_path / "store.sqlite", tmp_path / "cursor"
    with StoreWriter(store) as writer:
        write_history(writer, history())
    with embedded_service(tmp_path / "log") as service:
        arguments = ("mlmd", str(store), "--cursor", str(cursor), "--url", service.url)
        killed, _ = once(*arguments, killed=True)
        without_a_cursor = not cursor.exists()
        sent = once(*arguments)
        idle = once(*arguments)
        found = found_in(service, names(store))
    events = [message for message in stored(tmp_path / "log") if b'"pipeline":"digits"' in (message or b"")]

    assert (killed, without_a_cursor) == (-signal.SIGKILL, True)
    assert sent == (0, f"{len(events) // 2} events sent to {service.url}\n")
    assert idle == (0, f"0 events sent to {service.url}\n")
    assert events[: len(events) // 2] == events[len(events) // 2 :]
    assert found == shape(graphlets(native(history())))


@pytest.mark.slow
def test_a_store_is_followed_while_it_grows(tmp_path: Path, followers: list[FollowProcess]) -> None:
    """A service that is away is one line in the log, and is sent everything when it is there; SIGTERM is no failure."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        trainer = writer.execution(0, "Trainer")
        follower = FollowProcess(
            tmp_path / "follower.log", "mlmd", str(tmp_path / "store.sqlite"), "--cursor", str(tmp_path / "c"),
            "--url", url,
        )  # fmt: skip
        followers.append(follower)
        follower.logged(f"cannot reach {url}: [Errno 111] Connection refused; trying again every 2 s")
        served = Process(tmp_path / "data", "--port", str(port))
        try:
            follower.logged("1 events sent")
            writer.edge(20, trainer, writer.artifact(20, "Model"), OUTPUT)
            writer.update(20, trainer, "COMPLETE")
            answer = f"/v1/verdicts/digits/{trainer}"
            until(lambda: (said := served.service.get(answer)).status == 200 and said.json["stage"] == "train")
            code, log = follower.end()
        finally:
            served.end()

    assert code == 0
    assert (log.count("cannot reach"), log.count("following again"), "Traceback" in log) == (1, 1, False)


def test_a_tracking_server_is_followed(tmp_path: Path, mlflow_url: str) -> None:
    """A run and its alias become a graphlet that was pushed; what MLflow's names mean comes from the settings."""
    client = MlflowClient(mlflow_url, mlflow_url)
    run = client.create_run(client.create_experiment("followed")).info.run_id
    (tmp_path / "settings.toml").write_text('[mlflow]\nexperiments = ["followed"]\npushed_aliases = ["live"]\n')
    with embedded_service(tmp_path / "log") as service:
        arguments = ("mlflow", mlflow_url, "--cursor", str(tmp_path / "cursor"), "--url", service.url)
        settings = ("--config", str(tmp_path / "settings.toml"))
        begun = once(*arguments, *settings)
        client.set_terminated(run)
        client.create_registered_model("followed")
        version = client.create_model_version("followed", f"runs:/{run}/model", run).version
        client.set_registered_model_alias("followed", "live", version)
        ended = once(*arguments, *settings)
        idle = once(*arguments, *settings)
        applied(service)
        found = service.get(f"/v1/graphlets/followed/{run}").json

    assert [each[0] for each in (begun, ended, idle)] == [0, 0, 0]
    assert [each[1].split()[0] for each in (begun, ended, idle)] == ["1", "3", "0"]
    assert (found["graphlet"]["down"], found["outcome"]["pushed"]) == (["followed/1@live"], True)


@pytest.mark.slow
def test_a_tracking_server_that_is_away_is_asked_again(tmp_path: Path, followers: list[FollowProcess]) -> None:
    """One line a while, though its client tries several times; SIGTERM ends it in the middle of such a try."""
    with nobody() as address, embedded_service(tmp_path / "events") as service:
        arguments = ("mlflow", f"http://{address}", "--cursor", str(tmp_path / "cursor"), "--url", service.url)
        follower = FollowProcess(tmp_path / "log", *arguments)
        followers.append(follower)
        follower.logged("trying again every 2 s")
        code, log = follower.end()

    assert (code, log.count("\n"), "MLflow: API request to" in log) == (0, 1, True)


class TestPosting:
    """What the service says, and what becomes of it."""

    def test_events_that_it_refuses_are_told_and_ignored(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Such as those of a sender whose clock is wrong; the others are stored."""
        good = ran(0, "t", "Trainer")
        wrong = ran((time.time() * 1000 - T0 + 3 * DAY) / 60_000, "late", "Trainer")
        messages = [(orjson.dumps(event_to_dict(event)), event.pipeline) for event in (*wrong, *good)]
        with embedded_service(tmp_path / "log", token=TOKEN) as service:
            posting = EventPoster(f"{service.url}/", TOKEN)
            posting.send(messages)
            posting.send(messages[: len(wrong)])

        assert stored(tmp_path / "log") == [message for message, _ in messages[len(wrong) :]]
        assert f"refuses {len(wrong)} events; the first: time: " in caplog.text
        assert f"refuses all of {len(wrong)} events" in caplog.text

    def test_a_full_disk_is_waited_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A while here, and by whoever follows as long as it takes."""
        monkeypatch.setattr("stream_app.follow.event_poster._BUSY_MAX_SECONDS", 0.0)
        event = ran(0, "t", "Trainer", properties={f"k{number}": "x" * 900 for number in range(200)})[-1]
        with embedded_service(tmp_path / "log", allow_pages=40) as service:
            posting = EventPoster(service.url, None)
            with pytest.raises(
                ServiceUnavailableError, match=r"accepts no events now: 503 cannot be stored now: .*full"
            ):
                posting.send([(orjson.dumps(event_to_dict(event)), "p")])

    def test_nothing_counts_as_sent_where_the_service_is_away(self, tmp_path: Path) -> None:
        """With one pass only it is a failure."""
        with StoreWriter(tmp_path / "store.sqlite") as writer:
            writer.execution(0, "Trainer")
        file = CursorFile(tmp_path / "cursor", {})
        begin = mlmd_passes(str(tmp_path / "store.sqlite"), Rules())

        with pytest.raises(ServiceUnavailableError, match="cannot reach"):
            Follower(begin, EventPoster("http://127.0.0.1:1", None), file, retries=False).one_pass()
        assert file.read() is None


class TestWrongUse:
    """One line each, exit code 2."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> str:
        path = tmp_path / "store.sqlite"
        with StoreWriter(path) as writer:
            writer.execution(0, "Trainer")
        return str(path)

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (("mlmd", "{store}", "--url", "http://h", "--bootstrap-servers", "h:1"), "are two targets; give one"),
            (("mlmd", "{store}", "--url", "localhost:8484"), "--url: expected the address of a service"),
            (("mlmd", "nowhere.sqlite", "--url", "http://h"), "nowhere.sqlite: no such file"),
            (("mlflow", "mlruns", "--url", "http://h"), "not the address of a tracking server"),
        ],
    )
    def test_it_is_told(self, store: str, tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
        given = [argument.format(store=store) for argument in arguments]
        code, said = once(*given, "--cursor", str(tmp_path / "cursor"))

        assert (code, said.count("\n")) == (2, 1)
        assert says in said

    @pytest.mark.slow
    def test_a_wrong_token_and_another_service_are_told(self, store: str, tmp_path: Path) -> None:
        """The right token comes from the settings of the service; the token is in no line."""
        arguments = ("mlmd", store, "--cursor", str(tmp_path / "cursor"), "--url")
        with embedded_service(tmp_path / "log", token=TOKEN) as service:
            wrong = once(*arguments, service.url, variables={"STREAM_APP_SERVE_TOKEN": "wrong-token"})
            other = once(*arguments, f"{service.url}/elsewhere", variables={"STREAM_APP_SERVE_TOKEN": TOKEN})
            right = once(*arguments, service.url, variables={"STREAM_APP_SERVE_TOKEN": TOKEN})

        assert (wrong[0], "needs another token: set serve.token" in wrong[1], "wrong-token" in wrong[1]) == (
            2,
            True,
            False,
        )
        assert (other[0], "does not answer as `stream-app serve`: 404" in other[1]) == (2, True)
        assert right[0] == 0
