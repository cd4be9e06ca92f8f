"""The service of subscriptions: who may do what to which, what is shown of it, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.alerts.access import EVERYBODY, Principal, Scope
from stream_app.alerts.examples import example_record
from stream_app.alerts.filters import Facts
from stream_app.alerts.flags import Change
from stream_app.alerts.hook_sinks import HOOK_KINDS
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.patches import merge_patch
from stream_app.alerts.registered import HIDDEN, register, shown
from stream_app.alerts.saved import Changes
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.subscribers import ConflictError, ForbiddenError, NotFoundError
from stream_app.alerts.subscription_service import OWNED_MAX
from stream_app.alerts.subscriptions import State, SubscriptionError, make_subscription
from tests.alerts.records import NOW, record
from tests.support.served_subscriptions import ServedSubscriptions

HOOK = {"kind": "webhook", "url": "https://e.org/h", "headers": {"Authorization": "Bearer swordfish"}}
READ, ADS = Principal("reader", Scope.READ), Principal("ads-ci", Scope.WRITE, ("ads",))
BOUND = Principal("bound", Scope.WRITE, ("ads",), ("ads-*",))


def given(name: str = "a", **more: Any) -> dict[str, Any]:
    """A subscription of ads."""
    return {"id": name, "name": name, "owner": "ads", "sink": HOOK, **more}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ServedSubscriptions]:
    """With the subscription a of ads, and x of another owner."""
    made = ServedSubscriptions(tmp_path)
    made.subscriptions.create(EVERYBODY, given(), NOW)
    made.subscriptions.create(EVERYBODY, given("x", owner="eve"), NOW)
    yield made
    made.store.close()


def saved(service: ServedSubscriptions) -> None:
    """Saves what has changed."""
    asyncio.run(service.subscriptions.saved())


# Whoever asks

ACTIONS: dict[str, Callable[[Any, Principal, str], Any]] = {
    "change": lambda subscriptions, who, name: subscriptions.change(who, name, {"name": "b"}, None, NOW),
    "pause": lambda subscriptions, who, name: subscriptions.set_state(who, name, State.PAUSED, NOW),
    "rotate": lambda subscriptions, who, name: subscriptions.rotate(who, name, NOW),
    "test": lambda subscriptions, who, name: asyncio.run(subscriptions.test(who, name, NOW)),
    "redeliver": lambda subscriptions, who, name: subscriptions.redeliver(who, name, 1, NOW),
    "recover": lambda subscriptions, who, name: subscriptions.recover(who, name, 0, NOW, count_only=True),
    "delete": lambda subscriptions, who, name: subscriptions.delete(who, name, NOW),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_whoever_may_only_read_changes_nothing(service: ServedSubscriptions, action: str) -> None:
    """But sees everything, without secrets."""
    with pytest.raises(ForbiddenError, match="scope write"):
        ACTIONS[action](service.subscriptions, READ, "a")

    assert service.sinks.sent == []
    assert [each["id"] for each in service.subscriptions.listed(READ)] == ["a", "x"]
    assert "swordfish" not in str(service.subscriptions.listed(READ))
    assert service.subscriptions.deliveries(READ, "a", 10, None, ()) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_what_belongs_to_others_is_not_there(service: ServedSubscriptions, action: str) -> None:
    """Nor can it be told from what does not exist."""
    said = []
    for name in ("x", "none"):
        with pytest.raises(NotFoundError) as error:
            ACTIONS[action](service.subscriptions, ADS, name)
        said.append(str(error.value))

    assert said[0] == said[1]
    assert [each["id"] for each in service.subscriptions.listed(ADS)] == ["a"]
    assert service.subscriptions.get(EVERYBODY, "x").version == 1


def test_nothing_is_made_for_or_given_to_others(service: ServedSubscriptions) -> None:
    """Also by a change of the owner."""
    with pytest.raises(ForbiddenError, match="of this owner"):
        service.subscriptions.create(ADS, given("b", owner="eve"), NOW)
    with pytest.raises(ForbiddenError, match="of this owner"):
        service.subscriptions.change(ADS, "a", {"owner": "eve"}, None, NOW)
    with pytest.raises(ForbiddenError, match="scope write"):
        service.subscriptions.create(READ, given("b"), NOW)
    assert sorted(service.notifier.registered) == ["a", "x"]


HOOKS = [{"kind": kind, "url": "https://e.org", "pipelines": ["p"]} for kind in sorted(HOOK_KINDS)]


@pytest.mark.parametrize("sink", [{"kind": "kafka", "topic": "t"}, {"kind": "apprise", "url": "json://e.org"}, *HOOKS])
def test_some_sinks_are_for_administrators(service: ServedSubscriptions, sink: dict[str, Any]) -> None:
    """They reach what the service reaches."""
    with pytest.raises(ForbiddenError, match="scope admin"):
        service.subscriptions.create(ADS, given("b", sink=sink), NOW)
    changed: dict[str, Any] = {"sink": {**dict.fromkeys((*HOOK, "secret")), **sink}}
    changed |= {"types": ["due"], "delivery": {"min_hold_seconds": 0}} if sink in HOOKS else {}
    with pytest.raises(ForbiddenError, match="scope admin"):
        service.subscriptions.change(ADS, "a", changed, None, NOW)
    service.subscriptions.create(EVERYBODY, given("b", sink=sink), NOW)


@pytest.mark.parametrize(
    "chosen",
    [{}, {"pipeline": "*"}, {"any": [{"pipeline": "ads-a"}, {"pipeline": "search"}]}, {"not": {"pipeline": "ads-*"}},
     {"all": [{"pipeline": "*"}]}, {"all": [{"pipeline": ["ads-*"]}]}],
)  # fmt: skip
def test_a_token_of_pipelines_hears_of_these_alone(service: ServedSubscriptions, chosen: dict[str, Any]) -> None:
    """Whatever the filter, which a repeated change does not let grow."""
    made, _ = service.subscriptions.create(BOUND, given("b", filter=chosen), NOW)
    again = service.subscriptions.change(BOUND, "b", {"name": "c"}, None, NOW)

    holds = again.subscription.filter.compile()
    assert not holds(Facts.of(record(pipeline="search")))
    assert not holds(Facts.of(record(pipeline="x-ads-a")))
    assert again.subscription.filter == made.subscription.filter


def test_a_token_of_pipelines_sees_flags_of_these_alone(service: ServedSubscriptions) -> None:
    """In the list, and in what is sent again to a sink that it may choose."""
    service.store.append_flags(
        [record(flag="ads-1/run:1", pipeline="ads-1"), record(flag="s/run:1", pipeline="s")], NOW
    )
    log = [LogEntry(each, Fate.DEAD, NOW, 8, "", (each,)) for each in ("ads-1/run:1#1", "s/run:1#1")]
    both = LogEntry("both+", Fate.DEAD, NOW, 8, "", ("ads-1/run:1#1", "s/run:1#1"))
    service.store.save(Changes(deliveries=[("a", each) for each in (*log, both)]))
    subscriptions = service.subscriptions

    assert [each.pipeline for each in subscriptions.flags(BOUND, 10, None, opened=False)] == ["ads-1"]
    assert subscriptions.flags(BOUND, 10, "s", opened=False) == []
    assert list(subscriptions.given_up(BOUND, "a", 0)) == ["ads-1/run:1#1"]
    assert list(subscriptions.given_up(ADS, "a", 0)) == ["ads-1/run:1#1", "s/run:1#1", "both+"]
    subscriptions.redeliver(BOUND, "a", 1, NOW)
    for number in (2, 3):
        with pytest.raises(NotFoundError):
            subscriptions.redeliver(BOUND, "a", number, NOW)
    assert list(service.notifier.mailboxes["a"].messages) == ["ads-1/run:1#1"]


def test_a_token_of_pipelines_sees_no_delivery_of_others(service: ServedSubscriptions) -> None:
    """Their ids are names of other pipelines and runs. Pages are full all the same."""
    ids = ["ads-1/run:1#1", "s/run:1#1", "ads-2/t#3", "no id"]
    log = [LogEntry(each, Fate.SENT, NOW, 1, "", (each,)) for each in ids]
    dropped = [LogEntry(each, Fate.DROPPED, NOW) for each in ids]
    both = LogEntry("both+", Fate.DEAD, NOW, 8, "", ("ads-1/run:1#1", "s/run:1#1"))
    service.store.save(Changes(deliveries=[("a", each) for each in (*log, both, *dropped)]))

    def numbers(who: Principal, limit: int, before: int | None = None) -> list[int]:
        return [each.number for each in service.subscriptions.deliveries(who, "a", limit, before, ())]

    assert numbers(ADS, 10) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert numbers(BOUND, 10) == [8, 6, 3, 1]
    assert numbers(BOUND, 2) == [8, 6]
    assert numbers(BOUND, 2, 6) == [3, 1]


# Making and changing


def test_an_id_is_made_where_none_is_given(service: ServedSubscriptions) -> None:
    """Another one each time; one that is taken is refused."""
    bare = {name: value for name, value in given().items() if name != "id"}

    assert len({service.subscriptions.create(ADS, bare, NOW)[0].subscription.id for _ in range(3)}) == 3
    with pytest.raises(ConflictError, match="a already"):
        service.subscriptions.create(ADS, given(), NOW)
    with pytest.raises(ConflictError):
        service.subscriptions.create(ADS, given("x"), NOW)


@pytest.mark.parametrize("wrong", [None, [], "text", 7, {}, {"id": "b"}, given("b", color="red"), given("b", sink={})])
def test_what_is_no_subscription_is_refused(service: ServedSubscriptions, wrong: Any) -> None:
    """As a draft too, and nothing is made."""
    with pytest.raises(SubscriptionError):
        service.subscriptions.create(EVERYBODY, wrong, NOW)
    if not isinstance(wrong, dict):
        for call in (lambda: service.subscriptions.change(EVERYBODY, "a", wrong, None, NOW),
                     lambda: asyncio.run(service.subscriptions.preview(EVERYBODY, wrong, NOW))):  # fmt: skip
            with pytest.raises(SubscriptionError):
                call()
    assert sorted(service.notifier.registered) == ["a", "x"]


def test_a_secret_is_returned_where_the_service_made_it(service: ServedSubscriptions) -> None:
    """And not one that was given."""
    made, secret = service.subscriptions.create(ADS, given("b"), NOW)
    _, again = service.subscriptions.create(ADS, given("c", sink={**HOOK, "secret": secret}), NOW)
    _, mail = service.subscriptions.create(ADS, given("d", sink={"kind": "email", "to": ["a@b.c"]}), NOW)

    assert made.secrets_at(NOW) == [secret]
    assert (again, mail) == (None, None)


def test_a_change_keeps_what_it_does_not_name(service: ServedSubscriptions) -> None:
    """Secrets above all, also where they are sent back hidden."""
    before = service.subscriptions.get(ADS, "a")
    after = service.subscriptions.change(
        ADS, "a", {"delivery": {"digest": "day"}, "sink": {"secret": HIDDEN}}, 1, NOW + 5
    )

    assert after.subscription.sink == before.subscription.sink
    assert (after.version, after.updated_ms, after.created_ms) == (2, NOW + 5, NOW)
    assert (
        service.subscriptions.change(ADS, "a", {"delivery": {"digest": None}}, 2, NOW).subscription.delivery.digest
        is None
    )


@pytest.mark.parametrize(
    ("patch", "version", "error"),
    [
        ({"id": "b"}, None, SubscriptionError),
        ({"name": None}, None, SubscriptionError),
        ({"sink": None}, None, SubscriptionError),
        ({"sink": {"secret": "short"}}, None, SubscriptionError),
        ({"color": "red"}, None, SubscriptionError),
        ({"name": "b"}, 2, ConflictError),
        ({"text": {"title": "{{ nmae }}"}}, None, SubscriptionError),
    ],
)
def test_a_change_that_is_refused_changes_nothing(
    service: ServedSubscriptions, patch: dict[str, Any], version: int | None, error: type[Exception]
) -> None:
    """Neither what is there nor the audit log."""
    before = service.subscriptions.get(ADS, "a")
    with pytest.raises(error):
        service.subscriptions.change(ADS, "a", patch, version, NOW)
    saved(service)

    assert service.subscriptions.get(ADS, "a") == before
    assert [each.what for each in service.subscriptions.audit(EVERYBODY, 10)] == ["create", "create"]


def test_an_owner_has_a_limit(service: ServedSubscriptions) -> None:
    """That others do not fill, and that cannot be passed by changing an owner."""
    for number in range(OWNED_MAX - 1):
        service.subscriptions.create(EVERYBODY, given(f"e{number}", owner="eve"), NOW)

    with pytest.raises(ConflictError, match="eve has 200"):
        service.subscriptions.create(EVERYBODY, given("more", owner="eve"), NOW)
    with pytest.raises(ConflictError, match="eve has 200"):
        service.subscriptions.change(EVERYBODY, "a", {"owner": "eve"}, None, NOW)
    service.subscriptions.change(EVERYBODY, "x", {"name": "still mine"}, None, NOW)
    service.subscriptions.create(EVERYBODY, given("b"), NOW)


def test_resuming_forgets_why_it_was_disabled(service: ServedSubscriptions) -> None:
    """Or it would say so for ever."""
    service.subscriptions.change(EVERYBODY, "a", {"state": "disabled", "disabled_reason": "HTTP 410"}, None, NOW)

    assert service.subscriptions.set_state(ADS, "a", State.ACTIVE, NOW).subscription.disabled_reason == ""


# Trying


def test_a_trial_is_a_made_up_flag(service: ServedSubscriptions) -> None:
    """That no receiver can take for a real one, under an id of its own each time."""
    assert asyncio.run(service.subscriptions.test(ADS, "a", NOW)) == {"succeeded": True, "reason": ""}
    service.sinks.result = Result("HTTP 500: no")
    assert asyncio.run(service.subscriptions.test(ADS, "a", NOW)) == {"succeeded": False, "reason": "HTTP 500: no"}

    (_, first), (_, second) = service.sinks.sent
    assert first.id.startswith("test-")
    assert first.id != second.id
    assert first.records[0] == example_record(NOW)
    assert first.records[0].labels == {"test": "true"}
    assert service.notifier.mailboxes["a"].messages == {}


def test_own_words_are_checked_when_they_are_given(service: ServedSubscriptions) -> None:
    """And are what a trial says."""
    with pytest.raises(SubscriptionError, match=r"^text\.body: line 1: "):
        service.subscriptions.create(ADS, given("b", text={"body": "{{"}), NOW)
    assert "b" not in service.notifier.registered

    service.subscriptions.create(ADS, given("b", text={"title": "Mine: {{ pipeline }}"}), NOW)
    service.subscriptions.change(ADS, "b", {"text": {"body": "{{ cost_left }}"}}, None, NOW)
    asyncio.run(service.subscriptions.test(ADS, "b", NOW))

    (_, message), shown_text = service.sinks.sent[-1], shown(service.subscriptions.get(ADS, "b"))["text"]
    assert (message.text.title, message.text.body) == ("Mine: example", "10 node-hours")
    assert shown_text == {"title": "Mine: {{ pipeline }}", "body": "{{ cost_left }}"}
    assert "text" not in shown(service.subscriptions.change(ADS, "b", {"text": None}, None, NOW))


def test_own_words_of_an_earlier_release_that_fail_now_hinder_no_other_change(service: ServedSubscriptions) -> None:
    """The default is sent, and whoever tries it hears why."""
    old = make_subscription(given("b", text={"title": "{{ no_longer_there }}"}))
    service.notifier.put(register(old, NOW))

    assert service.subscriptions.set_state(ADS, "b", State.PAUSED, NOW).subscription.state == "paused"
    result = asyncio.run(service.subscriptions.test(ADS, "b", NOW))
    assert result["succeeded"]
    assert result["reason"].startswith("text.title: there is no value 'no_longer_there'")
    with pytest.raises(SubscriptionError, match=r"^text\.title: "):
        service.subscriptions.change(ADS, "b", {"text": {"body": "{{ name }}"}}, None, NOW)


def test_a_draft_needs_no_more_than_a_filter(service: ServedSubscriptions) -> None:
    """It is run over what the store has, of what its token sees."""
    service.store.append_flags(
        [record(pipeline="ads-1", flag="ads-1/run:1"), record(), record(2, Change.RESOLVED)], NOW
    )
    at_once = {"delivery": {"min_hold_seconds": 0}}

    def flags(who: Principal, draft: dict[str, Any]) -> int:
        return int(asyncio.run(service.subscriptions.preview(who, {**at_once, **draft}, NOW))["flags"])

    assert flags(READ, {}) == 2
    assert flags(READ, {"filter": {"pipeline": "ads-*"}}) == 1
    assert flags(BOUND, {}) == 1
    assert flags(BOUND, {"filter": {"pipeline": "p"}}) == 0
    assert sorted(service.notifier.registered) == ["a", "x"]


# What is written down


def test_each_change_is_in_the_audit_log(service: ServedSubscriptions) -> None:
    """With who made it; administrators alone read it."""
    subscriptions = service.subscriptions
    subscriptions.change(ADS, "a", {"name": "b"}, None, NOW)
    subscriptions.rotate(ADS, "a", NOW)
    asyncio.run(subscriptions.test(ADS, "a", NOW))
    subscriptions.delete(ADS, "a", NOW)
    saved(service)

    entries = subscriptions.audit(EVERYBODY, 4)
    assert [(each.who, each.what, each.subject) for each in reversed(entries)] == [
        ("ads-ci", what, "a") for what in ("change", "rotate-secret", "test", "delete")
    ]
    with pytest.raises(ForbiddenError, match="scope admin"):
        subscriptions.audit(ADS, 4)


def test_what_is_shown_holds_no_secret(service: ServedSubscriptions) -> None:
    """After a rotation neither of the two."""
    made, secret = service.subscriptions.rotate(ADS, "a", NOW)
    text = str(shown(made)) + repr(made)

    assert not [each for each in (secret, *made.secrets_at(NOW), "swordfish") if each in text]


@pytest.mark.parametrize(
    ("target", "patch", "gives"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_patches_merge_as_the_standard_says(target: Any, patch: Any, gives: Any) -> None:
    """The examples of RFC 7396."""
    assert merge_patch(target, patch) == gives


def test_a_request_that_could_not_be_saved_makes_the_same_when_it_is_sent_again(
    service: ServedSubscriptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside workers nothing is there before the topic has it; the answer to the first request was 503."""
    monkeypatch.setattr(service.notifier, "put", lambda _: None)
    named = given()
    del named["id"]
    first, _ = service.subscriptions.create(EVERYBODY, named, NOW, "k")
    monkeypatch.undo()
    again, secret = service.subscriptions.create(EVERYBODY, named, NOW, "k")

    assert again.subscription.id == first.subscription.id in service.notifier.registered
    assert secret
    assert service.subscriptions.create(EVERYBODY, named, NOW, "k")[0] == again
