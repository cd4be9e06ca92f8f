"""`/v1/fleet` and `/v1/pipelines`: the figures of the fleet over HTTP."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest

from stream_app.alerts.access import Principal, Scope, Token, Tokens, digest_of
from stream_app.analysis.attribution import Attribution
from stream_app.analysis.findings import Kind, figures_of_findings, findings_of_fleet
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.fleet.following import follow_fleet
from stream_app.analysis.fleet_answer import FRESH_SECONDS
from stream_app.analysis.fleet_document import fleet_document
from stream_app.analysis.fleet_record import FleetRecord, Origin, encode
from stream_app.analysis.fleet_snapshots import FleetSnapshots
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.units import DAY_MS
from stream_app.metrics.catalogue import CATALOGUE
from stream_app.owners import OwnerRule, Owners
from stream_app.service.event_log import EventLog
from stream_app.service.fleet import FleetQueries
from stream_app.service.settings import EmbeddedSettings
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode
from stream_app.wire import event_to_dict
from tests.support.builders import ran
from tests.web.served import Process, Service, embedded_service, relayed_service
from tests.web.test_http import applied

RATES = Rates(node_hour=2.0)
OWNERS = Owners([OwnerRule("from the list", pipeline="q*", labels={"tier": "gold"})])
#: Short enough that most of the log is evicted.
DETECTOR = Settings(horizon_ms=2 * DAY_MS, lateness_ms=DAY_MS, retention_ms=4 * DAY_MS)
SETTINGS = EmbeddedSettings(DETECTOR, rates=RATES, owners=OWNERS)
SIMULATED = [decode(orjson.dumps(event)) for event in Fleet(FleetOptions(pipelines=3, days=14, seed=5)).events()]
MINUTE = 60_000
#: Beside made-up pipelines, some whose names are awkward; two of them cost the same.
LOG = [
    *SIMULATED,
    *ran(0, "t", "Trainer", pipeline="team/ads/daily", properties={"owner": "ann"}),
    *ran(0, "t", "Trainer", pipeline="team/ads", properties={"owner": "bob"}),
    *ran(0, "t", "Trainer", pipeline="q1", properties={"tier": "gold"}),
]
NAMES = sorted({event.pipeline for event in LOG})


def tell(service: Service, log: list[Event]) -> None:
    """Posts events, and waits until the detector has them."""
    for start in range(0, len(log), 5_000):
        body = orjson.dumps([event_to_dict(event) for event in log[start : start + 5_000]])
        assert service.post(body, "/v1/events/batch").status == 200
    applied(service)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with embedded_service(tmp_path_factory.mktemp("served") / "log", SETTINGS) as running:
        tell(running, LOG)
        yield running


def get(service: Service, path: str, **query: object) -> Any:
    """The answer to a question, without the time that it is of."""
    answer = service.get(f"{path}?{urlencode(query)}" if query else path)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/json"
    document = answer.json
    assert document.pop("as_of") is not None
    return document


def expected() -> Any:
    """The document of a detector that just reads the events."""
    detector, attribution = Detector(DETECTOR), Attribution(RATES, OWNERS)
    analysis = FleetAnalysis(price_of=RATES.micros)
    detector.follow(analysis)
    for event in LOG:
        detector.step(event)
        attribution.follow(event, detector.pipelines[event.pipeline])
    found = findings_of_fleet(analysis)
    findings = figures_of_findings(found, attribution.owner, priced=True)
    return orjson.loads(orjson.dumps(fleet_document(analysis.pipelines(), attribution, findings)))


def without_clocks(figures: Any) -> Any:
    """Without what the time of the service decides: it takes all events at once."""
    return {**figures, "age_days": 0.0}


def test_it_answers_as_a_replay_would(service: Service) -> None:
    """The whole document, and every pipeline in it."""
    document = expected()

    fleet = get(service, "/v1/fleet")
    pipelines = get(service, "/v1/pipelines", limit=1000)["pipelines"]

    assert fleet.pop("omitted") == {}

    for own in pipelines:
        assert own.pop("wasted_node_seconds") >= 0
    assert document["findings"]["findings"]
    assert fleet == {name: part for name, part in document.items() if name != "pipelines"}
    assert list(map(without_clocks, pipelines)) == list(map(without_clocks, document["pipelines"]))


def test_a_pipeline_has_its_figures_findings_and_redundant_work(service: Service) -> None:
    """By its name, which may have slashes."""
    fleet = get(service, "/v1/fleet")
    for name in NAMES:
        own = get(service, f"/v1/pipelines/{quote(name, safe='')}")
        assert own == get(service, f"/v1/pipelines/{name}")
        assert own["figures"]["pipeline"] == name
        assert own["findings"]["findings"] == [
            each for each in fleet["findings"]["findings"] if each["pipeline"] == name
        ]
        assert all(each["pipeline"] == name for each in own["redundant"]["largest"])


def test_owners_come_from_events_and_else_from_the_list(service: Service) -> None:
    """Conditions on properties of executions included."""
    owners = {each["pipeline"]: each["owner"] for each in get(service, "/v1/pipelines", limit=1000)["pipelines"]}

    assert owners["team/ads/daily"] == "ann"
    assert owners["q1"] == "from the list"
    chosen = get(service, "/v1/pipelines", owner="bob")["pipelines"]
    assert [each["pipeline"] for each in chosen] == ["team/ads"]
    assert get(service, "/v1/pipelines", owner="nobody") == {"pipelines": [], "next": None}


@pytest.mark.parametrize("sort", ["node_seconds", "waste", "trainings", "pipeline"])
@pytest.mark.parametrize("limit", [1, 2, 1000])
def test_pages_follow_one_another(service: Service, sort: str, limit: int) -> None:
    """Every pipeline comes once, in order; equal ones by name."""
    pages = [get(service, "/v1/pipelines", sort=sort, limit=limit)]
    while pages[-1]["next"] is not None:
        pages.append(get(service, "/v1/pipelines", sort=sort, limit=limit, after=pages[-1]["next"]))

    found = [each for page in pages for each in page["pipelines"]]
    assert all(len(page["pipelines"]) == min(limit, len(NAMES)) for page in pages)
    assert sorted(each["pipeline"] for each in found) == NAMES
    amounts: dict[str, Callable[[Any], float]] = {
        "node_seconds": lambda each: -each["totals"]["node_seconds"],
        "waste": lambda each: -each["wasted_node_seconds"],
        "trainings": lambda each: -each["totals"]["graphlets"],
        "pipeline": lambda _: 0.0,
    }
    assert found == sorted(found, key=lambda each: (amounts[sort](each), each["pipeline"]))


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/v1/fleet?owner=x", 400, "there is no parameter 'owner'"),
        ("/v1/pipelines?bogus=1", 400, "there is no parameter 'bogus'; there are owner, sort, limit, after"),
        ("/v1/pipelines?sort=size", 400, "sort: expected one of node_seconds, waste, trainings, pipeline"),
        ("/v1/pipelines?sort=", 400, "sort: expected one of"),
        ("/v1/pipelines?limit=0", 400, "limit: expected a number from 1 to 1000"),
        ("/v1/pipelines?limit=1001", 400, "limit: expected"),
        ("/v1/pipelines?limit=1e3", 400, "limit: expected"),
        ("/v1/pipelines?limit=%D9%A3", 400, "limit: expected"),
        ("/v1/pipelines?after=", 400, "after: expected the cursor of an answer"),
        ("/v1/pipelines?after=%FF%00", 400, "after: expected the cursor"),
        ("/v1/pipelines?after=W10", 400, "after: expected the cursor"),
        ("/v1/pipelines?after=WzEsMiwzXQ", 400, "after: expected the cursor"),
        (f"/v1/pipelines?after={'x' * 6_000}", 400, "after: expected the cursor"),
        ("/v1/pipelines?after=WyJ3YXN0ZSIsMS4wLCJhIl0", 400, "after: the cursor is of pipelines sorted by waste"),
        ("/v1/pipelines/nobody", 404, "there is no such pipeline as 'nobody'"),
        ("/v1/pipelines/team", 404, "there is no such pipeline as 'team'"),
        ("/v1/pipelines/q1?limit=1", 400, "there is no parameter 'limit'"),
        (f"/v1/pipelines/{'x' * 6_000}", 404, "there is no such pipeline"),
        ("/v1/pipelines/%FF", 404, "there is no such pipeline"),
    ],
)
def test_a_wrong_question_is_one_line(service: Service, path: str, status: int, says: str) -> None:
    """With its status."""
    answer = service.get(path)

    assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json")
    assert says in answer.json["detail"]
    assert len(answer.json["detail"].splitlines()) == 1


def test_other_methods_are_refused_and_a_slash_makes_no_difference(service: Service) -> None:
    for path in ("/v1/fleet", "/v1/pipelines", "/v1/pipelines/q1"):
        assert service.ask("POST", path, b"{}").status == 405
    assert get(service, "/v1/fleet/") == get(service, "/v1/fleet")


def test_it_needs_a_token_where_the_service_does(tmp_path: Path) -> None:
    """As other questions: a token that is bound to pipelines may not ask."""
    tokens = Tokens(
        [
            Token(digest_of("reader"), Principal("reader", Scope.READ)),
            Token(digest_of("bound"), Principal("bound", Scope.READ, (), ("p*",))),
        ]
    )
    with embedded_service(tmp_path / "log", tokens=tokens) as service:
        for path, status in (("/v1/fleet", 200), ("/v1/pipelines", 200), ("/v1/pipelines/none", 404)):
            statuses = [
                service.ask("GET", path, headers={"Authorization": f"Bearer {token}"}).status
                for token in ("wrong", "bound", "reader")
            ]
            assert statuses == [401, 403, status]


@pytest.mark.parametrize("path", ["/v1/fleet", "/v1/pipelines", "/v1/pipelines/p"])
def test_beside_workers_nothing_is_answered_before_all_was_read(path: str) -> None:
    """It says why, and when to ask again; metrics have no figures then."""
    with relayed_service() as service:
        answer = service.get(path)
        metrics = service.get("/metrics").body
        service.fleet.tell_problem("no such topic: g-analysis: run `stream-app topics apply`")
        missing = service.get(path)
        service.fleet.is_complete = True
        statuses = [service.get(each).status for each in ("/v1/fleet", "/v1/pipelines", "/v1/pipelines/p")]

    assert (answer.status, answer.headers["Content-Type"]) == (503, "application/problem+json")
    assert answer.headers["Retry-After"] == "5"
    assert answer.json["detail"].endswith("what workers have published has not all been read yet")
    assert "run `stream-app topics apply`" in missing.json["detail"]
    assert b"stream_app_fleet_" not in metrics
    assert statuses == [200, 200, 404]


def test_beside_workers_it_answers_as_the_embedded_service_does(service: Service) -> None:
    """All routes and metrics, from what two workers have published."""
    with relayed_service() as beside:
        for partition in range(2):
            for written in published(partition):
                beside.fleet.add(written)
        beside.fleet.is_complete = True
        for path in ("/v1/fleet", "/v1/pipelines?limit=3&sort=waste", *(f"/v1/pipelines/{name}" for name in NAMES)):
            assert alike(get(beside, path)) == alike(get(service, path))
        assert beside.get("/v1/fleet").json["as_of"] == "1970-01-01T00:00:07.000Z"
        figures = [
            [line for line in each.get("/metrics").body.decode().splitlines() if line.startswith("stream_app_fleet_")]
            for each in (beside, service)
        ]

    assert figures[0] == figures[1]


def published(partition: int) -> list[bytes]:
    """What a worker with every other pipeline publishes."""
    detector, snapshots = Detector(DETECTOR), FleetSnapshots(SETTINGS.fleet)
    fleet = follow_fleet(detector, SETTINGS.fleet, {})
    for event in LOG:
        if NAMES.index(event.pipeline) % 2 == partition:
            detector.step(event)
    taken = [snapshots.take(fleet, name) for name in fleet.names()]
    origin = Origin(partition, 1, 5, 7_000 + partition)
    return [encode(FleetRecord(known, origin, RATES.currency))[0] for known in taken if known is not None]


def alike(document: Any) -> Any:
    """Without clocks, and without how often findings were looked at."""
    if isinstance(document, dict):
        return {name: alike(part) for name, part in document.items() if name not in ("age_days", "revision", "next")}
    return [alike(part) for part in document] if isinstance(document, list) else document


def test_many_readers_cost_one_look(service: Service) -> None:
    """Figures are kept for some seconds, and longer where it takes long to make them."""
    assert service.embedded is not None
    now = [100.0]
    embedded = service.embedded
    queries = FleetQueries(SETTINGS, lambda: embedded.fleet, embedded.detector_lock, lambda: 0, lambda: now[0])

    first = queries.answer()
    now[0] += FRESH_SECONDS - 0.01
    again = queries.answer()
    now[0] += 0.02
    later = queries.answer()

    assert again is first
    assert later is not first
    assert later.document == first.document
    now[0] += 10.0
    assert queries.answer(15.0) is later


def test_a_detector_that_is_loaded_again_has_other_pipelines() -> None:
    """After a failure it is as it was last saved, until the events since then are applied again."""
    detector, fleets = Detector(), [FleetAnalysis(), FleetAnalysis()]
    for event in ran(0, "t", "Trainer", pipeline="new"):
        detector.step(event)
    detector.follow(fleets[0])
    queries = FleetQueries(EmbeddedSettings(), lambda: fleets.pop(0), threading.Lock(), lambda: 0)

    assert queries.answer().document.pipelines == []


def test_the_detector_goes_on_while_figures_are_made(tmp_path: Path) -> None:
    """It waits for a slice of the pipelines, not for all of them."""
    with embedded_service(tmp_path / "log") as service:
        tell(service, [event for n in range(300) for event in ran(0, "t", "Trainer", pipeline=f"p{n:03}")])
        assert service.embedded is not None
        lock = _CountedLock(service.embedded.detector_lock)
        ticks = iter(range(10**9))
        queries = FleetQueries(
            EmbeddedSettings(),
            lambda: service.embedded.fleet,  # type: ignore[union-attr]
            lock,  # type: ignore[arg-type]
            lambda: 0,
            lambda: next(ticks) * 0.002,
        )

        answer = queries.answer()

    assert answer.document.figures.fleet.pipelines == 300
    assert lock.taken > 90


class _CountedLock:
    """A lock that counts how often it is taken."""

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self.taken = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self.taken += 1

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_metrics_have_the_sums_of_the_fleet(service: Service) -> None:
    """The same as the document."""
    document = get(service, "/v1/fleet")
    lines = service.get("/metrics").body.decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if line.startswith("stream_app_fleet_"))

    totals = document["figures"]["fleet"]["totals"]
    assert float(values["stream_app_fleet_pipelines"]) == len(NAMES)
    assert float(values["stream_app_fleet_runs"]) == totals["runs"]
    for outcome in ("pushed", "not_pushed", "pruned", "unknown", "open"):
        assert float(values[f'stream_app_fleet_graphlets{{outcome="{outcome}"}}']) == totals[outcome]
    push = float(values["stream_app_fleet_push_node_seconds"])
    assert push == pytest.approx(totals["push_node_seconds"] * totals["pushed"])
    since = sum(each["since_push_node_seconds"] for each in get(service, "/v1/pipelines", limit=1000)["pipelines"])
    assert float(values["stream_app_fleet_since_push_node_seconds"]) == pytest.approx(since)
    for kind in ("exact", "data", "training"):
        expected_ms = sum(each["node_seconds"] for each in document["redundant"]["by_operator"] if each["kind"] == kind)
        found = values[f'stream_app_fleet_redundant_node_seconds{{kind="{kind}"}}']
        assert float(found) == pytest.approx(expected_ms)
    for kind in Kind:
        count = sum(each["kind"] == kind for each in document["findings"]["findings"])
        assert float(values[f'stream_app_fleet_findings{{kind="{kind}"}}']) == count


def test_metrics_know_every_kind_of_finding() -> None:
    """The catalogue may not import the rules."""
    assert CATALOGUE["fleet_findings"].labels[0].values == tuple(Kind)


@pytest.mark.slow
def test_nothing_is_lost_over_kill_9(tmp_path: Path) -> None:
    """Sums of what was evicted, owners and redundant work are the same after a restart."""
    config = tmp_path / "settings.toml"
    config.write_text("[detector]\nretention_days = 4\nlateness_days = 1\nhorizon_days = 2\n")
    first = Process(tmp_path / "data", "--config", str(config))
    for start in range(0, len(LOG), 5_000):
        body = orjson.dumps([event_to_dict(event) for event in LOG[start : start + 5_000]])
        assert first.service.post(body, "/v1/events/batch").status == 200
    before = _settled(first)
    first.end(signal.SIGKILL)
    log = EventLog(tmp_path / "data" / "events.sqlite")
    frozen = [key for key in log.rows() if key.startswith(b"\x00fleet/cell")]
    log.close()

    second = Process(tmp_path / "data", "--config", str(config))
    after = _settled(second)
    assert second.end() == 0

    assert frozen
    assert alike(after) == alike(before)


def _settled(process: Process) -> Any:
    """The fleet once the last event has been applied."""
    while process.service.get(f"/v1/pipelines/{LOG[-1].pipeline}").status != 200:
        assert process.process.poll() is None
    return get(process.service, "/v1/fleet")
