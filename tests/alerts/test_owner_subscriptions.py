"""Whoever owns a run is subscribed at the first flag of theirs, once, unless somebody does not want that."""

from __future__ import annotations

import pytest

from stream_app.alerts import owner_subscriptions
from stream_app.alerts.owner_subscriptions import OwnerSubscriptions
from stream_app.alerts.ownership import subscription_id
from stream_app.alerts.records import DEFAULT_TYPES, FINDING_TYPES
from stream_app.alerts.settings import AlertSettings
from stream_app.owners import OwnerRule, Owners
from tests.alerts.records import NOW, finding, record

OWNERS = Owners([OwnerRule("ads", pipeline="*", address="ads-leads@example.com")])
SETTINGS = AlertSettings(owners=OWNERS)


def test_an_owner_with_an_address_is_subscribed_once() -> None:
    """The subscription goes to that address; who did it is in the audit log."""
    owners = OwnerSubscriptions(SETTINGS)
    made = owners.due(record(owner="ads"), {}, NOW)

    assert made is not None
    assert made.subscription.id == subscription_id("ads")
    assert made.subscription.sink.to == ("ads-leads@example.com",)  # type: ignore[union-attr]
    assert owners.due(record(owner="ads"), {}, NOW) is None
    assert tuple(owners.audit(made)) == (NOW, "owners file", "create", subscription_id("ads"), "")


def test_who_is_an_address_needs_no_rule() -> None:
    """The owner of a run may be one."""
    made = OwnerSubscriptions(SETTINGS).due(record(owner="eve@example.com"), {}, NOW)

    assert made is not None
    assert made.subscription.owner == "eve@example.com"


@pytest.mark.parametrize("owner", ["", "nobody's team"])
def test_who_cannot_be_written_to_is_not_subscribed(owner: str, caplog: pytest.LogCaptureFixture) -> None:
    """Which is told once, where there is an owner at all."""
    owners = OwnerSubscriptions(SETTINGS)

    assert [owners.due(record(owner=owner), {}, NOW) for _ in range(2)] == [None, None]
    assert len(caplog.records) == (1 if owner else 0)


def test_owners_are_not_subscribed_where_that_is_not_wanted() -> None:
    """Without an owners file for it, or by somebody who has deleted the subscription."""
    assert OwnerSubscriptions(AlertSettings(contacts=OWNERS)).due(record(owner="ads"), {}, NOW) is None
    assert OwnerSubscriptions(SETTINGS, lambda: {subscription_id("ads")}).due(record(owner="ads"), {}, NOW) is None


def test_a_subscription_that_is_there_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no further one is made beyond the most that there may be."""
    made = OwnerSubscriptions(SETTINGS).due(record(owner="ads"), {}, NOW)
    assert made is not None
    assert OwnerSubscriptions(SETTINGS).due(record(owner="ads"), {made.subscription.id: made}, NOW) is None
    monkeypatch.setattr(owner_subscriptions, "SUBSCRIPTIONS_MAX", 1)

    assert OwnerSubscriptions(SETTINGS).due(record(owner="eve@example.com"), {made.subscription.id: made}, NOW) is None


def test_an_owner_hears_of_findings_once_a_week() -> None:
    """By a second subscription, from the first finding on; that to flags stays what it is."""
    owners = OwnerSubscriptions(SETTINGS)
    flags = owners.due(record(owner="ads"), {}, NOW)
    made = owners.due(finding(owner="ads"), {}, NOW)

    assert flags is not None
    assert made is not None
    assert made.subscription.id == subscription_id("ads", findings=True) != flags.subscription.id
    assert set(flags.subscription.types) == set(DEFAULT_TYPES)
    assert set(made.subscription.types) == set(FINDING_TYPES)
    assert made.subscription.delivery.digest == "week"
    assert made.subscription.filter == flags.subscription.filter
    assert made.subscription.sink == flags.subscription.sink
    assert owners.due(finding(owner="ads"), {}, NOW) is None


@pytest.mark.parametrize("findings", [False, True])
def test_who_has_deleted_a_subscription_is_not_sent_findings(*, findings: bool) -> None:
    """Neither of the two: whoever does not want flags was not asked about findings."""
    deleted = {subscription_id("ads", findings=findings)}

    assert OwnerSubscriptions(SETTINGS, lambda: deleted).due(finding(owner="ads"), {}, NOW) is None
