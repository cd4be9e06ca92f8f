"""Subscriptions of a file: what a sync changes, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.alerts.patches import merge_patch
from stream_app.alerts.registered import plain, register, restored_secrets, shown
from stream_app.alerts.subscriptions import SubscriptionError, make_subscription
from stream_app.alerts.sync import Step, plan, read_file
from tests.alerts.records import NOW

SLACK = {"kind": "slack", "webhook_url": "https://hooks.slack.com/services/T/B/x"}
HOOK = {"kind": "webhook", "url": "https://example.com/hook"}


def subscription(named: str = "a", **more: Any) -> dict[str, Any]:
    """A subscription of a file."""
    return {"id": named, "name": named, "owner": "ads", "sink": HOOK, **more}


def file(*subscriptions: Any, name: str = "ads-alerts") -> Any:
    """A file of subscriptions."""
    return read_file({"name": name, "subscriptions": list(subscriptions)})


def there(*subscriptions: Any, by: str = "ads-alerts") -> list[dict[str, Any]]:
    """Subscriptions as the service shows them."""
    return [shown(register(make_subscription({"managed_by": by, **each}), NOW)) for each in subscriptions]


def patched(before: dict[str, Any], step: Step) -> dict[str, Any]:
    """The subscription that a service has after an update, with its secrets."""
    current = make_subscription({"managed_by": "ads-alerts", **before})
    merged = merge_patch(plain(current, lambda secret: secret), step.body)
    return plain(make_subscription(restored_secrets(merged, current)), lambda secret: secret)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([], "expected a table"),
        ("text", "expected a table"),
        ({"name": "n", "subscriptions": [], "more": 1}, "and nothing else"),
        ({"subscriptions": []}, "name: expected a name"),
        ({"name": 7, "subscriptions": []}, "name: expected a name"),
        ({"name": "", "subscriptions": []}, "name: expected a name"),
        ({"name": "ads alerts", "subscriptions": [subscription()]}, "name: expected letters"),
        ({"name": "n", "subscriptions": {}}, "subscriptions: expected a list"),
        ({"name": "n", "subscriptions": ["a"]}, "subscriptions.0"),
        ({"name": "n", "subscriptions": [{}]}, "subscriptions.0.id: missing"),
        ({"name": "n", "subscriptions": [subscription(), subscription()]}, "subscriptions.1.id: 'a' is there twice"),
        ({"name": "n", "subscriptions": [subscription(managed_by="m")]}, "subscriptions.0.managed_by"),
        ({"name": "n", "subscriptions": [subscription(color="red")]}, "subscriptions.0.color: there is no such field"),
        ({"name": "n", "subscriptions": [subscription(sink={"kind": "fax"})]}, "subscriptions.0.sink"),
        ({"name": "n", "subscriptions": [subscription(sink={**HOOK, "url": "x"})]}, "subscriptions.0.sink.url"),
        ({"name": "n", "subscriptions": [subscription(text={"body": "{{ nmae }}"})]},
         "subscriptions.0.text.body: there is no value 'nmae'"),
        ({"name": "n", "subscriptions": [subscription(text={"subject": "a"})]},
         "subscriptions.0.text.subject: there is no such field"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_the_place(content: object, says: str) -> None:
    """Before anything is changed."""
    with pytest.raises(SubscriptionError) as error:
        read_file(content)

    assert says in str(error.value)


def test_a_file_of_no_subscriptions_deletes_what_it_had() -> None:
    """Its name is enough."""
    assert plan(there(subscription()), file()) == [Step("delete", "a")]


def test_what_is_missing_is_created() -> None:
    """With the name of the file, and its secrets."""
    (step,) = plan([], file(subscription(sink=SLACK)))

    assert (step.action, step.id) == ("create", "a")
    assert step.body == {**subscription(sink=SLACK), "managed_by": "ads-alerts"}


@pytest.mark.parametrize(
    "wanted",
    [
        subscription(),
        subscription(sink=SLACK),
        subscription(sink={**HOOK, "headers": {"X-Team": "ads"}}),
        subscription(sink={**HOOK, "secret": "whsec_" + "A" * 32}),
        subscription(filter={"pipeline": "ads-*", "not": {"owner": ["bob"]}, "p_push": {"below": 0.1}}),
        subscription(types=["raised"], delivery={"digest": "day", "quiet_hours": {"start": "22:00", "end": "07:00"}}),
        subscription(sink={"kind": "email", "to": ["a@example.com"]}, state="paused"),
        subscription(text={"title": "{{ name }}"}),
    ],
)
def test_what_is_there_already_is_kept(wanted: Any) -> None:
    """A second sync of the same file changes nothing."""
    assert plan(there(wanted), file(wanted)) == [Step("keep", "a")]


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        (subscription(), subscription(name="b"), ("name",)),
        (subscription(description="d"), subscription(), ("description",)),
        (subscription(), subscription(sink={**HOOK, "url": "https://example.com/b"}), ("sink.url",)),
        (subscription(), subscription(sink={**HOOK, "headers": {"X-A": "b"}}), ("sink.headers.X-A",)),
        (subscription(sink={**HOOK, "headers": {"X-A": "b"}}), subscription(), ("sink.headers.X-A",)),
        (subscription(), subscription(sink=SLACK), ("sink.headers", "sink.kind", "sink.secret", "sink.url",
                                                    "sink.webhook_url")),
        (subscription(sink=SLACK), subscription(), ("sink.headers", "sink.kind", "sink.url", "sink.webhook_url")),
        (subscription(filter={"pipeline": "a"}), subscription(filter={"owner": "b"}),
         ("filter.owner", "filter.pipeline")),
        (subscription(types=["raised"]), subscription(), ("types",)),
        (subscription(delivery={"digest": "day"}), subscription(delivery={"group_by": "owner"}),
         ("delivery.digest", "delivery.group_by")),
        (subscription(state="paused"), subscription(state="active"), ("state",)),
        (subscription(), subscription(state="paused"), ("state",)),
        (subscription(), subscription(text={"title": "a"}), ("text",)),
        (subscription(text={"title": "a"}), subscription(), ("text",)),
        (subscription(text={"title": "a", "body": "b"}), subscription(text={"title": "c"}),
         ("text.body", "text.title")),
    ],
)  # fmt: skip
def test_an_update_changes_what_differs(before: Any, after: Any, changed: tuple[str, ...]) -> None:
    """It names the fields, and its patch gives what the file says."""
    current = there(before)
    before_secret = {"secret": "whsec_" + "B" * 32} if before["sink"]["kind"] == "webhook" else {}
    (step,) = plan(current, file(after))

    assert (step.action, step.changed) == ("update", changed)
    expected = plain(make_subscription({**after, "managed_by": "ads-alerts"}), lambda secret: secret)
    if before["sink"]["kind"] == after["sink"]["kind"]:
        expected["sink"] |= before_secret
    assert patched({**before, "sink": {**before["sink"], **before_secret}}, step) == expected


def test_what_others_made_stays() -> None:
    """By hand, or from another file."""
    others = there(subscription("x"), by="") + there(subscription("y"), by="other")

    assert plan(others, file()) == []


def test_what_was_made_by_hand_is_taken_over() -> None:
    """So that it can come into a file; from then on the file decides."""
    (step,) = plan(there(subscription(), by=""), file(subscription()))

    assert (step.action, step.changed, step.body) == ("update", ("managed_by",), {"managed_by": "ads-alerts"})


def test_what_another_file_manages_is_refused() -> None:
    """Two files would change it in turn for ever."""
    with pytest.raises(SubscriptionError, match="a is managed by the file other"):
        plan(there(subscription(), by="other"), file(subscription()))


@pytest.mark.parametrize("state", ["paused", "disabled"])
def test_a_state_that_the_file_does_not_give_stays(state: str) -> None:
    """A sync that runs each hour does not resume what its owner, or the service, has stopped."""
    current = there(subscription(state=state, disabled_reason="HTTP 410" if state == "disabled" else ""))

    assert plan(current, file(subscription())) == [Step("keep", "a")]
    (step,) = plan(current, file(subscription(name="b")))
    assert step.body == {"name": "b"}


def test_secrets_are_sent_with_other_changes_or_when_asked() -> None:
    """They cannot be compared."""
    wanted = file(subscription(sink={**HOOK, "secret": "whsec_" + "A" * 32}))

    assert plan(there(subscription()), wanted) == [Step("keep", "a")]
    (step,) = plan(there(subscription()), wanted, secrets=True)
    assert (step.changed, step.body) == (("sink.secret",), {"sink": {"secret": "whsec_" + "A" * 32}})


@pytest.mark.parametrize("chosen", [{}, {"owner": ["bob"]}])
def test_the_bound_of_a_token_is_no_difference(chosen: dict[str, Any]) -> None:
    """A token that is bound to pipelines adds them to each filter."""
    bound = {"all": [*([chosen] if chosen else []), {"pipeline": ["ads-*"]}]}

    assert plan(there(subscription(filter=bound)), file(subscription(filter=chosen))) == [Step("keep", "a")]
    (step,) = plan(there(subscription(filter=bound)), file(subscription(filter={"owner": "eve"})))
    assert step.action == "update"
