"""Subscriptions as they are kept: secrets are encrypted in rows and hidden when shown, and those not sent stay."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stream_app.alerts.registered import (
    HIDDEN,
    OVERLAP_MS,
    from_row,
    plain,
    register,
    restored_secrets,
    shown,
    to_row,
)
from stream_app.alerts.secrets import Vault
from stream_app.alerts.signing import key_of, make_secret
from stream_app.alerts.subscriptions import Subscription, SubscriptionError, make_subscription
from stream_app.errors import OptionsError, StateError
from tests.alerts.records import NOW

VAULT = Vault(b"a key for the tests only")
SECRET = make_secret()
SINKS: dict[str, dict[str, Any]] = {
    "webhook": {"kind": "webhook", "url": "https://e.org/h", "secret": SECRET,
                "headers": {"Authorization": "Bearer swordfish", "X-Team": "swordfish-2"}},
    "slack": {"kind": "slack", "webhook_url": "https://hooks.slack.com/swordfish"},
    "bot": {"kind": "slack", "token": "xoxb-swordfish", "channel": "#ads"},
    "email": {"kind": "email", "to": ["a@example.com"]},
    "alertmanager": {"kind": "alertmanager", "url": "https://am.example.com"},
    "kafka": {"kind": "kafka", "topic": "t"},
    "apprise": {"kind": "apprise", "url": "json://u:swordfish@e.org"},
}  # fmt: skip


def subscription(kind: str, **more: Any) -> Subscription:
    """A subscription with a sink of a kind."""
    return make_subscription({"id": "a", "name": "A", "owner": "ads", "sink": SINKS[kind], **more})


@pytest.mark.parametrize("kind", SINKS)
def test_no_secret_is_shown_or_stored_in_the_clear(kind: str) -> None:
    """Of any kind of sink; the row gives the same subscription again."""
    made = register(subscription(kind, filter={"pipeline": "ads-*"}, delivery={"digest": "day"}), NOW)
    row = to_row(made, VAULT)

    for text in (orjson.dumps(shown(made)).decode(), row.decode(), repr(made), str(made)):
        assert "swordfish" not in text
        assert SECRET not in text
    assert from_row(row, VAULT) == made


@pytest.mark.parametrize(
    ("types", "now"),
    [
        (["raised", "revised", "withdrawn", "resolved"], ["raised", "revised", "withdrawn", "resolved", "reminded"]),
        (["raised", "resolved"], ["raised", "resolved"]),
        (["finding.raised"], ["finding.raised"]),
    ],
)
def test_whoever_heard_of_all_that_flags_had_is_reminded(types: list[str], now: list[str]) -> None:
    """By what an earlier release stored; one that chose is left as it is, and so is one that chooses now."""
    made = register(subscription("kafka", types=types), NOW)
    row = orjson.loads(to_row(made, VAULT))
    earlier = orjson.dumps({name: value for name, value in row.items() if name != "format"})

    assert list(from_row(earlier, VAULT).subscription.types) == now
    assert from_row(orjson.dumps(row), VAULT) == made


@pytest.mark.parametrize("kind", SINKS)
def test_what_is_shown_can_be_sent_back(kind: str) -> None:
    """With hidden secrets, which stay what they are."""
    made = register(subscription(kind), NOW)
    read = {name: value for name, value in shown(made).items() if name not in ("version", "created", "updated")}

    assert make_subscription(restored_secrets(read, made.subscription)) == made.subscription


def test_a_hidden_secret_of_another_sink_is_not_restored() -> None:
    """A secret goes nowhere else than where it was given for."""
    changed = {**plain(subscription("bot"), str), "sink": {**SINKS["webhook"], "secret": HIDDEN, "headers": {}}}

    assert "swordfish" not in str(restored_secrets(changed, subscription("bot")))


@pytest.mark.parametrize("wrong", [None, "text", 7, [], {"kind": "fax"}, {}])
def test_a_sink_that_is_none_is_left_to_its_check(wrong: Any) -> None:
    """Nothing fails before it."""
    with pytest.raises(SubscriptionError):
        make_subscription(restored_secrets({"id": "a", "name": "a", "owner": "a", "sink": wrong}, subscription("bot")))


def test_a_webhook_without_a_secret_gets_one() -> None:
    """And each another one."""
    given = {**SINKS["webhook"]}
    del given["secret"]
    made = [register(make_subscription({**plain(subscription("webhook"), str), "sink": given}), NOW) for _ in range(2)]

    assert key_of(made[0].secrets_at(NOW)[0])
    assert made[0].secrets_at(NOW) != made[1].secrets_at(NOW)


@pytest.mark.parametrize("wrong", ["", "short", "whsec_", "whsec_!!", HIDDEN])
def test_a_secret_that_cannot_sign_is_refused(wrong: str) -> None:
    """When it is given, and not when the first message is sent."""
    given = make_subscription({**plain(subscription("webhook"), str), "sink": {**SINKS["webhook"], "secret": wrong}})

    with pytest.raises(SubscriptionError, match=r"sink\.secret"):
        register(given, NOW)


def test_after_a_rotation_both_secrets_sign_for_a_day() -> None:
    """Then the new one alone; a second rotation lets go of the first."""
    first = register(subscription("webhook"), NOW)
    second = first.rotated(NOW)
    third = second.rotated(NOW + 1)

    assert first.secrets_at(NOW) == [SECRET]
    assert second.secrets_at(NOW + OVERLAP_MS - 1) == [second.secrets_at(NOW)[0], SECRET]
    assert second.secrets_at(NOW + OVERLAP_MS) == second.secrets_at(NOW)[:1]
    assert SECRET not in third.secrets_at(NOW + 1)
    assert from_row(to_row(second, VAULT), VAULT) == second
    assert (first.version, second.version, third.version) == (1, 2, 3)


@pytest.mark.parametrize("kind", sorted(set(SINKS) - {"webhook"}))
def test_only_webhooks_sign(kind: str) -> None:
    """Others have no secret to rotate."""
    made = register(subscription(kind), NOW)

    assert made.secrets_at(NOW) == []
    with pytest.raises(SubscriptionError, match="only a webhook"):
        made.rotated(NOW)


def test_tags_differ_by_version_and_subscription() -> None:
    """So that a change of one is not taken for the other."""
    made = register(subscription("email"), NOW)
    other = register(make_subscription({**plain(subscription("email"), str), "id": "b"}), NOW)

    assert len({made.etag, other.etag, made.changed(made.subscription, NOW + 1).etag}) == 3
    assert made.changed(made.subscription, NOW + 1).updated_ms == NOW + 1


@pytest.mark.parametrize(
    "row",
    [b"", b"{", b"[]", b"{}", b"null", b"7", b'{"subscription": {}}', b'{"subscription": 7, "former_secret": null}'],
)
def test_a_damaged_row_is_one_error(row: bytes) -> None:
    """That names what it is."""
    with pytest.raises(StateError, match="a stored subscription cannot be read"):
        from_row(row, VAULT)


def test_another_key_is_an_error_for_people() -> None:
    """Which says what to do."""
    row = to_row(register(subscription("bot"), NOW), VAULT)

    with pytest.raises(OptionsError, match="give the key with which they were encrypted"):
        from_row(row, Vault(b"another key of the same length"))
    with pytest.raises(OptionsError, match="at least 16 bytes"):
        Vault(b"short   \n        ")
