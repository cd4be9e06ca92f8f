"""An owner who is forgotten is in no subscription, message or log of the store, and is not subscribed again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.alerts.access import EVERYBODY, Principal, Scope
from stream_app.alerts.forgetting import Forgetting, Forgotten, StoredLogs
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.ownership import subscription_id
from stream_app.alerts.saved import AlertStoreError, AuditEntry, Changes
from stream_app.alerts.secrets import Vault
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscribers import ForbiddenError
from tests.alerts.records import NOW, record
from tests.support.served_subscriptions import ServedSubscriptions

PERSON = "grace.hopper"
ADMIN = Principal("admin", Scope.ADMIN)


def given(name: str, owner: str = PERSON, **more: Any) -> dict[str, Any]:
    """A subscription that sends by e-mail, some day."""
    sink = {"kind": "email", "to": [f"{owner}@example.com"]}
    return {"id": name, "name": name, "owner": owner, "sink": sink, "delivery": {"digest": "week"}, **more}


def log(name: str, message: str) -> tuple[str, LogEntry]:
    """An entry of the delivery log."""
    return name, LogEntry(message, Fate.FAILED, NOW, 1, f"{name}@example.com is not known", (message,))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServedSubscriptions]:
    """A service with two subscriptions of a person, one of them with her name as id, and one of another owner."""
    made = ServedSubscriptions(tmp_path)
    for name, owner in ((subscription_id(PERSON), PERSON), ("b", PERSON), ("x", "eve")):
        made.subscriptions.create(EVERYBODY, given(name, owner), NOW)
    made.notifier.accept(record(owner="somebody"), NOW, 1)
    asyncio.run(made.subscriptions.saved())
    made.store.save(
        Changes(
            deliveries=[log(subscription_id(PERSON), "m1"), log("b", "m2"), log("x", "m3")],
            audit=[AuditEntry(NOW, PERSON, "change", "x", "request"), AuditEntry(NOW, "ci", "delete", "gone")],
        )
    )
    yield made
    made.store.close()


def test_the_subscription_to_findings_goes_too(service: ServedSubscriptions) -> None:
    """With its log, and it is not made again."""
    name = subscription_id(PERSON, findings=True)
    service.subscriptions.create(EVERYBODY, given(name, types=["finding.raised"]), NOW)
    asyncio.run(service.subscriptions.saved())
    service.store.save(Changes(deliveries=[log(name, "m4")]))

    assert forget(service).subscriptions == 3
    assert service.store.deliveries(name, 10) == []
    assert service.subscriptions.forgetting.has(PERSON)


def forget(service: ServedSubscriptions, who: Principal = ADMIN, owner: str = PERSON) -> Forgotten:
    """Forgets an owner."""
    return asyncio.run(service.subscriptions.forget(who, owner, NOW))


def files(service: ServedSubscriptions) -> bytes:
    """All bytes of the store."""
    return b"".join(file.read_bytes() for file in service.store.path.parent.glob("alerts.sqlite*"))


def test_nothing_names_the_owner_any_more(service: ServedSubscriptions) -> None:
    """In no file of the store, also not in what SQLite has freed. What others have stays."""
    assert PERSON.encode() in files(service)

    made = forget(service)

    # Two that were logged, and two messages that waited.
    assert made == Forgotten(PERSON, 2, 4, 3, (), 35)
    assert PERSON.encode() not in files(service)
    assert list(service.notifier.registered) == ["x"]
    assert [each.subscription.id for each in service.store.subscriptions()] == ["x"]
    assert {key.split(b"\0")[0] for key in service.store.rows()} & {b"b"} == set()
    assert service.store.deliveries("b", 10) == []
    assert [each.entry.message for each in service.store.deliveries("x", 10)] == ["m3"]


def test_the_audit_log_keeps_what_was_done(service: ServedSubscriptions) -> None:
    """By whom and when; one pseudonym stands for the owner and her subscriptions."""
    forget(service)
    entries = service.store.audit(20)
    pseudonym = entries[0].subject

    assert pseudonym.startswith("forgotten-")
    assert [(each.who, each.what, each.subject) for each in entries] == [
        ("admin", "forget-owner", pseudonym),
        ("ci", "delete", "gone"),
        (pseudonym, "change", "x"),
        ("everybody", "create", "x"),
        ("everybody", "create", pseudonym),
        ("everybody", "create", pseudonym),
    ]
    assert entries[2].request == "request"


def test_whoever_names_the_owner_is_told(service: ServedSubscriptions) -> None:
    """What others ask for is theirs."""
    service.subscriptions.create(EVERYBODY, given("y", "eve", filter={"not": {"owner": [PERSON]}}), NOW)

    assert forget(service).named_in == ("y",)


def test_an_owner_who_has_nothing_is_forgotten_too(service: ServedSubscriptions) -> None:
    """Now and after a restart; others are not."""
    made = forget(service, owner="new")
    again = Forgetting(service.notifier, StoredLogs(service.store))

    assert (made.subscriptions, made.deliveries, made.audit_entries) == (0, 0, 0)
    assert [each.has("new") for each in (service.subscriptions.forgetting, again)] == [True, True]
    assert [each.has("eve") for each in (service.subscriptions.forgetting, again)] == [False, False]
    assert b"new-" not in b"".join(each.encode() for each in service.store.deleted())


@pytest.mark.parametrize(
    "who", [Principal("w", Scope.WRITE), Principal("bound", Scope.ADMIN, ("eve",))], ids=["write", "bound"]
)
def test_who_may_not_forgets_nobody(service: ServedSubscriptions, who: Principal) -> None:
    """It needs the scope admin, and a token that is not bound to other owners."""
    with pytest.raises(ForbiddenError):
        forget(service, who)

    assert len(service.notifier.registered) == 3
    assert not service.subscriptions.forgetting.has(PERSON)


def test_what_could_not_be_saved_is_deleted_when_asked_again(service: ServedSubscriptions) -> None:
    """Whatever was done by then."""
    notifier: Notifier = service.notifier
    save, service.store.save = service.store.save, _refuse  # type: ignore[method-assign, assignment]
    with pytest.raises(AlertStoreError):
        forget(service)
    service.store.save = save  # type: ignore[method-assign]

    forget(service)

    assert list(notifier.registered) == ["x"]
    assert PERSON.encode() not in files(service)


def test_a_deletion_leaves_nothing_in_free_pages(tmp_path: Path) -> None:
    """Of many rows at once."""
    store = AlertStore(tmp_path / "alerts.sqlite", Vault(b"a key for the tests only"))
    store.save(Changes(deliveries=[log(PERSON, f"m{number}") for number in range(2_000)]))

    store.erase(lambda db: db.execute("DELETE FROM deliveries") and None)

    assert PERSON.encode() not in b"".join(file.read_bytes() for file in tmp_path.iterdir())
    store.close()


def _refuse(_: Changes) -> None:
    raise AlertStoreError("the disk is full")
