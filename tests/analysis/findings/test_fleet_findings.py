"""Findings of a fleet: a function of the set of events, counted once, ranked, and revised when they change."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.analysis.findings import Finding, History, Kind, findings_of, findings_of_fleet, ranked
from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from tests.analysis.findings.pipelines import SPAN, VALIDATOR, Found, Training, daily, events_of, spans
from tests.support.builders import HOUR
from tests.support.simulated import fleet_events


def busy_pipeline() -> list[Training]:
    """A pipeline of which several rules find the same trainings."""
    found = [Training(12 * place, data=("a", "b"), pushed=place % 8 == 0) for place in range(24)]
    found += [Training(12 * place, failed=True, data=("a",)) for place in range(24, 29)]
    return [*found, *(Training(12 * place, blessed=False, data=("b",)) for place in range(29, 36))]


def busy_events() -> list[Event]:
    return [*spans("ab"), *events_of(busy_pipeline())]


@settings(max_examples=20, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_events_does_not_matter(chance: random.Random) -> None:
    """Nor does it matter that some come twice, and that findings are asked for in between."""
    events = [*busy_events(), *random.Random(0).sample(busy_events(), 40)]
    expected = Found().read(busy_events()).current()
    chance.shuffle(events)
    found = Found().read(events[:50])
    found.current()
    current = found.read(events[50:]).current()

    assert len(expected) >= 4
    assert current == expected


@pytest.mark.parametrize("days", [0, 70], ids=["nothing evicted", "some evicted"])
def test_findings_are_the_same_after_a_restart(days: int) -> None:
    """They are made of what is kept: a detector that is loaded gives those of the one that went on."""
    before = [Training(24 * day, pushed=True) for day in range(days)]
    later = [replace(each, hour=24 * days + each.hour) for each in busy_pipeline()]
    went_on, detector = Found(), Detector(Settings(), keep_rows=True)
    rows: dict[bytes, bytes] = {}
    for event in [*spans("ab"), *events_of([*before, *later])]:
        went_on.read([event])
        detector.step(event)
        for key, row in detector.take_rows():
            if row is None:
                rows.pop(key, None)
            else:
                rows[key] = row
    loaded = Detector.load(Settings(), rows)
    fleet = FleetAnalysis()
    loaded.follow(fleet)

    assert len(went_on.current()) >= 3
    assert findings_of_fleet(fleet) == went_on.current()


def test_a_graphlet_is_counted_by_one_finding() -> None:
    """The first rule that charges it; so the sum over findings is the cost of the graphlets in any of them."""
    found = Found().read(busy_events())
    [analysis] = found.fleet.pipelines().values()
    result = findings_of(History(analysis))
    charged: dict[str, set[str]] = defaultdict(set)
    for finding in result.findings:
        for graphlet, name in result.counted_by.items():
            if name == finding.id:
                charged[name].add(graphlet)
    whole = sum(analysis.share_of(facts).node_ms for facts in analysis.order if facts.id in result.counted_by)

    assert len([finding for finding in result.findings if finding.counted]) >= 3
    assert any(finding.counted_node_ms < finding.node_ms for finding in result.findings)
    assert [finding.counted for finding in result.findings] == [len(charged[each.id]) for each in result.findings]
    assert sum(finding.counted_node_ms for finding in result.findings) == whole


def test_a_shared_span_is_split_over_its_graphlets() -> None:
    """Twelve trainings read it, nine of which are charged with a twelfth each."""
    trainings = [Training(24 * place, data=("a",), code=f"c{place}", pushed=place % 4 == 0) for place in range(12)]
    found = Found().read([*spans("a"), *events_of(trainings)]).by_kind()

    assert found[Kind.TRAINS_TOO_OFTEN].node_ms == 9 * (HOUR + VALIDATOR + SPAN // 12)


def test_money_follows_the_rate_card() -> None:
    """Trainers on dear nodes, everything else on cheap ones."""
    rates = Rates(2.0, by={"type": {"Trainer": 10.0}})
    finding = Found(rates).read(events_of(daily(20))).by_kind()[Kind.NO_PUSH]

    assert finding.micros == 20 * (10_000_000 + 2_000_000 * VALIDATOR // HOUR)
    assert finding.counted_micros == finding.micros


def test_findings_are_ranked_by_money_then_compute_then_id() -> None:
    """The most expensive first, whatever comes first in the table of rules."""
    rates = Rates(None, by={"pipeline": {"dear": 9.0}})
    found = Found(rates)
    for name, hours in {"cheap": 20, "dear": 1, "b": 5, "a": 5}.items():
        found.read(events_of(daily(20, node_ms=hours * HOUR), name))

    assert [each.pipeline for each in found.current()] == ["dear", "cheap", "a", "b"]
    assert ranked(reversed(found.current())) == found.current()


def test_pipelines_with_any_characters_in_their_names_have_findings_of_their_own() -> None:
    """Ids are escaped as those of graphlets."""
    found = Found()
    for name in ("team/ads", "team~1ads", "team"):
        found.read(events_of(daily(20), name))

    assert {each.id for each in found.current()} == {
        "team~1ads/finding:no_push", "team~01ads/finding:no_push", "team/finding:no_push",
    }  # fmt: skip


def test_what_was_evicted_is_not_looked_at() -> None:
    """Findings are about what a pipeline does now."""
    found = Found().read(events_of([*daily(20), *(Training(24 * day, pushed=True) for day in range(80, 100))]))

    assert Kind.NO_PUSH not in found.by_kind()
    assert all(int(name.rpartition("t")[2]) >= 20 for each in found.current() for name in each.graphlets)


@pytest.fixture(scope="module")
def simulated() -> Found:
    """A simulated fleet."""
    return Found().read(fleet_events(30, 12, 3))


def test_a_simulated_fleet_has_findings_that_add_up(simulated: Found) -> None:
    """Most of what was wasted is in one of them, and never more than was spent."""
    found = simulated.current()
    ledgers = [simulated.detector.ledger(name) for name in sorted(simulated.detector.pipelines)]
    counted = sum(finding.counted_node_ms for finding in found)

    assert {each.kind for each in found} >= {Kind.NO_PUSH, Kind.TRAINS_TOO_OFTEN, Kind.SAME_FAILURE, Kind.UNCHANGED}
    assert 0.5 * sum(each.wasted for each in ledgers) < counted < sum(each.total() for each in ledgers)
    assert found == simulated.current()


def test_no_act_on_a_simulated_fleet_loses_more_than_the_bound(simulated: Found) -> None:
    """And none saves more than the pipeline has spent."""

    def is_harmless(finding: Finding) -> bool:
        effect, spent = finding.effect, simulated.detector.ledger(finding.pipeline).total()
        return effect.lost * 20 <= effect.pushes and 0 <= effect.node_ms <= spent

    assert all(is_harmless(finding) for finding in simulated.current())
