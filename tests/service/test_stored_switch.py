"""The kill switch in its store: what is stored when, and on which side it errs."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stream_app.acting.switch import FLEET, Off
from stream_app.alerts.opening import open_store
from stream_app.alerts.saved import AlertStoreError, AuditEntry
from stream_app.service.stored_switch import StoredSwitch

NOW = 1_772_366_400_000


def turn(switch: StoredSwitch, pattern: str, *, off: bool) -> None:
    entry = AuditEntry(NOW, "ann", "acting", pattern)
    asyncio.run(switch.turn(pattern, Off(pattern, "ann", "an outage", NOW) if off else None, entry))


def test_what_is_off_is_off_after_a_restart(tmp_path: Path) -> None:
    """With who, when and why; what was switched on again is not."""
    store = open_store(tmp_path)
    for pattern, off in ((FLEET, True), ("ads-*", True), ("ads-1", True), (FLEET, False), ("ads-1", False)):
        turn(StoredSwitch(store), pattern, off=off)
    store.close()
    found = StoredSwitch(open_store(tmp_path)).switch

    assert found.off == [Off("ads-*", "ann", "an outage", NOW)]


def test_what_cannot_be_stored_errs_on_the_side_of_going_on(tmp_path: Path) -> None:
    """Off is off at once, though not after a restart, which the error says; on is not on."""
    store = open_store(tmp_path)
    switch = StoredSwitch(store)
    turn(switch, "ads-*", off=True)
    store.erase(lambda db: db.execute("DROP TABLE audit"))

    with pytest.raises(AlertStoreError, match=r"acting is off, but not after a restart: cannot write"):
        turn(switch, FLEET, off=True)
    with pytest.raises(AlertStoreError, match=r"^cannot write"):
        turn(switch, "ads-*", off=False)
    assert [each.pattern for each in switch.switch.off] == [FLEET, "ads-*"]


def test_turns_at_the_same_time_are_all_stored(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    switch = StoredSwitch(store)

    async def all_at_once() -> None:
        entries = [Off(f"p{number}", "ann", "x", NOW) for number in range(30)]
        await asyncio.gather(*(switch.turn(each.pattern, each, AuditEntry(NOW, "ann", "x", "y")) for each in entries))

    asyncio.run(all_at_once())

    assert len(StoredSwitch(store).switch.off) == len(store.audit(100)) == 30
