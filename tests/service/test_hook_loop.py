"""The closed loop: hooks stop the runs of a fleet, and what they stopped is pruned once and never a failure."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from stream_app.acting.gate import Gate
from stream_app.alerts.access import EVERYBODY
from stream_app.alerts.clocks import Clocks
from stream_app.alerts.messages import Fate
from stream_app.alerts.opening import open_store
from stream_app.alerts.settings import AlertSettings
from stream_app.alerts.store import AlertStore
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Settings
from stream_app.core.outcomes.labels import STOP_MS
from stream_app.core.outputs import PRUNE
from stream_app.service.act_writer import act_writer, store_messages
from stream_app.service.alerting import Alerts
from stream_app.service.detector_thread import Embedded
from stream_app.service.event_log import Accepted, EventLog
from stream_app.service.settings import EmbeddedSettings
from stream_app.service.stop_check import EmbeddedStopCheck
from stream_app.service.verdict_index import VerdictIndex, deciding
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources import NATIVE
from stream_app.sources.native import decode
from stream_app.times import text_to_time
from tests.alerts.sinks.hooks.orchestrators import AirflowServer, KfpServer, MlflowServer, Orchestrator, StopReceiver
from tests.alerts.sinks.servers import serving

pytestmark = pytest.mark.slow

OPTIONS = FleetOptions(pipelines=8, days=8.0, seed=4)
#: Events that arrive together, and the most of their time that passes with them, in ms: less than the grace in which a
#: failure may prove to be a stop.
BATCH, SPAN_MS = 16, STOP_MS // 2
Json = dict[str, Any]


@dataclass
class Stopped:
    """A run that an orchestrator was asked to stop, and the verdicts that decided about it then."""

    pipeline: str
    run: str
    decisions: list[str]


@dataclass
class World:
    """A fleet whose runs are at orchestrators, one kind for each pipeline, and a detector that stops them there."""

    servers: dict[str, Orchestrator] = field(
        default_factory=lambda: {
            "kfp": KfpServer(),
            "airflow": AirflowServer(),
            "mlflow": MlflowServer(),
            "stop_webhook": StopReceiver(),
        }
    )
    #: Id of a run at its orchestrator -> pipeline and run.
    runs: dict[str, tuple[str, str]] = field(default_factory=dict)
    stopped: list[Stopped] = field(default_factory=list)
    now_ms: int = OPTIONS.start_ms
    verdicts: VerdictIndex = field(default_factory=VerdictIndex)

    def kind(self, pipeline: str) -> str:
        """The kind of the orchestrator of a pipeline, by its number."""
        return [*self.servers][int(pipeline.rpartition("-")[2]) % 5 % len(self.servers)]

    def pipelines(self, kind: str) -> list[str]:
        """The pipelines of a kind; the first one trains outside of runs."""
        return [f"*-{number:04}" for number in range(1, OPTIONS.pipelines) if self.kind(f"-{number}") == kind]

    def at_orchestrator(self, event: Json) -> Json:
        """An event as the orchestrator's source tells it: with its ids, and without a word on who stopped a run."""
        pipeline, run = event["pipeline"], event.get("run")
        if run is None:
            return event
        kind, execution = self.kind(pipeline), event["execution"]
        properties = {name: value for name, value in event.get("properties", {}).items() if name != "pruned_by"}
        name = run_id(run)
        if name not in self.runs:
            self.runs[name] = (pipeline, run)
            self.servers[kind].begin(name, pipeline)
        if execution["id"] == run and execution["state"] in ("COMPLETE", "FAILED"):
            self.servers[kind].end(name, pipeline, execution["state"])
        if kind == "airflow" and execution["id"] == run:
            properties |= {"airflow_dag_id": pipeline, "airflow_run_id": name}
        state = "FAILED" if execution["state"] == "CANCELED" else execution["state"]
        execution = {**execution, "state": state, "id": name if execution["id"] == run else execution["id"]}
        if kind == "mlflow":
            execution["id"] = run_id(execution["id"]) if execution["id"] != name else name
        return {**event, "run": name, "execution": execution, "properties": properties}

    def prune(self, pipeline: str, run: str) -> str | None:
        """Whether the orchestrator has stopped a run: then its steps end."""
        is_stopped = self.servers[self.kind(pipeline)].is_stopped(run_id(run), pipeline)
        return "by a hook" if is_stopped else None


def run_id(name: str) -> str:
    """The id of a run at its orchestrator."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, name))


@asynccontextmanager
async def detecting(path: Path, world: World) -> AsyncIterator[tuple[Embedded, Alerts, AlertStore, EventLog]]:
    """An embedded detector that enforces, with its alerts, in the time of the world."""
    policy = Policy(mode="enforce", budget=0.5)
    settings = EmbeddedSettings(Settings(policy=policy), tick_seconds=0.0, keep_days=365.0)
    event_log, store = EventLog(path / "log.sqlite"), open_store(path / "alerts")
    embedded = Embedded(event_log, settings, now_ms=lambda: world.now_ms)
    alerts = Alerts(
        store,
        embedded.outbox,
        AlertSettings(allowed_networks=("127.0.0.0/8",)),
        clocks=Clocks(now_ms=lambda: world.now_ms),
    )
    gate = Gate(alerts.kill_switch.switch, lambda: world.now_ms)
    alerts.let_stop(EmbeddedStopCheck(embedded, gate), act_writer(embedded))
    embedded.start()
    running = asyncio.create_task(alerts.run())
    try:
        yield embedded, alerts, store, event_log
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        embedded.stop()
        store.close()
        event_log.close()


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(60):
        while not holds():
            await asyncio.sleep(0.001)


@dataclass
class Ended:
    """What is known after the loop."""

    world: World
    examples: list[Json]
    fates: Counter[Fate]
    reasons: Counter[str]
    audit: list[str]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The loop, run once."""
    return asyncio.run(loop(tmp_path_factory.mktemp("hooks")))


