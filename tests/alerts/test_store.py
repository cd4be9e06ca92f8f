"""The store keeps all or nothing of a change, in order, for as long as it says, and tells when it cannot."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.alerts.flags import Change
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.registered import Registered, register
from stream_app.alerts.saved import AlertStoreError, AuditEntry, Changes
from stream_app.alerts.secrets import Vault
from stream_app.alerts.store import KEEP_DAYS, AlertStore
from stream_app.alerts.subscriptions import make_subscription
from stream_app.core.units import DAY_MS
from stream_app.errors import OptionsError
from tests.alerts.records import NOW, finding, record

VAULT = Vault(b"a key for the tests only")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the store is."""
    return tmp_path / "alerts.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[AlertStore]:
    """A new store."""
    made = AlertStore(path, VAULT)
    yield made
    made.close()


def subscription(name: str) -> Registered:
    """A subscription with a secret."""
    sink = {"kind": "webhook", "url": "https://e.org", "headers": {"X-Key": "swordfish"}}
    return register(make_subscription({"id": name, "name": name, "owner": "ads", "sink": sink}), NOW)


def entry(message: str, fate: Fate = Fate.SENT, time_ms: int = NOW) -> LogEntry:
    """An entry of the log."""
    return LogEntry(message, fate, time_ms, 1, "", (message,))


def everything() -> Changes:
    """A change of each kind."""
    return Changes(
        rows={b"a": b"1", b"b": b"2"},
        deliveries=[("s", entry("m"))],
        subscriptions={"s": subscription("s")},
        audit=[AuditEntry(NOW, "ann", "create", "s")],
        cursor=7,
    )


def content(store: AlertStore) -> tuple[Any, ...]:
    """All that changes write."""
    names = [each.subscription.id for each in store.subscriptions()]
    return dict(store.rows()), len(store.deliveries("s", 10)), names, len(store.audit(10)), store.cursor()


def test_changes_are_kept_over_a_restart(store: AlertStore, path: Path) -> None:
    """All of them, and secrets are not in the file."""
    store.save(everything())
    store.close()
    again = AlertStore(path, VAULT)

    assert content(again) == ({b"a": b"1", b"b": b"2"}, 1, ["s"], 1, 7)
    assert again.subscriptions()[0].secrets_at(NOW)
    again.close()
    assert b"swordfish" not in b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert b"whsec_" not in path.read_bytes()


def test_later_changes_replace_and_delete(store: AlertStore) -> None:
    """None means gone; a cursor that is not given stays."""
    store.save(everything())
    store.save(Changes(rows={b"a": None, b"b": b"3", b"none": None}, subscriptions={"s": None, "t": subscription("t")}))

    assert content(store) == ({b"b": b"3"}, 1, ["t"], 1, 7)


def test_what_fails_in_the_middle_leaves_nothing(store: AlertStore) -> None:
    """Neither the rows before it; and the store goes on."""
    wrong = everything()
    wrong.audit.append(AuditEntry(NOW, None, "create", "s"))  # type: ignore[arg-type]

    with pytest.raises(AlertStoreError, match="cannot write to"):
        store.save(wrong)
    assert content(store) == ({}, 0, [], 0, 0)
    store.save(everything())
    assert content(store)[-1] == 7


def test_flags_are_numbered_once(store: AlertStore) -> None:
    """A record that comes again keeps its place."""
    store.append_flags([record(), record(2, Change.REVISED)], NOW)
    store.append_flags([record(), record(flag="p/run:r2")], NOW + 1)

    found = store.flags_after(0)
    assert [each.id for _, _, each in found] == ["p/run:r1#1", "p/run:r1#2", "p/run:r2#1"]
    assert [number for number, _, _ in found] == sorted({number for number, _, _ in found})
    assert [logged for _, logged, _ in found] == [NOW, NOW, NOW + 1]
    assert store.flags_after(found[0][0], 1) == found[1:2]
    assert store.last_flag() == found[-1][0]
    assert [each.id for _, each in store.flags_since(NOW + 1)] == ["p/run:r2#1"]
    assert found[0][2] == record()


