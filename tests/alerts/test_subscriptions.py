"""What a subscription may be: bad input is refused with the field that is wrong, and without the secret in it."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.alerts.flags import Change
from stream_app.alerts.sink_values import HEADERS_MAX, URL_MAX, checked_url
from stream_app.alerts.subscriptions import RECEIVERS_MAX, SubscriptionError, make_subscription

HOOK = {"kind": "webhook", "url": "https://e.org/h"}
BASE: dict[str, Any] = {"id": "a", "name": "A", "owner": "ads", "sink": HOOK}


def test_the_defaults_are_right_for_most() -> None:
    """Every change of every flag, held for two minutes."""
    made = make_subscription(BASE)

    assert tuple(each.value for each in made.types) == tuple(each.value for each in Change if each is not Change.DUE)
    assert made.filter.conditions() == 0
    assert (made.state, made.delivery.min_hold_seconds, made.delivery.time_zone) == ("active", 120.0, "UTC")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "-a"}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "a/b"}, "id"),
        ({"id": "a\n"}, "id"),
        ({"id": "ä"}, "id"),
        ({"id": "a" * 101}, "id"),
        ({"id": 7}, "id"),
        ({"id": None}, "id"),
        ({"name": ""}, "name"),
        ({"name": "a" * 201}, "name"),
        ({"name": ["a"]}, "name"),
        ({"owner": ""}, "owner"),
        ({"owner": "a" * 201}, "owner"),
        ({"description": "a" * 501}, "description"),
        ({"types": []}, "types"),
        ({"types": ["flagged"]}, "types.0"),
        ({"types": "raised"}, "types"),
        ({"types": ["finding.withdrawn"]}, "types.0"),
        ({"types": ["raised", "finding"]}, "types.1"),
        ({"state": "asleep"}, "state"),
        ({"managed_by": "a b"}, "managed_by"),
        ({"color": "red"}, "color"),
        ({"filter": {"color": "red"}}, "filter.color"),
        ({"filter": {"p_push": {}}}, "filter.p_push"),
        ({"filter": {"p_push": {"below": "NaN"}}}, "filter.p_push.below"),
        ({"filter": {"p_push": {"below": float("inf")}}}, "filter.p_push.below"),
        ({"filter": {"all": []}}, "filter.all"),
        ({"filter": []}, "filter"),
        ({"delivery": {"min_hold_seconds": -1}}, "delivery.min_hold_seconds"),
        ({"delivery": {"min_hold_seconds": 86_401}}, "delivery.min_hold_seconds"),
        ({"delivery": {"min_hold_seconds": float("nan")}}, "delivery.min_hold_seconds"),
        ({"delivery": {"group_by": "team"}}, "delivery.group_by"),
        ({"delivery": {"group_seconds": 0}}, "delivery.group_seconds"),
        ({"delivery": {"digest": "month"}}, "delivery.digest"),
        ({"delivery": {"digest_at": "24:00"}}, "delivery.digest_at"),
        ({"delivery": {"digest_at": "8:00"}}, "delivery.digest_at"),
        ({"delivery": {"digest": "day", "group_by": "owner"}}, "delivery"),
        ({"delivery": {"quiet_hours": {"start": "22:00"}}}, "delivery.quiet_hours.end"),
        ({"delivery": {"quiet_hours": {"start": "22:00", "end": "22:00"}}}, "delivery.quiet_hours"),
        ({"delivery": {"quiet_hours": {"start": "10 pm", "end": "07:00"}}}, "delivery.quiet_hours.start"),
        ({"delivery": {"time_zone": "Mars/Base"}}, "delivery.time_zone"),
        ({"delivery": {"time_zone": "../../etc/passwd"}}, "delivery.time_zone"),
        ({"delivery": {"time_zone": ""}}, "delivery.time_zone"),
        ({"delivery": {"time_zone": "a\x00b"}}, "delivery.time_zone"),
        ({"text": "a"}, "text"),
        ({"text": {"subject": "a"}}, "text.subject"),
        ({"text": {"title": ""}}, "text.title"),
        ({"text": {"title": 7}}, "text.title"),
        ({"text": {"body": "a" * 4_001}}, "text.body"),
        ({"sink": None}, "sink"),
        ({"sink": {}}, "sink"),
        ({"sink": {"kind": "fax"}}, "sink"),
        ({"sink": {"kind": "webhook"}}, "sink.url"),
        ({"sink": {**HOOK, "more": 1}}, "sink.more"),
        ({"sink": {**HOOK, "headers": {"Host": "swordfish"}}}, "sink.headers"),
        ({"sink": {**HOOK, "headers": {"webhook-id": "swordfish"}}}, "sink.headers"),
        ({"sink": {**HOOK, "headers": {"X-A\r\nB": "swordfish"}}}, "sink.headers"),
        ({"sink": {**HOOK, "headers": {"X-": "swordfish"}}}, "sink.headers"),
        ({"sink": {**HOOK, "headers": {"X-A": "swordfish\r\nB: c"}}}, "sink.headers"),
        ({"sink": {**HOOK, "headers": {"X-A": "swordfish\x7f"}}}, "sink.headers"),
        ({"sink": {**HOOK, "headers": {"X-A": "swordfish ä"}}}, "sink.headers"),
        ({"sink": {**HOOK, "headers": {"X-A": "swordfish" * 200}}}, "sink.headers"),
        ({"sink": {**HOOK, "headers": {f"X-{n}": "swordfish" for n in range(HEADERS_MAX + 1)}}}, "sink.headers"),
        ({"sink": {"kind": "slack"}}, "sink"),
        ({"sink": {"kind": "slack", "token": "swordfish"}}, "sink"),
        ({"sink": {"kind": "slack", "channel": "#a"}}, "sink"),
        ({"sink": {"kind": "slack", "token": "swordfish", "channel": "# a"}}, "sink.channel"),
        ({"sink": {"kind": "slack", "webhook_url": "swordfish"}}, "sink"),
        ({"sink": {"kind": "slack", "webhook_url": "https://e.org/swordfish", "token": "x", "channel": "a"}}, "sink"),
        ({"sink": {"kind": "email", "to": []}}, "sink.to"),
        ({"sink": {"kind": "email", "to": "a@b.c"}}, "sink.to"),
        ({"sink": {"kind": "email", "to": ["a"]}}, "sink.to"),
        ({"sink": {"kind": "email", "to": ["a@b.c\nBcc: d@e.f"]}}, "sink.to"),
        ({"sink": {"kind": "email", "to": ["a@b.c, d@e.f"]}}, "sink.to"),
        ({"sink": {"kind": "email", "to": ["<a@b.c>"]}}, "sink.to"),
        ({"sink": {"kind": "email", "to": ["@b.c"]}}, "sink.to"),
        ({"sink": {"kind": "email", "to": ["a@-"]}}, "sink.to"),
        ({"sink": {"kind": "email", "to": [f"a{n}@b.c" for n in range(RECEIVERS_MAX + 1)]}}, "sink.to"),
        ({"sink": {"kind": "kafka", "topic": "a b"}}, "sink.topic"),
        ({"sink": {"kind": "kafka", "topic": ""}}, "sink.topic"),
        ({"sink": {"kind": "kafka", "topic": "a" * 201}}, "sink.topic"),
        ({"sink": {"kind": "apprise"}}, "sink.url"),
        ({"sink": {"kind": "alertmanager", "url": "am:9093"}}, "sink.url"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    """In words, without what a library says of itself and without a secret."""
    with pytest.raises(SubscriptionError) as error:
        make_subscription({**BASE, **change})

    said = str(error.value)
    assert error.value.field == field
    for word in ("swordfish", "Value error", "pydantic", "extra_forbidden", "Input"):
        assert word not in said
    assert "\n" not in said


@pytest.mark.parametrize("given", [None, [], "text", 7, b"bytes", {}, {"sink": HOOK}])
def test_what_is_no_subscription_is_refused(given: object) -> None:
    """As a whole."""
    with pytest.raises(SubscriptionError):
        make_subscription(given)


@pytest.mark.parametrize(
    "url",
    [
        "https://e.org", "http://e.org:8080/a/b?c=d&e=f", "https://[2a00:1450:4001:80b::200e]:443/", "https://E.ORG/%20",
        "https://e.org/" + "a" * (URL_MAX - 14), "https://hooks.slack.com/services/T0/B0/x", "https://e.org./",
    ],
)  # fmt: skip
def test_a_url_is_taken_as_it_is(url: str) -> None:
    """Where it is one."""
    assert checked_url(url) == url


def test_a_name_in_other_letters_becomes_ascii() -> None:
    """As DNS has it."""
    assert checked_url("https://bücher.example:8443/ä?b") == "https://xn--bcher-kva.example:8443/ä?b"


@pytest.mark.parametrize(
    "url",
    [
        "", "e.org", "//e.org", "ftp://e.org", "file:///etc/passwd", "javascript:alert(1)", "https://", "https:///a",
        "https://:443/", "https://e.org:0/", "https://e.org:99999/", "https://e.org:a/", "https://u@e.org",
        "https://u:p@e.org", "https://@e.org", "https://e.org/#f", "https://e.org/a b", "https://e.org\\@f.org",
        "https://e.org/\n", "\thttps://e.org", "https://e.org/\x00", "https://[::1",
        "https://e.org/" + "a" * URL_MAX, "https://" + "ü" * 70 + ".org", "https://a..ü.org/", "https://e.org/\u200b",
    ],
)  # fmt: skip
def test_what_is_no_url_of_a_sink_is_refused(url: str) -> None:
    """With an error that a person understands."""
    with pytest.raises(ValueError, match=r"\w"):
        checked_url(url)


FINDINGS = ["finding.raised", "finding.resolved"]


@pytest.mark.parametrize(
    ("types", "chosen", "field"),
    [
        (FINDINGS, {"p_push": {"below": 0.1}}, "filter.p_push"),
        (FINDINGS, {"stage": "train"}, "filter.stage"),
        (FINDINGS, {"cause": "pushed"}, "filter.cause"),
        (FINDINGS, {"node_hours_left": {"at_least": 1}}, "filter.node_hours_left"),
        (FINDINGS, {"money_left": {"at_least": 1}}, "filter.money_left"),
        (FINDINGS, {"any": [{"owner": "a"}, {"stage": "train"}]}, "filter.any.1.stage"),
        (FINDINGS, {"all": [{"not": {"p_push": {"below": 1}}}]}, "filter.all.0.not.p_push"),
        (FINDINGS, {"kind": "no_push", "not": {"any": [{"cause": "x"}]}}, "filter.not.any.0.cause"),
        (["raised"], {"kind": "no_push"}, "filter.kind"),
        (["raised", "resolved"], {"money_a_month": {"at_least": 1}}, "filter.money_a_month"),
        (["withdrawn"], {"any": [{"node_hours_a_month": {"below": 1}}]}, "filter.any.0.node_hours_a_month"),
        (None, {"kind": "no_push"}, "filter.kind"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(
    types: list[str] | None, chosen: dict[str, Any], field: str
) -> None:
    """What only flags have where findings alone are asked for, and the other way round."""
    more: dict[str, Any] = {"types": types} if types is not None else {}
    with pytest.raises(SubscriptionError, match=r"only (flags|findings) have it") as raised:
        make_subscription({**BASE, **more, "filter": chosen})

    assert raised.value.field == field


@pytest.mark.parametrize(
    ("types", "chosen"),
    [
        (FINDINGS, {"pipeline": "a*", "owner": "x", "labels": {"team": "ads"}, "age_hours": {"at_least": 1}}),
        (FINDINGS, {"kind": ["no_push", "later_*"], "node_hours_a_month": {"at_least": 1}}),
        ([*FINDINGS, "raised"], {"any": [{"kind": "*"}, {"p_push": {"below": 0.1}}]}),
        (["finding.revised"], {"not": {"kind": "silent"}}),
    ],
)
def test_what_may_hold_is_accepted(types: list[str], chosen: dict[str, Any]) -> None:
    """Kinds are not checked: there may be more of them some day."""
    assert make_subscription({**BASE, "types": types, "filter": chosen}).filter.conditions()