def batches(world: World) -> Iterator[list[Json]]:
    """The events of the fleet as its orchestrators report them, some at a time."""
    batch: list[Json] = []
    began_ms = 0
    for event in Fleet(OPTIONS).events(world.prune):
        time_ms = text_to_time(event["time"])
        if batch and (len(batch) == BATCH or time_ms > began_ms + SPAN_MS):
            yield batch
            batch = []
        began_ms = time_ms if not batch else began_ms
        batch.append(world.at_orchestrator(event))
    yield batch


async def loop(path: Path) -> Ended:
    """Runs the fleet to its end."""
    world = World()
    async with AsyncExitStack() as stack:
        urls = {kind: await stack.enter_async_context(serving(partial(handle, world, kind))) for kind in world.servers}
        embedded, alerts, store, event_log = await stack.enter_async_context(detecting(path, world))
        world.verdicts = embedded.verdicts
        for kind, url in urls.items():
            sink = {"kind": kind, "url": url, "pipelines": ["*"], "dry_run": False}
            given = {
                "id": kind,
                "name": kind,
                "owner": "ann",
                "filter": {"pipeline": world.pipelines(kind)},
                "sink": sink,
            }
            alerts.subscriptions.create(EVERYBODY, given, world.now_ms)

        def idle() -> bool:
            waiting = any(box.messages for box in alerts.notifier.mailboxes.values())
            return not (embedded.behind or embedded.outbox.first() or store.cursor() < store.last_flag() or waiting)

        for batch in batches(world):
            world.now_ms = max(world.now_ms, *(text_to_time(each["time"]) for each in batch))
            messages = [orjson.dumps(each) for each in batch]
            await store_messages(embedded, [Accepted(each, decode(each), NATIVE) for each in messages])
            for _ in range(2):  # a record may be on its way from one to the next
                await until(idle)
                await asyncio.sleep(0)
        entries = [each.entry for kind in world.servers for each in store.deliveries(kind, 10_000)]
        return Ended(
            world,
            [orjson.loads(each) for each in event_log.examples()],
            Counter(each.fate for each in entries),
            Counter(each.reason for each in entries if each.fate is not Fate.SENT),
            [each.what for each in store.audit(100)],
        )


async def handle(world: World, kind: str, request: web.Request) -> web.StreamResponse:
    """Answers for an orchestrator, and notes which verdicts decided about the run that a request is to stop."""
    server = world.servers[kind]
    name = await server.stopped_by(request)
    if name in world.runs:
        pipeline, run = world.runs[name]
        verdicts = deciding(world.verdicts.of_run(name, pipeline), None)
        world.stopped.append(Stopped(pipeline, run, [each["decision"] for each in verdicts]))
    return await server.handle(request)


def test_each_kind_of_hook_stops_runs(ended: Ended) -> None:
    """By one request each, and each is sent once."""
    runs = Counter((each.pipeline, each.run) for each in ended.world.stopped)

    assert {ended.world.kind(pipeline) for pipeline, _ in runs} == set(ended.world.servers)
    assert len(runs) > 20
    assert set(runs.values()) == {1}
    assert ended.fates[Fate.SENT] == len(runs)
    assert ended.fates[Fate.FAILED] == ended.fates[Fate.DEAD] == 0


def test_no_run_is_stopped_without_an_open_flag(ended: Ended) -> None:
    """When the request came, all verdicts that decided about the run flagged it."""
    assert all(each.decisions and set(each.decisions) == {PRUNE} for each in ended.world.stopped)


def test_what_was_stopped_is_pruned_once_and_never_a_negative(ended: Ended) -> None:
    """Although its orchestrator reports FAILED for it, and for what ran in it."""
    stopped = {(each.pipeline, run_id(each.run)) for each in ended.world.stopped}
    of_stopped = [each for each in ended.examples if (each["pipeline"], each["run"]) in stopped]

    assert len(of_stopped) > 20
    assert {(each["pushed"], each["cause"]) for each in of_stopped} == {(None, "pruned")}
    assert set(Counter(each["graphlet"] for each in of_stopped).values()) == {1}


def test_what_was_not_stopped_is_learned_as_before(ended: Ended) -> None:
    """Pushes, and failures of runs that nobody stopped."""
    stopped = {(each.pipeline, run_id(each.run)) for each in ended.world.stopped}
    others = [each for each in ended.examples if (each["pipeline"], each["run"]) not in stopped]

    assert {each["pushed"] for each in others} >= {True, False}
    assert not [each for each in others if each["cause"] == "pruned"]


def test_the_audit_log_has_who_let_hooks_stop_runs(ended: Ended) -> None:
    """By creating them without a dry run."""
    assert Counter(ended.audit)["create: it stops runs from now on"] == len(ended.world.servers)
