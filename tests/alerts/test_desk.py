"""The desk: who may do what to which subscription, what is shown of it, and what is written down."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_app.alerts.access import EVERYBODY, Principal, Scope
from stream_app.alerts.desk import OWNED_MAX
from stream_app.alerts.examples import example_record
from stream_app.alerts.filters import Facts
from stream_app.alerts.flags import Change
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.patches import merge_patch
from stream_app.alerts.registered import HIDDEN, register, shown
from stream_app.alerts.saved import Changes
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.subscribers import ConflictError, ForbiddenError, NotFoundError
from stream_app.alerts.subscriptions import State, SubscriptionError, make_subscription
from tests.alerts.records import NOW, record
from tests.support.desk_service import DeskService

HOOK = {"kind": "webhook", "url": "https://e.org/h", "headers": {"Authorization": "Bearer swordfish"}}
READ, ADS = Principal("reader", Scope.READ), Principal("ads-ci", Scope.WRITE, ("ads",))
BOUND = Principal("bound", Scope.WRITE, ("ads",), ("ads-*",))


def given(name: str = "a", **more: Any) -> dict[str, Any]:
    """A subscription of ads."""
    return {"id": name, "name": name, "owner": "ads", "sink": HOOK, **more}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[DeskService]:
    """A desk with the subscription a of ads, and x of another owner."""
    made = DeskService(tmp_path)
    made.desk.create(EVERYBODY, given(), NOW)
    made.desk.create(EVERYBODY, given("x", owner="eve"), NOW)
    yield made
    made.store.close()


def saved(service: DeskService) -> None:
    """Saves what has changed."""
    asyncio.run(service.desk.saved())


# Whoever asks

ACTIONS: dict[str, Callable[[Any, Principal, str], Any]] = {
    "change": lambda desk, who, name: desk.change(who, name, {"name": "b"}, None, NOW),
    "pause": lambda desk, who, name: desk.set_state(who, name, State.PAUSED, NOW),
    "rotate": lambda desk, who, name: desk.rotate(who, name, NOW),
    "test": lambda desk, who, name: asyncio.run(desk.test(who, name, NOW)),
    "redeliver": lambda desk, who, name: desk.redeliver(who, name, 1, NOW),
    "recover": lambda desk, who, name: desk.recover(who, name, 0, NOW, count_only=True),
    "delete": lambda desk, who, name: desk.delete(who, name, NOW),
}


@pytest.mark.parametrize("action", ACTIONS)
def test_whoever_may_only_read_changes_nothing(service: DeskService, action: str) -> None:
    """But sees everything, without secrets."""
    with pytest.raises(ForbiddenError, match="scope write"):
        ACTIONS[action](service.desk, READ, "a")

    assert service.sinks.sent == []
    assert [each["id"] for each in service.desk.listed(READ)] == ["a", "x"]
    assert "swordfish" not in str(service.desk.listed(READ))
    assert service.desk.deliveries(READ, "a", 10, None, ()) == []


@pytest.mark.parametrize("action", ACTIONS)
def test_what_belongs_to_others_is_not_there(service: DeskService, action: str) -> None:
    """Nor can it be told from what does not exist."""
    said = []
    for name in ("x", "none"):
        with pytest.raises(NotFoundError) as error:
            ACTIONS[action](service.desk, ADS, name)
        said.append(str(error.value))

    assert said[0] == said[1]
    assert [each["id"] for each in service.desk.listed(ADS)] == ["a"]
    assert service.desk.get(EVERYBODY, "x").version == 1


def test_nothing_is_made_for_or_given_to_others(service: DeskService) -> None:
    """Also by a change of the owner."""
    with pytest.raises(ForbiddenError, match="of this owner"):
        service.desk.create(ADS, given("b", owner="eve"), NOW)
    with pytest.raises(ForbiddenError, match="of this owner"):
        service.desk.change(ADS, "a", {"owner": "eve"}, None, NOW)
    with pytest.raises(ForbiddenError, match="scope write"):
        service.desk.create(READ, given("b"), NOW)
    assert sorted(service.notifier.registered) == ["a", "x"]


@pytest.mark.parametrize("sink", [{"kind": "kafka", "topic": "t"}, {"kind": "apprise", "url": "json://e.org"}])
def test_some_sinks_are_for_administrators(service: DeskService, sink: dict[str, Any]) -> None:
    """They reach what the service reaches."""
    with pytest.raises(ForbiddenError, match="scope admin"):
        service.desk.create(ADS, given("b", sink=sink), NOW)
    with pytest.raises(ForbiddenError, match="scope admin"):
        service.desk.change(ADS, "a", {"sink": {**dict.fromkeys((*HOOK, "secret")), **sink}}, None, NOW)
    service.desk.create(EVERYBODY, given("b", sink=sink), NOW)


@pytest.mark.parametrize(
    "chosen",
    [{}, {"pipeline": "*"}, {"any": [{"pipeline": "ads-a"}, {"pipeline": "search"}]}, {"not": {"pipeline": "ads-*"}},
     {"all": [{"pipeline": "*"}]}, {"all": [{"pipeline": ["ads-*"]}]}],
)  # fmt: skip
def test_a_token_of_pipelines_hears_of_these_alone(service: DeskService, chosen: dict[str, Any]) -> None:
    """Whatever the filter, which a repeated change does not let grow."""
    made, _ = service.desk.create(BOUND, given("b", filter=chosen), NOW)
    again = service.desk.change(BOUND, "b", {"name": "c"}, None, NOW)

    holds = again.subscription.filter.compile()
    assert not holds(Facts.of(record(pipeline="search")))
    assert not holds(Facts.of(record(pipeline="x-ads-a")))
    assert again.subscription.filter == made.subscription.filter


def test_a_token_of_pipelines_sees_flags_of_these_alone(service: DeskService) -> None:
    """In the list, and in what is sent again to a sink that it may choose."""
    service.store.append_flags(
        [record(flag="ads-1/run:1", pipeline="ads-1"), record(flag="s/run:1", pipeline="s")], NOW
    )
    log = [LogEntry(each, Fate.DEAD, NOW, 8, "", (each,)) for each in ("ads-1/run:1#1", "s/run:1#1")]
    both = LogEntry("both+", Fate.DEAD, NOW, 8, "", ("ads-1/run:1#1", "s/run:1#1"))
    service.store.save(Changes(deliveries=[("a", each) for each in (*log, both)]))
    desk = service.desk

    assert [each.pipeline for each in desk.flags(BOUND, 10, None, opened=False)] == ["ads-1"]
    assert desk.flags(BOUND, 10, "s", opened=False) == []
    assert list(desk.given_up(BOUND, "a", 0)) == ["ads-1/run:1#1"]
    assert list(desk.given_up(ADS, "a", 0)) == ["ads-1/run:1#1", "s/run:1#1", "both+"]
    desk.redeliver(BOUND, "a", 1, NOW)
    for number in (2, 3):
        with pytest.raises(NotFoundError):
            desk.redeliver(BOUND, "a", number, NOW)
    assert list(service.notifier.mailboxes["a"].messages) == ["ads-1/run:1#1"]


def test_a_token_of_pipelines_sees_no_delivery_of_others(service: DeskService) -> None:
    """Their ids are names of other pipelines and runs. Pages are full all the same."""
    ids = ["ads-1/run:1#1", "s/run:1#1", "ads-2/t#3", "no id"]
    log = [LogEntry(each, Fate.SENT, NOW, 1, "", (each,)) for each in ids]
    dropped = [LogEntry(each, Fate.DROPPED, NOW) for each in ids]
    both = LogEntry("both+", Fate.DEAD, NOW, 8, "", ("ads-1/run:1#1", "s/run:1#1"))
    service.store.save(Changes(deliveries=[("a", each) for each in (*log, both, *dropped)]))

    def numbers(who: Principal, limit: int, before: int | None = None) -> list[int]:
        return [each.number for each in service.desk.deliveries(who, "a", limit, before, ())]

    assert numbers(ADS, 10) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert numbers(BOUND, 10) == [8, 6, 3, 1]
    assert numbers(BOUND, 2) == [8, 6]
    assert numbers(BOUND, 2, 6) == [3, 1]


# Making and changing


def test_an_id_is_made_where_none_is_given(service: DeskService) -> None:
    """Another one each time; one that is taken is refused."""
    bare = {name: value for name, value in given().items() if name != "id"}

    assert len({service.desk.create(ADS, bare, NOW)[0].subscription.id for _ in range(3)}) == 3
    with pytest.raises(ConflictError, match="a already"):
        service.desk.create(ADS, given(), NOW)
    with pytest.raises(ConflictError):
        service.desk.create(ADS, given("x"), NOW)


@pytest.mark.parametrize("wrong", [None, [], "text", 7, {}, {"id": "b"}, given("b", color="red"), given("b", sink={})])
def test_what_is_no_subscription_is_refused(service: DeskService, wrong: Any) -> None:
    """As a draft too, and nothing is made."""
    with pytest.raises(SubscriptionError):
        service.desk.create(EVERYBODY, wrong, NOW)
    if not isinstance(wrong, dict):
        for call in (lambda: service.desk.change(EVERYBODY, "a", wrong, None, NOW),
                     lambda: asyncio.run(service.desk.preview(EVERYBODY, wrong, NOW))):  # fmt: skip
            with pytest.raises(SubscriptionError):
                call()
    assert sorted(service.notifier.registered) == ["a", "x"]


def test_a_secret_is_returned_where_the_service_made_it(service: DeskService) -> None:
    """And not one that was given."""
    made, secret = service.desk.create(ADS, given("b"), NOW)
    _, again = service.desk.create(ADS, given("c", sink={**HOOK, "secret": secret}), NOW)
    _, mail = service.desk.create(ADS, given("d", sink={"kind": "email", "to": ["a@b.c"]}), NOW)

    assert made.secrets_at(NOW) == [secret]
    assert (again, mail) == (None, None)


def test_a_change_keeps_what_it_does_not_name(service: DeskService) -> None:
    """Secrets above all, also where they are sent back hidden."""
    before = service.desk.get(ADS, "a")
    after = service.desk.change(ADS, "a", {"delivery": {"digest": "day"}, "sink": {"secret": HIDDEN}}, 1, NOW + 5)

    assert after.subscription.sink == before.subscription.sink
    assert (after.version, after.updated_ms, after.created_ms) == (2, NOW + 5, NOW)
    assert service.desk.change(ADS, "a", {"delivery": {"digest": None}}, 2, NOW).subscription.delivery.digest is None


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
    service: DeskService, patch: dict[str, Any], version: int | None, error: type[Exception]
) -> None:
    """Neither what is there nor the audit log."""
    before = service.desk.get(ADS, "a")
    with pytest.raises(error):
        service.desk.change(ADS, "a", patch, version, NOW)
    saved(service)

    assert service.desk.get(ADS, "a") == before
    assert [each.what for each in service.desk.audit(EVERYBODY, 10)] == ["create", "create"]


def test_an_owner_has_a_limit(service: DeskService) -> None:
    """That others do not fill, and that cannot be passed by changing an owner."""
    for number in range(OWNED_MAX - 1):
        service.desk.create(EVERYBODY, given(f"e{number}", owner="eve"), NOW)

    with pytest.raises(ConflictError, match="eve has 200"):
        service.desk.create(EVERYBODY, given("more", owner="eve"), NOW)
    with pytest.raises(ConflictError, match="eve has 200"):
        service.desk.change(EVERYBODY, "a", {"owner": "eve"}, None, NOW)
    service.desk.change(EVERYBODY, "x", {"name": "still mine"}, None, NOW)
    service.desk.create(EVERYBODY, given("b"), NOW)


def test_resuming_forgets_why_it_was_disabled(service: DeskService) -> None:
    """Or it would say so for ever."""
    service.desk.change(EVERYBODY, "a", {"state": "disabled", "disabled_reason": "HTTP 410"}, None, NOW)

    assert service.desk.set_state(ADS, "a", State.ACTIVE, NOW).subscription.disabled_reason == ""


# Trying


def test_a_trial_is_a_made_up_flag(service: DeskService) -> None:
    """That no receiver can take for a real one, under an id of its own each time."""
    assert asyncio.run(service.desk.test(ADS, "a", NOW)) == {"succeeded": True, "reason": ""}
    service.sinks.result = Result("HTTP 500: no")
    assert asyncio.run(service.desk.test(ADS, "a", NOW)) == {"succeeded": False, "reason": "HTTP 500: no"}

    (_, first), (_, second) = service.sinks.sent
    assert first.id.startswith("test-")
    assert first.id != second.id
    assert first.records[0] == example_record(NOW)
    assert first.records[0].labels == {"test": "true"}
    assert service.notifier.mailboxes["a"].messages == {}


def test_own_words_are_checked_when_they_are_given(service: DeskService) -> None:
    """And are what a trial says."""
    with pytest.raises(SubscriptionError, match=r"^text\.body: line 1: "):
        service.desk.create(ADS, given("b", text={"body": "{{"}), NOW)
    assert "b" not in service.notifier.registered

    service.desk.create(ADS, given("b", text={"title": "Mine: {{ pipeline }}"}), NOW)
    service.desk.change(ADS, "b", {"text": {"body": "{{ cost_left }}"}}, None, NOW)
    asyncio.run(service.desk.test(ADS, "b", NOW))

    (_, message), shown_text = service.sinks.sent[-1], shown(service.desk.get(ADS, "b"))["text"]
    assert (message.text.title, message.text.body) == ("Mine: example", "10 node-hours")
    assert shown_text == {"title": "Mine: {{ pipeline }}", "body": "{{ cost_left }}"}
    assert "text" not in shown(service.desk.change(ADS, "b", {"text": None}, None, NOW))


def test_own_words_of_an_earlier_release_that_fail_now_hinder_no_other_change(service: DeskService) -> None:
    """The default is sent, and whoever tries it hears why."""
    old = make_subscription(given("b", text={"title": "{{ no_longer_there }}"}))
    service.notifier.put(register(old, NOW))

    assert service.desk.set_state(ADS, "b", State.PAUSED, NOW).subscription.state == "paused"
    result = asyncio.run(service.desk.test(ADS, "b", NOW))
    assert result["succeeded"]
    assert result["reason"].startswith("text.title: there is no value 'no_longer_there'")
    with pytest.raises(SubscriptionError, match=r"^text\.title: "):
        service.desk.change(ADS, "b", {"text": {"body": "{{ name }}"}}, None, NOW)


def test_a_draft_needs_no_more_than_a_filter(service: DeskService) -> None:
    """It is run over what the store has, of what its token sees."""
    service.store.append_flags(
        [record(pipeline="ads-1", flag="ads-1/run:1"), record(), record(2, Change.RESOLVED)], NOW
    )
    at_once = {"delivery": {"min_hold_seconds": 0}}

    def flags(who: Principal, draft: dict[str, Any]) -> int:
        return int(asyncio.run(service.desk.preview(who, {**at_once, **draft}, NOW))["flags"])

    assert flags(READ, {}) == 2
    assert flags(READ, {"filter": {"pipeline": "ads-*"}}) == 1
    assert flags(BOUND, {}) == 1
    assert flags(BOUND, {"filter": {"pipeline": "p"}}) == 0
    assert sorted(service.notifier.registered) == ["a", "x"]


# What is written down


def test_each_change_is_in_the_audit_log(service: DeskService) -> None:
    """With who made it; administrators alone read it."""
    desk = service.desk
    desk.change(ADS, "a", {"name": "b"}, None, NOW)
    desk.rotate(ADS, "a", NOW)
    asyncio.run(desk.test(ADS, "a", NOW))
    desk.delete(ADS, "a", NOW)
    saved(service)

    entries = desk.audit(EVERYBODY, 4)
    assert [(each.who, each.what, each.subject) for each in reversed(entries)] == [
        ("ads-ci", what, "a") for what in ("change", "rotate-secret", "test", "delete")
    ]
    with pytest.raises(ForbiddenError, match="scope admin"):
        desk.audit(ADS, 4)


def test_what_is_shown_holds_no_secret(service: DeskService) -> None:
    """After a rotation neither of the two."""
    made, secret = service.desk.rotate(ADS, "a", NOW)
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
