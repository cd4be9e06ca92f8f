"""Owners hear of their own runs, at the address of the owners file, and of nobody else's."""

from __future__ import annotations

import pytest

from stream_app.alerts.filters import Facts
from stream_app.alerts.ownership import PREFIX, default_subscription, subscription_id
from stream_app.alerts.subscriptions import EmailSink, SlackSink
from stream_app.owners import OwnerRule, Owners
from tests.alerts.records import record

TOKEN = "xoxb-secret"


def owners(address: str, name: str = "Ads ranking") -> Owners:
    """An owners file with one owner."""
    return Owners([OwnerRule(name, "*", address=address)])


@pytest.mark.parametrize(
    "name",
    ["ads", "Ads ranking", "a*", "a[b]c", "a?", "ä ö", "[", "]", "*", "a" * 200, "x\ny", "ann@example.com", "[!a]"],
)
def test_an_owner_hears_of_their_own_runs_alone(name: str) -> None:
    """Wildcards in a name stand for themselves."""
    made = default_subscription(name, owners("ads@example.com", name), None)
    assert made is not None
    holds = made.filter.compile()
    assert holds(Facts.of(record(owner=name)))
    for other in (name + "x", "x" + name, "", "abc", "b", "ax"):
        assert other == name or not holds(Facts.of(record(owner=other)))


@pytest.mark.parametrize(
    ("address", "token", "sink"),
    [
        ("ads@example.com", None, EmailSink(kind="email", to=("ads@example.com",))),
        (" ads@example.com\n", TOKEN, EmailSink(kind="email", to=("ads@example.com",))),
        ("#ads-ml", TOKEN, SlackSink(kind="slack", token=TOKEN, channel="#ads-ml")),  # type: ignore[arg-type]
        ("#ads-ml", None, None),
        ("#no such channel", TOKEN, None),
        ("", TOKEN, None),
        ("Room 7", None, None),
        ("https://example.com", None, None),
        ("a@b.c, d@e.f", None, None),
    ],
)
def test_the_address_gives_the_sink(address: str, token: str | None, sink: object) -> None:
    """None where it cannot be written to."""
    made = default_subscription("Ads ranking", owners(address), token)

    assert (made.sink if made is not None else None) == sink


def test_an_owner_who_is_in_no_file_may_be_an_address() -> None:
    """As where events name whoever owns a run by e-mail."""
    made = default_subscription("ann@example.com", Owners(), None)

    assert made is not None
    assert made.sink == EmailSink(kind="email", to=("ann@example.com",))
    assert default_subscription("ann", Owners(), None) is None


def test_ids_of_owners_differ() -> None:
    """Also where their names differ in what an id cannot hold."""
    names = ["a b", "a-b", "a/b", "a" * 300, "a" * 301, "ä", "ö", ""]
    ids = [subscription_id(name) for name in names]

    assert len(set(ids)) == len(names)
    assert all(each.startswith(PREFIX) and len(each) <= 100 for each in ids)
    assert subscription_id("a b") == ids[0]
