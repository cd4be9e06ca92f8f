"""Whoever owns a run is subscribed at the first flag of theirs, once, unless somebody does not want that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stream_app.alerts import owner_subscriptions
from stream_app.alerts.matching import Matcher
from stream_app.alerts.owner_subscriptions import OwnerSubscriptions
from stream_app.alerts.ownership import subscription_id
from stream_app.alerts.records import DEFAULT_TYPES, FINDING_TYPES
from stream_app.alerts.settings import AlertSettings
from stream_app.alerts.subscriptions import State, make_subscription
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
    assert flags.subscription.filter.all is not None
    assert made.subscription.filter == flags.subscription.filter.all[0]
    assert made.subscription.sink == flags.subscription.sink
    assert owners.due(finding(owner="ads"), {}, NOW) is None


@pytest.mark.parametrize("findings", [False, True])
def test_who_has_deleted_a_subscription_is_not_sent_findings(*, findings: bool) -> None:
    """Neither of the two: whoever does not want flags was not asked about findings."""
    deleted = {subscription_id("ads", findings=findings)}

    assert OwnerSubscriptions(SETTINGS, lambda: deleted).due(finding(owner="ads"), {}, NOW) is None


ANN = OwnerRule("ann", pipeline="*", address="ann@example.com", team_address="ads@example.com")
GONE = replace(ANN, gone=True)


def receiver(owner: str, *rules: OwnerRule, admins: str = "") -> str | None:
    """Where the flags of an owner are sent."""
    made = OwnerSubscriptions(AlertSettings(owners=Owners(rules, admins))).due(record(owner=owner), {}, NOW)
    return made.subscription.sink.to[0] if made is not None else None  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("owner", "rules", "admins", "expected"),
    [
        ("ann", [ANN], "ops@example.com", "ann@example.com"),
        ("ann", [GONE], "ops@example.com", "ads@example.com"),
        ("ann", [ANN, OwnerRule("ann", pipeline="p", gone=True)], "ops@example.com", "ads@example.com"),
        ("ann", [replace(GONE, team_address="")], "ops@example.com", "ops@example.com"),
        ("ann", [replace(GONE, team_address="")], "", None),
        ("ann", [replace(ANN, address="")], "ops@example.com", "ops@example.com"),
        ("bob", [ANN], "ops@example.com", "ops@example.com"),
        ("bob@example.com", [ANN], "ops@example.com", "bob@example.com"),
        ("", [ANN], "ops@example.com", "ops@example.com"),
        ("", [ANN], "", None),
    ],
)
def test_somebody_hears_of_the_flags_of_those_who_are_gone(
    owner: str, rules: list[OwnerRule], admins: str, expected: str | None
) -> None:
    """The team, and where it has no address the admins; these also hear of flags that nobody else would hear of."""
    assert receiver(owner, *rules, admins=admins) == expected


def test_admins_hear_of_flags_without_an_owner_alone() -> None:
    """Not of those of whoever has an address, and of no findings."""
    owners = OwnerSubscriptions(AlertSettings(owners=Owners([ANN], "ops@example.com")))
    made = owners.due(record(owner=""), {}, NOW)
    assert made is not None
    matcher = Matcher([made.subscription])

    assert owners.due(finding(owner=""), {}, NOW) is None
    assert [match.exact for match in matcher.match(record(owner=""))] == [True]
    assert matcher.match(record(owner="ann")) == []


def test_a_subscription_of_somebody_who_left_goes_to_the_team() -> None:
    """Also where it was disabled since nobody read it; once, and not where somebody has made it their own."""
    owners, gone = Owners([ANN]), OwnerSubscriptions(AlertSettings(owners=Owners([GONE])))
    made = OwnerSubscriptions(AlertSettings(owners=owners)).due(record(owner="ann"), {}, NOW)
    assert made is not None
    dead = made.changed(made.subscription.model_copy(update={"state": State.DISABLED, "disabled_reason": "550"}), NOW)
    moved = gone.due(record(owner="ann"), {made.subscription.id: dead}, NOW + 1)

    assert moved is not None
    assert (moved.subscription.sink.to, moved.subscription.state) == (("ads@example.com",), State.ACTIVE)  # type: ignore[union-attr]
    assert (moved.version, tuple(gone.audit(moved))[2]) == (3, "change")
    assert gone.due(record(owner="ann"), {made.subscription.id: dead}, NOW + 1) is None
    own = made.changed(made.subscription.model_copy(update={"description": "mine"}), NOW)
    again = OwnerSubscriptions(AlertSettings(owners=Owners([GONE])))
    assert again.due(record(owner="ann"), {made.subscription.id: own}, NOW) is None


def test_nobody_is_told_of_a_run_whose_ladder_ends_with_observe() -> None:
    """But whoever asks for it by the condition `ladder`, and so is everybody who chose the flags themselves."""
    made = OwnerSubscriptions(SETTINGS).due(record(owner="ads"), {}, NOW)
    assert made is not None
    base = {"name": "s", "owner": "ads", "sink": {"kind": "kafka", "topic": "t"}}
    chosen = [make_subscription({**base, "id": "chosen", "filter": {"ladder": "observe"}})]
    chosen.append(make_subscription({**base, "id": "all"}))
    matcher = Matcher([made.subscription, *chosen])

    def heard(ladder: str) -> set[str]:
        flagged = replace(record().graphlets[0], ladder=ladder)
        return {match.subscription.id for match in matcher.match(record(owner="ads", graphlets=(flagged,)))}

    assert heard("observe") == {"chosen", "all"}
    assert heard("warn") == heard("act") == heard("") == {made.subscription.id, "all"}
