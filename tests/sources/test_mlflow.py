"""A real tracking server and registry, driven by the real client, become graphlets with the right outcomes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from stream_app.core.events import COMPLETE, RUNNING
from stream_app.sources.mlflow import (
    Cursor,
    Deliveries,
    Rules,
    TrackingUnavailable,
    decode_webhook,
    follow,
    origins,
    tracking,
)
from tests.sources.final_graphlets import graphlets, native
from tests.sources.history import Step, history
from tests.sources.mlflow_project import Server, now_ms
from tests.sources.trained import accuracies
from tests.support.builders import MINUTE

STATUS = {"COMPLETE": "FINISHED", "FAILED": "FAILED", "CANCELED": "KILLED"}


def tell(server: Server, steps: Sequence[Step]) -> dict[str, str]:
    """Tells the trainings of a history; returns run ids of pipeline runs by their names."""
    runs = {}
    pushed = {step.run for step in steps if any(each.properties.get("pushed") for each in step.writes)}
    ends = {step.run: step for step in steps if step.type == "PipelineRun"}
    for step in steps:
        if step.type != "Trainer" or step.state == "CACHED":
            continue
        whole = ends.get(step.run)
        runs[step.run] = server.run(whole.start if whole is not None else step.start - 10)
        training = server.run(step.start, runs[step.run], data=["digits", f"{step.run}/examples"])
        if step.end is not None:
            metrics = {key: value for key, value in step.properties.items() if isinstance(value, float)}
            server.end(training, step.end, STATUS[step.state], **metrics)
        if step.run in pushed:
            server.client.set_registered_model_alias(server.name, "champion", server.register(training))
        if whole is not None and whole.end is not None:
            server.end(runs[step.run], whole.end, STATUS[whole.state])
    return runs


def test_a_real_training_has_the_outcomes_of_the_same_history_told_natively(server: Server) -> None:
    """A hung, a killed and a failed run among them; the alias moves from one push to the next.

    A push that was refused leaves no trace in a registry, so there it is only a run that ended.
    """
    steps = [step for step in history(accuracies()) if step.run != "cached"]
    cursor, told = Cursor(), []
    causes = {"refused": "run_ended"}
    expected = {
        each["run"]: (each["outcome"], causes.get(each["cause"], each["cause"]))
        for each in graphlets(native(steps)).values()
    }
    names = {}
    for run in dict.fromkeys(step.run for step in steps):
        names.update({key: name for name, key in tell(server, [s for s in steps if s.run == run]).items()})
        told += server.follow(cursor)

    found = graphlets(told)

    assert {names[each["run"]]: (each["outcome"], each["cause"]) for each in found.values()} == expected
    assert {each["pipeline"] for each in found.values()} == {server.name}
    assert sorted(expected.values(), key=str)[-2:] == [("pushed", None), ("pushed", None)]


def test_metrics_and_end_are_told_at_the_end_alone(server: Server) -> None:
    cursor = Cursor()
    run = server.run(0, data=["digits"])
    server.client.log_metric(run, "auc", 0.5)
    server.client.log_param(run, "depth", 3)

    (begun,) = server.follow(cursor)
    assert server.follow(cursor) == []
    server.client.log_metric(run, "auc", 0.7)
    assert server.follow(cursor) == []
    server.end(run, 30, auc=0.9)
    first, last = server.follow(cursor)

    assert first == begun
    assert (begun.state, begun.properties) == (RUNNING, {"owner": "vision", "code_version": "c1"})
    assert [ref.id for ref in begun.inputs] == ["digits@d1"]
    assert (last.state, last.time_ms - first.time_ms) == (COMPLETE, 30 * MINUTE)
    assert last.properties == {"owner": "vision", "code_version": "c1", "auc": 0.9, "depth": "3"}
    assert [ref.id for ref in last.outputs] == [f"{run}/model"]
    assert server.follow(cursor) == []


@pytest.mark.parametrize("page", [1, 1000])
def test_a_parent_is_a_pipeline_run_and_one_between_is_a_nested_run(
    server: Server, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    """Also when parent and child are read far apart: what was first taken for a training is none in the end."""
    monkeypatch.setattr(tracking, "PAGE", page)
    whole = server.run(0)
    search = server.run(1, whole)
    trial = server.run(2, search, {"stream_app.operator": "Trainer", "node_seconds": "90"})
    for run in (trial, search, whole):
        server.end(run, 5)

    events = server.follow(Cursor())
    found = graphlets(events)

    assert [(trainer, each["run"], each["cause"]) for trainer, each in found.items()] == [(trial, whole, "run_ended")]
    assert found[trial]["cost"] == {"train": 90_000}
    assert {event.run for event in events if event.execution_id == search} == {whole}


def test_a_training_without_parent_stands_alone(server: Server) -> None:
    server.end(server.run(0), 5)

    assert [event.run for event in server.follow(Cursor())] == [None, None]


def test_an_alias_set_between_passes_was_set_now_and_one_seen_at_first_when_its_version_changed(server: Server) -> None:
    run = server.run(0)
    server.end(run, 5)
    cursor = Cursor()
    server.follow(cursor)
    version = server.register(run)
    assert server.follow(cursor) == []
    server.client.set_registered_model_alias(server.name, "challenger", version)
    assert server.follow(cursor) == []

    server.client.set_registered_model_alias(server.name, "champion", version)
    before_ms = now_ms()
    (push,) = server.follow(cursor)

    changed_ms = server.client.get_model_version(server.name, version).last_updated_timestamp
    assert push.time_ms >= before_ms
    assert (push.execution_type, push.execution_id) == ("Pusher", f"{server.name}/{version}@champion")
    assert server.follow(cursor) == []
    assert [event.time_ms for event in server.follow(Cursor()) if event.execution_type == "Pusher"] == [changed_ms]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # stages are on their way out, and still in use
def test_a_stage_that_the_user_names_means_pushed(server: Server) -> None:
    run = server.run(0)
    server.end(run, 5)
    server.client.transition_model_version_stage(server.name, server.register(run), "Staging")
    assert {each["outcome"] for each in graphlets(server.follow(Cursor())).values()} == {"open"}

    named = Rules(experiments=(server.name,), pushed_stages=("Staging",))

    assert {each["outcome"] for each in graphlets(server.follow(Cursor(), named)).values()} == {"pushed"}


def test_webhooks_tell_what_the_registry_does(server: Server) -> None:
    """The server signs and sends; whoever has the secret takes each delivery once."""
    run = server.run(0)
    server.end(run, 5)
    runs = server.follow(Cursor())
    received: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        webhook = server.client.create_webhook(
            server.name[:60],
            f"http://127.0.0.1:{receiver.server_port}/",
            ["model_version.created", "model_version_alias.created", "model_version_tag.set"],
            secret="s3cret",
        )
        version = server.register(run)
        server.client.set_model_version_tag(server.name, version, "blessed", "1")
        server.client.set_registered_model_alias(server.name, "champion", version)
        deliveries = [received.get(timeout=60) for _ in range(3)]
        server.client.delete_webhook(webhook.webhook_id)
        receiver.shutdown()

    taken, origin_of = Deliveries(), origins(server.client)
    events = []
    for headers, body in deliveries * 2:
        event = decode_webhook(headers, body, "s3cret", now_ms(), Rules(), origin_of)
        if event is not None and not taken.has(headers, now_ms()):
            events.append(event)
            taken.add(headers, now_ms())

    assert sorted(event.execution_type for event in events) == ["ModelRegistration", "ModelRegistration", "Pusher"]
    assert {"blessed": "1"} in [ref.properties for event in events for ref in event.outputs]
    found = graphlets([*runs, *events])
    assert {trainer: each["outcome"] for trainer, each in found.items()} == {run: "pushed"}


def test_a_server_that_is_away_is_no_mistake_and_leaves_the_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    cursor = Cursor()

    with pytest.raises(TrackingUnavailable):
        list(follow(MlflowClient("http://127.0.0.1:9"), cursor, now_ms()))

    assert cursor == Cursor()


def test_the_example_of_the_page_runs(
    server: Server, mlflow_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "mlflow.md").read_text()
    server.end(server.run(0), 5)
    monkeypatch.chdir(tmp_path)

    exec(page.split("```python\n")[1].split("```")[0].replace("http://localhost:5000", mlflow_url), {})

    assert f"'{server.name}/" in capsys.readouterr().out
    assert Cursor.from_json((tmp_path / "cursor.json").read_bytes()).started_ms > 0
