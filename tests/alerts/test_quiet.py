"""A flag that was snoozed or muted: its messages are held or dropped with the reason, and no other ones are."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.mailbox import Mailbox
from stream_app.alerts.messages import Fate
from stream_app.alerts.quiet import Quiet, StoredQuiets, hold_back
from stream_app.alerts.secrets import Vault
from stream_app.alerts.settling import settle
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscriptions import make_subscription
from stream_app.times import time_to_text
from tests.alerts.records import NOW, record

UNTIL = NOW + 3_600_000
SNOOZED, MUTED = Quiet(UNTIL, "ann: tomorrow", UNTIL), Quiet(None, "ann: known", UNTIL)
FIRST, SECOND = record(flag="p/run:r1"), record(flag="p/run:r2")


def mailbox(sink: dict[str, Any] | None = None, **delivery: object) -> Mailbox:
    """A mailbox of a subscription to everything."""
    given = {"id": "s", "name": "s", "owner": "ann", "sink": sink or {"kind": "kafka", "topic": "t"}}
    return Mailbox(make_subscription({**given, "delivery": {"min_hold_seconds": 0, **delivery}}))


class Sending:
    """Sends what is due of a mailbox, of which some flags are quiet."""

    def __init__(self, box: Mailbox, **quiet: Quiet) -> None:
        self.box = box
        self.quiet = quiet
        self.sent: list[list[str]] = []

    def of(self, subscription: str, flag: str) -> Quiet | None:
        """Whether a flag is quiet."""
        assert subscription == "s"
        return self.quiet.get(flag.partition("run:")[2])

    def accept(self, *records: FlagRecord, at: int = NOW) -> None:
        """Takes records."""
        for each in records:
            self.box.accept(each, True, at, at)

    def at(self, now_ms: int) -> list[list[str]]:
        """Sends all that is due; returns what was sent."""
        self.box.advance(now_ms)
        sent: list[list[str]] = []
        while (message := self.box.take(now_ms, now_ms / 1000)) is not None:
            result = hold_back(self.box, message, self.of, now_ms)
            if result is None:
                sent.append([each.id for each in message.records])
            settle(self.box, message, result or Result(), "", now_ms, now_ms / 1000, 0.0)
        return sent

    def log(self) -> list[tuple[str, str, str]]:
        """What the delivery log says since the last call."""
        return [(each.message, each.fate.value, each.reason) for each in self.box.take_log()]


def test_a_snoozed_flag_is_told_of_when_its_time_is_over() -> None:
    """Not a moment before; the log says until when, who wanted it, and why."""
    sending = Sending(mailbox(), r1=SNOOZED)
    sending.accept(FIRST, SECOND)

    assert sending.at(NOW) == [[SECOND.id]]
    held = f"held until {time_to_text(UNTIL)}: snoozed by ann: tomorrow"
    assert sending.log() == [(FIRST.id, "postponed", held), (SECOND.id, "sent", "")]
    assert sending.at(UNTIL - 1) == []
    assert sending.at(UNTIL) == [[FIRST.id]]
    assert sending.log() == [(FIRST.id, "sent", "")]


def test_what_comes_while_a_flag_is_snoozed_waits_too_and_in_order() -> None:
    """It is not lost, and not sent before what came earlier."""
    sending = Sending(mailbox())
    sending.accept(FIRST)
    assert sending.at(NOW) == [[FIRST.id]]
    sending.quiet["r1"] = SNOOZED
    revised, resolved = record(2, Change.REVISED), record(3, Change.RESOLVED)
    sending.accept(revised, at=NOW + 1)

    assert sending.at(NOW + 1) == []
    sending.accept(resolved, at=NOW + 2)
    assert sending.at(NOW + 2) == []
    assert sending.at(UNTIL) == [[resolved.id]]


def test_a_muted_flag_is_not_told_of_any_more() -> None:
    """Each record has an entry in the log."""
    sending = Sending(mailbox(), r1=MUTED)
    sending.accept(FIRST, SECOND)
    assert sending.at(NOW) == [[SECOND.id]]
    sending.accept(record(2, Change.RESOLVED), at=UNTIL)

    assert sending.at(UNTIL) == []
    assert [entry for entry in sending.log() if entry[0] != SECOND.id] == [
        (FIRST.id, "dropped", "muted by ann: known"),
        ("p/run:r1#2", "dropped", "muted by ann: known"),
    ]


def test_a_flag_may_be_muted_while_it_is_snoozed() -> None:
    """What was held is then dropped."""
    sending = Sending(mailbox(), r1=SNOOZED)
    sending.accept(FIRST)
    assert sending.at(NOW) == []
    sending.quiet["r1"] = MUTED

    assert sending.at(UNTIL) == []
    assert [fate for _, fate, _ in sending.log()] == ["postponed", "dropped"]


def test_a_digest_leaves_out_what_is_quiet() -> None:
    """A snoozed flag is told of later, by itself."""
    sending = Sending(mailbox(group_by="pipeline", group_seconds=60), r1=SNOOZED, r3=MUTED)
    third = record(flag="p/run:r3")
    sending.accept(FIRST, SECOND, third)

    assert sending.at(NOW) == []
    assert sending.at(NOW + 60_000) == [[SECOND.id]]
    fates = {message: fate for message, fate, _ in sending.log()}
    assert fates == {FIRST.id: "postponed", third.id: "dropped", f"{FIRST.id}+": "sent"}
    assert sending.at(UNTIL) == [[FIRST.id]]


def test_a_digest_of_nothing_else_is_not_sent() -> None:
    """Nobody wants an empty one."""
    sending = Sending(mailbox(group_by="pipeline", group_seconds=60), r1=MUTED, r2=MUTED)
    sending.accept(FIRST, SECOND)

    assert sending.at(NOW) == []
    assert sending.at(NOW + 60_000) == []
    assert {fate for _, fate, _ in sending.log()} == {Fate.DROPPED.value}


def test_a_hook_is_not_held_back() -> None:
    """It tells nobody anything: whether a run is stopped is for others to decide."""
    sink = {"kind": "mlflow", "url": "https://mlflow.example.com", "pipelines": ["*"]}
    box = mailbox(sink)
    box.accept(record(2, Change.DUE), True, NOW, NOW)
    message = box.take(NOW, 0.0)

    assert message is not None
    assert hold_back(box, message, lambda *_: MUTED, NOW) is None


def test_what_is_quiet_is_so_after_a_restart(tmp_path: Path) -> None:
    """Until it has expired."""
    store = AlertStore(tmp_path / "alerts.sqlite", Vault(b"a key for the tests only"))
    clock = [NOW]
    quiets = StoredQuiets(store, lambda: clock[0])
    asyncio.run(quiets.put("s", "p/run:r1", SNOOZED))
    asyncio.run(quiets.put("s", "p/run:r2", MUTED))

    again = StoredQuiets(store, lambda: clock[0])
    assert (again.of("s", "p/run:r1"), again.of("s", "p/run:r2")) == (SNOOZED, MUTED)
    assert again.of("t", "p/run:r1") is None
    clock[0] = UNTIL + 1
    asyncio.run(again.put("s", "p/run:r3", Quiet(None, "ann: x", UNTIL + 9)))
    with sqlite3.connect(store.path) as db:
        assert db.execute("SELECT flag FROM quiet").fetchall() == [("p/run:r3",)]
    store.close()