def test_the_latest_flags_are_the_last_records(store: AlertStore) -> None:
    """Newest first; of open ones alone where asked, of one pipeline where asked. Findings are no flags."""
    other = record(flag="q/run:1", pipeline="q")
    store.append_flags([record(), other, record(flag="p/run:r2"), record(2, Change.WITHDRAWN), finding()], NOW)

    assert [each.id for each in store.latest_flags(10)] == ["p/run:r1#2", "p/run:r2#1", "q/run:1#1"]
    assert [each.id for each in store.latest_flags(10, opened=True)] == ["p/run:r2#1", "q/run:1#1"]
    assert [each.id for each in store.latest_flags(10, "q")] == ["q/run:1#1"]
    assert [each.id for each in store.latest_flags(1)] == ["p/run:r1#2"]
    assert [each.id for each in store.latest_flags(10, "[q-z]*")] == ["q/run:1#1"]
    assert store.latest_flags(10, "none") == []


def test_records_are_found_by_id(store: AlertStore) -> None:
    """In the order that was asked for; those that are gone are missing."""
    store.append_flags([record(), record(2, Change.REVISED)], NOW)

    assert [each.revision for each in store.records(["p/run:r1#2", "gone#1", "p/run:r1#1"])] == [2, 1]


def test_deliveries_are_filtered_and_paged(store: AlertStore) -> None:
    """Newest first, of one subscription."""
    fates = [Fate.SENT, Fate.FAILED, Fate.DEAD, Fate.DROPPED, Fate.SENT]
    log = [("s", entry(str(n), fate, NOW + n)) for n, fate in enumerate(fates)]
    store.save(Changes(deliveries=[*log, ("t", entry("x"))]))

    found = store.deliveries("s", 10)
    assert [each.entry.message for each in found] == ["4", "3", "2", "1", "0"]
    assert [each.entry for each in found] == [each for _, each in reversed(log)]
    assert [each.entry.message for each in store.deliveries("s", 2, found[1].number)] == ["2", "1"]
    assert [each.entry.message for each in store.deliveries("s", 10, fates=[Fate.DEAD, Fate.FAILED])] == ["2", "1"]
    assert [each.entry.message for each in store.deliveries("s", 10, since_ms=NOW + 3)] == ["4", "3"]
    assert store.deliveries("s", 10, fates=[]) == []
    assert store.deliveries("none", 10) == []
    assert store.delivery(found[0].number) == found[0]
    assert store.delivery(10**12) is None


def test_what_is_old_is_deleted(store: AlertStore) -> None:
    """After 35 days, and not before; subscriptions and what waits stay."""
    later = NOW + KEEP_DAYS * DAY_MS
    store.save(everything())
    store.append_flags([record()], NOW)
    store.append_flags([record(2, Change.REVISED)], NOW + 1)

    store.delete_old(later)
    assert (len(store.flags_after(0)), len(store.deliveries("s", 10)), len(store.audit(10))) == (2, 1, 1)
    store.delete_old(later + 1)
    assert [each.revision for _, _, each in store.flags_after(0)] == [2]
    assert content(store) == ({b"a": b"1", b"b": b"2"}, 0, ["s"], 0, 7)
    assert store.last_flag() > 0


def test_numbers_do_not_begin_anew_after_a_deletion(store: AlertStore) -> None:
    """Or records would be taken for ones that mailboxes have."""
    store.append_flags([record()], NOW)
    last = store.last_flag()
    store.save(Changes(cursor=last))
    store.delete_old(NOW + 2 * KEEP_DAYS * DAY_MS)
    store.append_flags([record(2, Change.REVISED)], NOW + 2 * KEEP_DAYS * DAY_MS)

    assert [each.revision for _, _, each in store.flags_after(store.cursor())] == [2]


@pytest.mark.parametrize("damage", ["text", "newer", "folder", "missing"])
def test_what_is_no_store_is_an_error_for_people(tmp_path: Path, damage: str) -> None:
    """With the file in it."""
    path = tmp_path / "x.sqlite"
    if damage == "text":
        path.write_text("no database, but a text that is long enough to be looked at " * 100)
    elif damage == "newer":
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA user_version=99")
        database.close()
    elif damage == "folder":
        path.mkdir()
    else:
        path = tmp_path / "none" / "x.sqlite"

    with pytest.raises(OptionsError, match=r"x\.sqlite"):
        AlertStore(path, VAULT)


def test_another_key_is_refused(store: AlertStore, path: Path) -> None:
    """Before anything is sent with wrong secrets."""
    store.save(everything())

    with pytest.raises(OptionsError, match="give the key with which they were encrypted"):
        AlertStore(path, Vault(b"another key of such a length")).subscriptions()


def test_a_store_that_cannot_be_read_says_so(store: AlertStore) -> None:
    """As one error of its own, whichever method is called."""
    store.close()
    for call in (store.rows, store.cursor, store.subscriptions, store.last_flag):
        with pytest.raises(AlertStoreError, match=r"alerts\.sqlite"):
            call()
