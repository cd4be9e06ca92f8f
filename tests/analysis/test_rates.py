"""Money follows executions: each one's node-hours times its own price, also after it was evicted."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterable

import orjson
import pytest

from stream_app.analysis.attribution import Attribution
from stream_app.analysis.rates import Rates, merged, money
from stream_app.core.detector import Settings
from stream_app.core.events import Event, Scalar
from stream_app.core.state.ledger import Ledger
from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.options import load
from stream_app.replay.replay import Replay
from stream_app.replay.sinks import Sinks, SinkWriter
from stream_app.report.page import page
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode
from tests.support.builders import happened

POOLS = ("a100", "t4", "cpu")
BY_POOL = Rates(0.5, "EUR", {"node_pool": {"a100": 12.0, "t4": 1.5}})


def priced(rates: Rates, events: Iterable[Event], settings: Settings | None = None) -> Replay:
    """Events read through a detector without a learner."""
    replay = Replay(settings or Settings(), None, SinkWriter(Sinks()), Attribution(rates))
    for each in events:
        replay.step(each)
    return replay


def training(name: str, hours: int, pipeline: str = "p", **properties: Scalar) -> list[Event]:
    """A training that failed after some hours."""
    return [
        happened(0, name, "Trainer", "RUNNING", run=name, pipeline=pipeline, properties=properties),
        happened(60 * hours, name, "Trainer", "FAILED", run=name, pipeline=pipeline),
    ]


@pytest.mark.parametrize(
    ("rates", "amount"),
    [
        (Rates(2.0), 2 * (1 + 10 + 100)),
        (Rates(2.0, by={"node_pool": {"a100": 12.0}}), 12 * 1 + 2 * (10 + 100)),
        (Rates(2.0, by={"node_pool": {"a*": 12.0, "a100": 99.0}}), 12 * 1 + 2 * (10 + 100)),
        (Rates(2.0, by={"gpu": {"true": 5.0}, "node_pool": {"t4": 3.0}}), 2 * 1 + 5 * 10 + 2 * 100),
        (Rates(2.0, by={"node_pool": {"t4": 3.0}, "gpu": {"true": 5.0}}), 2 * 1 + 3 * 10 + 2 * 100),
        (Rates(2.0, by={"type": {"Trainer": 7.0}}), 7 * (1 + 10 + 100)),
        (Rates(2.0, by={"group": {"train": 8.0}}), 8 * (1 + 10 + 100)),
        (Rates(2.0, by={"pipeline": {"q": 9.0}}), 2 * (1 + 10) + 9 * 100),
        (Rates(by={"node_pool": {"a100": 12.0}}), 12 * 1),
        (Rates(0.0), 0.0),
    ],
)
def test_the_first_price_that_holds_is_the_executions(rates: Rates, amount: float) -> None:
    """By a property, the type, the group or the pipeline, in the card's order; `node_hour` where nothing holds."""
    events = [
        *training("a", 1, node_pool="a100"),
        *training("b", 10, node_pool="t4", gpu=True),
        *training("c", 100, pipeline="q"),
    ]

    found = priced(rates, events).finish()

    assert found.money is not None
    assert found.money.wasted == pytest.approx(amount)
    assert found.money.total == pytest.approx(amount)
    assert found.money.unpriced == (110 * 3600 if rates.node_hour is None else 0)
    assert sum(part.wasted_money or 0 for part in found.waste.by_pipeline) == pytest.approx(amount)
    assert sum(part.wasted_money or 0 for part in found.waste.by_cause) == pytest.approx(amount)


def test_without_a_price_there_is_no_money() -> None:
    """Node-hours alone."""
    found = priced(Rates(), training("a", 1)).finish()

    assert found.money is None
    assert found.waste.by_pipeline[0].wasted_money is None
    assert "USD" not in page(found)


def test_compute_without_a_price_is_listed() -> None:
    """It is in no amount, and the report says how much of it there is."""
    found = priced(Rates(by={"node_pool": {"a100": 12.0}}), training("b", 10, node_pool="t4")).finish()

    assert found.money is not None
    assert (found.money.total, found.money.unpriced) == (0.0, 36_000.0)
    assert "10 node-hours have no price there and are in no amount" in page(found)


@functools.cache
def fleet_events() -> tuple[Event, ...]:
    """Three pipelines over 20 days, each execution in a pool."""
    events = [decode(orjson.dumps(each)) for each in Fleet(FleetOptions(pipelines=3, days=20, seed=6)).events()]
    for each in events:
        each.properties = {**each.properties, "node_pool": pool_of(each.execution_id)}
    return tuple(events)


def pool_of(execution: str) -> str:
    return POOLS[zlib.crc32(execution.encode()) % len(POOLS)]


def test_every_execution_is_in_the_ledger_of_its_price_also_after_it_was_evicted() -> None:
    """Most of the fleet is evicted here; the ledgers by price add up to the detector's, sum by sum."""
    settings = Settings(horizon_ms=2 * DAY_MS, retention_ms=2 * DAY_MS, lateness_ms=DAY_MS)
    attribution = Attribution(BY_POOL)
    replay = Replay(settings, None, SinkWriter(Sinks()), attribution)
    for each in fleet_events():
        replay.step(each)

    detector = replay.detector
    kept = sum(len(pipeline.executions) for pipeline in detector.pipelines.values())
    assert kept < len({(each.pipeline, each.execution_id) for each in fleet_events()}) / 2
    for name, pipeline in detector.pipelines.items():
        ledger = detector.ledger(name)
        by_price = attribution.ledgers(pipeline)
        total = Ledger()
        for each in by_price.values():
            total.merge(each)
        assert set(by_price) == {12.0, 1.5, 0.5}
        assert total == ledger


def test_money_does_not_depend_on_the_retention() -> None:
    """What an execution cost is the same whether the detector keeps it or not."""
    short = Settings(horizon_ms=2 * DAY_MS, retention_ms=9 * DAY_MS, lateness_ms=DAY_MS)
    long = Settings(horizon_ms=2 * DAY_MS, retention_ms=60 * DAY_MS, lateness_ms=DAY_MS)

    evicted, kept = (priced(BY_POOL, fleet_events(), settings).finish().money for settings in (short, long))

    assert evicted is not None
    assert evicted == kept


def test_money_is_the_sum_over_ledgers() -> None:
    """Prices times node-hours; a ledger without a price adds nothing."""
    ledgers = {"p": {2.0: Ledger(wasted=HOUR_MS)}, "q": {2.0: Ledger(wasted=HOUR_MS), None: Ledger(wasted=HOUR_MS)}}

    assert money(merged(ledgers), lambda ledger: ledger.wasted) == 4.0


def test_the_card_comes_from_the_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In the order in which it is written."""
    path = tmp_path_factory.mktemp("card") / "stream-app.toml"
    path.write_text('[rates]\ncurrency = "EUR"\n[rates.by.gpu_type]\na100 = 12\n"*" = 2\n[rates.by.group]\ntrain = 3\n')

    rates = load(path).rates

    assert list(rates.by) == ["gpu_type", "group"]
    assert list(rates.by["gpu_type"].items()) == [("a100", 12.0), ("*", 2.0)]
