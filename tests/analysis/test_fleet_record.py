"""A record of a pipeline gives its figures again, is bounded, and is checked by whoever reads it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.analysis.findings import ActKind, Kind
from stream_app.analysis.fleet.cells import Cell
from stream_app.analysis.fleet.following import FleetSettings, follow_fleet
from stream_app.analysis.fleet_answer import FiguresMaker, FleetUnavailableError
from stream_app.analysis.fleet_record import VERSION, FleetRecord, Origin, UnreadableRecordError, decode, encode
from stream_app.analysis.fleet_snapshots import FleetSnapshots
from stream_app.analysis.published_fleet import PublishedFleet
from stream_app.analysis.rates import Rates
from stream_app.core.detector import Detector, Settings
from stream_app.simulator import Fleet, FleetOptions
from stream_app.sources.native import decode as decode_event
from tests.support.builders import DAY, MINUTE, ran

ORIGIN = Origin(partition=3, epoch=2, position=70, as_of_ms=1_800_000_000_000)
SETTINGS = FleetSettings(rates=Rates(2.5, "EUR"))


def _records() -> dict[str, FleetRecord]:
    detector = Detector()
    fleet, snapshots = follow_fleet(detector, SETTINGS, {}), FleetSnapshots(SETTINGS)
    for event in Fleet(FleetOptions(pipelines=3, days=20, seed=3)).events():
        detector.step(decode_event(orjson.dumps(event)))
    known = [snapshots.take(fleet, name) for name in fleet.names()]
    return {each.snapshot.name: FleetRecord(each, ORIGIN, "EUR") for each in known if each is not None}


RECORDS = _records()
#: One with findings, redundant work and pushes.
RECORD = max(RECORDS.values(), key=lambda each: len(encode(each)[0]))
WRITTEN = encode(RECORD)[0]


def answered(*written: bytes) -> Any:
    """The document of a reader of some records."""
    fleet = PublishedFleet()
    for each in written:
        fleet.add(each)
    return FiguresMaker().answer(fleet.state()).document


def test_a_record_is_read_as_it_was_written() -> None:
    """Nothing is lost while no week is older than those that are listed."""
    assert {name: decode(encode(record)[0]) for name, record in RECORDS.items()} == RECORDS
    assert RECORD.known.findings
    assert RECORD.known.snapshot.redundancy.groups


def test_a_span_that_is_read_again_late_is_in_a_record_that_can_be_read() -> None:
    """A push had paid for it, and left: those that follow pay less, and none less than nothing."""
    detector = Detector(Settings(horizon_ms=2 * DAY, lateness_ms=DAY, retention_ms=8 * DAY))
    fleet, snapshots, day = follow_fleet(detector, SETTINGS, {}), FleetSnapshots(SETTINGS), DAY // MINUTE
    events = ran(0, "ingest", "ExampleGen", run=None, writes=["span"], node_ms=1_000 * MINUTE)
    for number in range(30):
        run, start = f"r{number}", number * day
        events += ran(start + 1, f"t{number}", "Trainer", run=run, writes=[f"m{number}"])
        events += ran(start + 3, f"p{number}", "Pusher", run=run, reads=[f"m{number}"])
        events += ran(start + 5, f"s{number}", "StatisticsGen", run=None, reads=["span"])
    events += ran(30 * day, "late", "Trainer", run="late", reads=["span"])
    for event in events:
        detector.step(event)
    known = snapshots.take(fleet, "p")
    assert known is not None

    record = FleetRecord(known, ORIGIN, "EUR")

    assert decode(encode(record)[0]) == record
    assert min(each.node_ms for each in fleet.pipeline("p").pushes.values()) == 0


def _later(**changed: Any) -> bytes:
    return orjson.dumps({**orjson.loads(WRITTEN), **changed})


def test_weeks_that_no_figure_lists_are_one() -> None:
    """All figures stay as they are."""
    snapshot = RECORD.known.snapshot
    last = max(week for week, _ in snapshot.cells)
    past = {(last - age, "x"): Cell({"outcome:pushed": age, "push_ms": 5}, {"depth": {3: age}}) for age in range(1, 60)}
    cells = {**{key: Cell(dict(each.counters), each.measures) for key, each in snapshot.cells.items()}, **past}
    record = replace(RECORD, known=replace(RECORD.known, snapshot=replace(snapshot, cells=cells)))
    written, omitted = encode(record)

    read = decode(written)

    assert omitted == ()
    assert len(read.known.snapshot.cells) < len(cells) - 30
    assert answered(written).figures == FiguresMaker().answer(_state(record)).document.figures


def _state(record: FleetRecord) -> Any:
    state = PublishedFleet()
    state._records[record.known.snapshot.name] = record
    return state.state()


@pytest.mark.parametrize(
    ("share", "omitted"),
    [
        (1.0, ()), (0.99, ("weeks",)), (0.5, ("weeks", "quantiles")), (0.12, ("weeks", "quantiles", "redundant")),
        (0.01, ("weeks", "quantiles", "redundant", "figures")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_left_out_and_named(share: float, omitted: tuple[str, ...]) -> None:
    """Weeks and quantiles first; totals are the same as long as there are any."""
    record = replace(RECORD, known=replace(RECORD.known, findings=()))
    whole = len(encode(record)[0])
    written, left_out = encode(record, round(whole * share))
    before, after = FiguresMaker().answer(_state(record)), answered(written)

    assert left_out == omitted
    assert decode(written).omitted == omitted
    assert len(written) <= whole * share or "figures" in omitted
    if "figures" not in omitted:
        totals = before.document.figures.fleet.totals
        found = after.figures.fleet.totals
        assert replace(found, quantiles={}) == replace(totals, quantiles={})
    fleet = PublishedFleet()
    fleet.add(written)
    assert fleet.state().omitted == ({record.known.snapshot.name: omitted} if omitted else {})


def _changed(*path: str | int, to: Any) -> bytes:
    document = orjson.loads(WRITTEN)
    place = document
    for each in path[:-1]:
        place = place[each]
    place[path[-1]] = to
    return orjson.dumps(document)


@pytest.mark.parametrize(
    "written",
    [
        b"", b"{", b"\xff\xfe", b"null", b"7", b'"text"', b"[]", b"{}", b'{"version":1}', b'{"version":"1"}',
        b'{"version":null}', b'{"version":true}', b'{"version":1.5}', b'{"version":1,"pipeline":"p"}', b"[" * 2000,
        *(_changed(name, to=None) for name in (
            "pipeline", "partition", "epoch", "position", "as_of_ms", "owner", "labels", "now_ms", "wasted_ms", "since",
            "cells", "redundant", "findings", "omitted",
        )),
        *(_changed("now_ms", to=to) for to in (-1, 1 << 62, 1.5, "x", True, [])),
        *(_changed("first_ms", to=to) for to in (-1, 1 << 62, "x")),
        *(_changed("epoch", to=to) for to in (-1, "1", 0.5)),
        *(_changed("currency", to=to) for to in (7, ["EUR"])),
        *(_changed("labels", to=to) for to in ({"owner": 7}, {"owner": [1, 2]}, {"owner": ["x", "y"]}, ["owner"])),
        *(_changed("cells", 0, "week", to=to) for to in (-1, 1 << 40, "x")),
        *(_changed("cells", 0, "sums", to=to) for to in (
            None, [], [{}], [{}, {}, {}], [{"runs": 0}, {}], [{"runs": -1}, {}], [{"runs": 1 << 63}, {}],
            [{"runs": "1"}, {}], [{}, {"depth": []}], [{}, {"depth": [[1, 0]]}], [{}, {"depth": [[1, -1]]}],
            [{}, {"depth": [[99_999, 1]]}], [{}, {"depth": [[-2, 1]]}], [{}, {"depth": {"1": 1}}], [{}, {"depth": 4}],
        )),
        *(_changed("since", name, to=to) for name in ("node_ms", "tries") for to in (None, -1, "x")),
        *(_changed("redundant", to=to) for to in ({}, {"rows": []}, {"rows": 7, "groups": []})),
        *(_changed("redundant", "rows", 0, name, to=to) for name, to in (
            ("kind", "unheard of"), ("group", "run"), ("node_ms", -1), ("micros", None), ("type", None),
        )),
        *(_changed("redundant", "groups", 0, name, to=to) for name, to in (
            ("share", 7), ("share", "x"), ("share", None), ("examples", 7), ("examples", [7]), ("code", 7), ("row", {}),
        )),
        *(_changed("findings", 0, name, to=to) for name, to in (
            ("id", None), ("revision", -1), ("since_ms", 1 << 62), ("graphlets", [7]), ("act", {}), ("act", None),
            ("effect", {}), ("node_ms", "x"),
        )),
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused_in_one_line(written: bytes) -> None:
    """And what was known before stays."""
    fleet = PublishedFleet()
    fleet.add(WRITTEN)
    before = fleet.state()

    with pytest.raises(UnreadableRecordError) as refused:
        fleet.add(written)

    assert len(str(refused.value).splitlines()) == 1
    assert fleet.state() == before


@given(data=st.data())
def test_figures_can_be_made_of_whatever_is_read(data: st.DataObject) -> None:
    """A record with one part replaced is refused, or answered."""
    document = orjson.loads(WRITTEN)
    places = list(_places(document))
    place, key = data.draw(st.sampled_from(places))
    values: list[Any] = [None, 0, -1, 1, 7, 1 << 62, 253_370_764_799_999, 0.5, "", "x", "train", [], {}, [[1, 1]], True]
    place[key] = data.draw(st.sampled_from(values))
    fleet = PublishedFleet()
    try:
        fleet.add(orjson.dumps(document))
    except UnreadableRecordError:
        return
    fleet.is_complete = True
    answer = fleet.answer()

    orjson.dumps(answer.document)
    for name in answer.wasted:
        orjson.dumps(answer.of_pipeline(name))


def _places(part: Any) -> Iterator[tuple[Any, Any]]:
    """Each part of a document, with what it is in."""
    keys = list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
    for key in keys:
        yield part, key
        yield from _places(part[key])


def test_fields_of_a_later_release_are_ignored() -> None:
    """Wherever they are."""
    document = orjson.loads(WRITTEN)
    for part in (
        document, document["since"], document["cells"][0], document["redundant"], document["redundant"]["rows"][0],
        document["redundant"]["groups"][0], document["findings"][0], document["findings"][0]["effect"],
    ):  # fmt: skip
        part["new"] = {"of": ["a", "later", "release"]}

    assert decode(orjson.dumps(document)) == RECORD


def test_a_later_version_is_named() -> None:
    """With what this program reads."""
    with pytest.raises(
        UnreadableRecordError, match=f"it has version {VERSION + 1}, this program reads up to {VERSION}"
    ):
        decode(_later(version=VERSION + 1, cells="in another form"))


@pytest.mark.parametrize("path", [("findings", 0, "kind"), ("findings", 0, "act", "kind")])
def test_findings_of_rules_that_are_not_known_are_left_out(path: tuple[str | int, ...]) -> None:
    """The others stay."""
    found = decode(_changed(*path, to="of a later release")).known.findings

    assert found == RECORD.known.findings[1:]
    assert {each.kind for each in RECORD.known.findings} <= set(Kind)
    assert {each.act.kind for each in RECORD.known.findings} <= set(ActKind)


def test_the_highest_rank_counts_in_any_order() -> None:
    """First the epoch, then the position; of the same rank the later record."""
    ranks = [(1, 900), (2, 10), (2, 11)]
    records = [_later(epoch=epoch, position=position, owner=f"{epoch}-{position}") for epoch, position in ranks]
    for seed in range(6):
        random.Random(seed).shuffle(records)
        assert [each.owner for each in answered(*records).pipelines] == ["2-11"]

    assert [each.owner for each in answered(*records, _later(epoch=2, position=11, owner="new")).pipelines] == ["new"]


def test_figures_are_as_old_as_those_of_the_oldest_partition() -> None:
    """Of a partition the latest record tells it."""
    fleet = PublishedFleet()
    for name, partition, as_of_ms in (("a", 0, 50), ("b", 0, 90), ("c", 1, 70), ("d", 2, 80)):
        fleet.add(_later(pipeline=name, partition=partition, as_of_ms=as_of_ms))

    assert fleet.state().as_of_ms == 70
    assert PublishedFleet().state().as_of_ms is None


@pytest.mark.parametrize(
    ("currencies", "currency"), [(["EUR", "EUR"], "EUR"), (["EUR", "USD"], None), (["EUR", None], None), ([], None)]
)
def test_there_is_no_money_while_currencies_differ(currencies: list[str | None], currency: str | None) -> None:
    """Workers are started one by one with another rate card."""
    written = [_later(pipeline=f"p{number}", currency=each) for number, each in enumerate(currencies)]

    figures = answered(*written).figures

    assert figures.currency == currency
    assert (figures.fleet.totals.money is None) == (currency is None)


def test_nothing_is_answered_before_all_was_read() -> None:
    """It says why, and answers afterwards, also while nothing more can be read."""
    fleet = PublishedFleet()
    asked: list[Callable[[], Any]] = [fleet.answer]
    with pytest.raises(FleetUnavailableError, match="has not all been read yet"):
        asked[0]()
    fleet.tell_problem("no such topic")
    with pytest.raises(FleetUnavailableError, match="no such topic"):
        fleet.answer()

    fleet.add(WRITTEN)
    fleet.is_complete = True

    assert fleet.answer().document.figures.fleet.pipelines == 1
