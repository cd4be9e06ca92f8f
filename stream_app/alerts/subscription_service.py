"""Makes and changes subscriptions: what each request does, whoever makes it. No HTTP.

Every change is checked, tried against the rights of whoever asks, applied to the notifier, saved with an entry in the
audit log, and shown without its secrets.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import orjson

from stream_app.alerts.access import Principal, Scope
from stream_app.alerts.examples import example_of
from stream_app.alerts.filters import Filter
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.forgetting import Forgetting, Forgotten, StoredLogs
from stream_app.alerts.hook_sinks import HOOKS, armed
from stream_app.alerts.matching import PriceOf
from stream_app.alerts.messages import Fate
from stream_app.alerts.patches import check_secrets, merge_patch, unwrapped
from stream_app.alerts.preview import preview
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.registered import Registered, register, restored_secrets, shown, with_secret
from stream_app.alerts.saved import AuditEntry, Delivery
from stream_app.alerts.sinks.sink import Outgoing
from stream_app.alerts.store import KEEP_DAYS, AlertStore
from stream_app.alerts.subscribers import ConflictError, ForbiddenError, NotFoundError, Subscribers
from stream_app.alerts.subscriptions import (
    SIGNING,
    AppriseSink,
    KafkaSink,
    State,
    Subscription,
    SubscriptionError,
    make_subscription,
)
from stream_app.alerts.texts import Texts, check_text
from stream_app.core.units import DAY_MS

#: Subscriptions of one owner, and in all.
OWNED_MAX, SUBSCRIPTIONS_MAX = 200, 20_000
#: Messages that one request may send again.
RECOVER_MAX = 10_000


class SubscriptionService:
    """Makes, changes, shows and tries subscriptions.

    Parameters
    ----------
    notifier
        Has them, and sends their messages.
    store
        Keeps what was sent.
    texts
        Writes messages.
    price_of
        Returns the price of a node-hour.
    check
        Raises SubscriptionError for a subscription whose sink cannot be reached from here.
    forgetting
        Forgets owners; None: in the notifier and the store.
    """

    def __init__(
        self,
        notifier: Subscribers,
        store: AlertStore,
        texts: Texts | None = None,
        price_of: PriceOf = lambda _: None,
        check: Callable[[Subscription], None] = lambda _: None,
        forgetting: Forgetting | None = None,
    ) -> None:
        self._notifier = notifier
        self._store = store
        self._texts = texts or Texts()
        self._price_of = price_of
        self._check_sink = check
        self.forgetting = forgetting or Forgetting(notifier, StoredLogs(store))
        #: Requests that may be sent again and may not be in the store yet: what identifies one -> its entry.
        self._requests: dict[str, AuditEntry] = {}

    async def saved(self) -> None:
        """Returns when all changes so far are saved.

        Raises
        ------
        AlertStoreError
            That is not possible now.
        ConflictError
            Another change of the same subscription, made elsewhere at the same time, came first.
        """
        await self._notifier.saved()

    def listed(self, who: Principal, after: str = "", limit: int | None = None) -> list[dict[str, Any]]:
        """The subscriptions that somebody may see, by id.

        Parameters
        ----------
        who
            Whoever asks.
        after
            Only those whose ids come after this one.
        limit
            At most so many; None: all.
        """
        found = self._notifier.registered
        names = sorted(name for name, each in found.items() if name > after and who.owns(each.subscription.owner))
        return [shown(found[name]) for name in names[:limit]]

    def get(self, who: Principal, name: str) -> Registered:
        """A subscription; raises NotFoundError where there is none that somebody may see."""
        found = self._notifier.registered.get(name)
        if found is None or not who.owns(found.subscription.owner):
            raise NotFoundError("there is no such subscription")
        return found

    def create(self, who: Principal, given: Any, now_ms: int, key: str | None = None) -> tuple[Registered, str | None]:
        """Makes a subscription.

        Parameters
        ----------
        who
            Whoever asks.
        given
            Its JSON form; the id may be missing.
        now_ms
            The time in ms since 1970 UTC.
        key
            Chosen by whoever asks: the same request with the same key, sent again within a day, makes nothing new.

        Returns
        -------
        tuple
            The subscription, and the secret that signs its messages where the service made one: it is shown once.

        Raises
        ------
        SubscriptionError, ForbiddenError, ConflictError
            It is not valid, not allowed, or does not fit.
        """
        named = {"id": f"s-{secrets.token_hex(8)}", **given} if isinstance(given, dict) else given
        wanted = self._allowed(who, make_subscription(named))
        request = _request_of(who, key, given) if key is not None else ""
        before = self._made_before(request, now_ms)
        made = self._notifier.registered.get(before) if before is not None else None
        if made is not None:
            return made, _fresh_secret(wanted, made) if made.version == 1 else None
        if before is not None:
            wanted = wanted.model_copy(update={"id": before})
        check_text(wanted.text, wanted.types)
        if wanted.id in self._notifier.registered:
            raise ConflictError(f"there is a subscription {wanted.id} already")
        self._check_limits(wanted.owner)
        made = register(wanted, now_ms)
        self._put(who, made, f"create{armed(None, wanted.sink)}", now_ms, request)
        return made, _fresh_secret(wanted, made)

    def _made_before(self, request: str, now_ms: int) -> str | None:
        """The id of what a request has made that is sent again, or would have made if that had been saved.

        Raises ConflictError where that cannot be answered again.
        """
        if not request:
            return None
        since_ms = now_ms - DAY_MS
        self._requests = {name: each for name, each in self._requests.items() if each.time_ms > since_ms}
        identity = request.partition(" ")[0]
        stored = self._store.request(identity, since_ms)
        found = self._requests.get(identity) or stored
        if found is None:
            return None
        if found.request != request:
            raise ConflictError("another request had this Idempotency-Key")
        if stored is not None and found.subject not in self._notifier.registered:
            raise ConflictError("the subscription that this request has made was deleted")
        return found.subject

    def change(
        self, who: Principal, name: str, given: Mapping[str, Any], version: int | None, now_ms: int
    ) -> Registered:
        """Changes fields of a subscription; those that are not given stay.

        Parameters
        ----------
        who
            Whoever asks.
        name
            The id.
        given
            The fields, as a merge patch (RFC 7396); a secret that is shown hidden stays what it is.
        version
            The version that it is meant for; None: whichever there is.
        now_ms
            The time in ms since 1970 UTC.

        Raises
        ------
        NotFoundError, SubscriptionError, ForbiddenError, ConflictError
            There is none, or as of `create`.
        """
        current = self.get(who, name)
        if version is not None and version != current.version:
            raise ConflictError(f"the subscription has version {current.version}, not {version}")
        if not isinstance(given, Mapping):
            raise SubscriptionError("", "expected an object")
        if given.get("id", name) != name:
            raise SubscriptionError("id", "an id cannot be changed")
        plain = current.subscription.model_dump(by_alias=True, exclude_none=True)
        merged = restored_secrets(merge_patch(unwrapped(plain), given), current.subscription)
        wanted = self._allowed(who, make_subscription(merged))
        check_secrets(current.subscription, wanted, given)
        if (wanted.text, wanted.types) != (current.subscription.text, current.subscription.types):
            check_text(wanted.text, wanted.types)
        if wanted.state is State.ACTIVE:
            wanted = wanted.model_copy(update={"disabled_reason": ""})
        if wanted.owner != current.subscription.owner:
            self._check_limits(wanted.owner)
        made = current.changed(with_secret(wanted), now_ms)
        self._put(who, made, f"change{armed(current.subscription.sink, wanted.sink)}", now_ms)
        return made

    def delete(self, who: Principal, name: str, now_ms: int) -> None:
        """Deletes a subscription; raises NotFoundError or ForbiddenError."""
        self._check(who, Scope.WRITE)
        self.get(who, name)
        self._notifier.remove(name)
        self._notifier.audit(AuditEntry(now_ms, who.name, "delete", name))

    async def forget(self, who: Principal, owner: str, now_ms: int) -> Forgotten:
        """Deletes what is kept of an owner; see `Forgetting.forget`. Raises ForbiddenError."""
        self._check(who, Scope.ADMIN)
        if not who.owns(owner):
            raise ForbiddenError("this token may not change what this owner has")
        return await self.forgetting.forget(who.name, owner, now_ms)

    def set_state(self, who: Principal, name: str, state: State, now_ms: int) -> Registered:
        """Pauses or resumes a subscription; raises as `change` does."""
        return self.change(who, name, {"state": state.value}, None, now_ms)

    def rotate(self, who: Principal, name: str, now_ms: int) -> tuple[Registered, str]:
        """Gives a webhook a new secret; the former signs beside it for a day. Raises as `change` does."""
        self._check(who, Scope.WRITE)
        made = self.get(who, name).rotated(now_ms)
        self._put(who, made, "rotate-secret", now_ms)
        return made, made.secrets_at(now_ms)[0]

    async def test(self, who: Principal, name: str, now_ms: int) -> dict[str, Any]:
        """Sends a made-up flag or finding to a subscription, outside of its order; raises as `change` does.

        Returns
        -------
        dict
            `succeeded` and `reason`.
        """
        self._check(who, Scope.WRITE)
        registered = self.get(who, name)
        record = example_of(registered.subscription.types, now_ms)
        message_id = f"test-{secrets.token_hex(8)}@{name}"
        self._notifier.audit(AuditEntry(now_ms, who.name, "test", name))
        await self._notifier.saved()
        text = self._texts.of([record], registered.subscription.text)
        result = await self._notifier.test(registered, Outgoing(message_id, (record,), text, {}))
        return {"succeeded": result.succeeded, "reason": result.reason or text.fault}

    async def preview(self, who: Principal, given: Any, now_ms: int) -> dict[str, Any]:
        """What a draft would have sent over the days for which flags are kept; raises as `create` does."""
        if not isinstance(given, Mapping):
            raise SubscriptionError("", "expected an object")
        named = {"id": "draft", "name": "draft", "owner": who.owners[0] if who.owners else "draft", **given}
        named.setdefault("sink", {"kind": "kafka", "topic": "draft"})
        draft = self._restricted(who, make_subscription(named))
        since_ms = now_ms - KEEP_DAYS * DAY_MS
        made = await asyncio.to_thread(lambda: preview(draft, self._store.flags_since(since_ms), self._price_of))
        return {"days": KEEP_DAYS, **asdict(made)}

    def deliveries(
        self, who: Principal, name: str, limit: int, before: int | None, fates: Sequence[Fate]
    ) -> list[Delivery]:
        """Entries of the delivery log of a subscription that somebody may see, newest first; raises NotFoundError."""
        self.get(who, name)
        found: list[Delivery] = []
        while True:
            page = self._store.deliveries(name, limit, before, fates or tuple(Fate))
            found += [each for each in page if all(map(who.sees, each.entry.pipelines()))]
            if len(page) < limit or len(found) >= limit:
                return found[:limit]
            before = page[-1].number

    def redeliver(self, who: Principal, name: str, number: int, now_ms: int) -> None:
        """Sends the message of an entry of the delivery log again; raises as `change` does."""
        self._check(who, Scope.WRITE)
        self.get(who, name)
        found = self._store.delivery(number)
        if found is None or found.subscription != name:
            raise NotFoundError("there is no such delivery")
        records = self._store.records(found.entry.records)
        if not all(who.sees(each.pipeline) for each in records):
            raise NotFoundError("there is no such delivery")
        if not records:
            raise NotFoundError(f"the flags of message {found.entry.message} are no longer kept")
        self._notifier.again(name, found.entry.message, records, now_ms)
        self._notifier.audit(AuditEntry(now_ms, who.name, f"redeliver {number}", name))

    def recover(self, who: Principal, name: str, since_ms: int, now_ms: int, *, count_only: bool) -> int:
        """Sends again what was given up since a time; returns how many messages, and sends none if `count_only`."""
        found = self.given_up(who, name, since_ms)
        if not count_only:
            self.send_again(who, name, found, now_ms)
        return len(found)

    def given_up(self, who: Principal, name: str, since_ms: int) -> dict[str, list[AlertRecord]]:
        """The messages that were given up since a time and can be sent again: id -> records. Any thread may ask."""
        self._check(who, Scope.WRITE)
        self.get(who, name)
        dead = self._store.deliveries(name, RECOVER_MAX, None, (Fate.DEAD,), since_ms)
        latest = {each.entry.message: self._store.records(each.entry.records) for each in reversed(dead)}
        return {
            message: records
            for message, records in latest.items()
            if records and all(who.sees(each.pipeline) for each in records)
        }

    def send_again(self, who: Principal, name: str, messages: Mapping[str, Sequence[AlertRecord]], now_ms: int) -> None:
        """Sends messages of `given_up` again; raises NotFoundError where the subscription was deleted meanwhile."""
        self.get(who, name)
        for message, records in messages.items():
            self._notifier.again(name, message, records, now_ms)
        self._notifier.audit(AuditEntry(now_ms, who.name, f"recover {len(messages)}", name))

    def flags(self, who: Principal, limit: int, pipeline: str | None, *, opened: bool) -> list[FlagRecord]:
        """The last record of the latest flags that somebody may see, newest first."""
        if not who.pipelines:
            return self._store.latest_flags(limit, pipeline, opened=opened)
        found = self._store.latest_flags(100 * limit, pipeline, opened=opened)
        return [record for record in found if who.sees(record.pipeline)][:limit]

    def audit(self, who: Principal, limit: int) -> list[AuditEntry]:
        """The last entries of the audit log; raises ForbiddenError."""
        self._check(who, Scope.ADMIN)
        return self._store.audit(limit)

    def _allowed(self, who: Principal, wanted: Subscription) -> Subscription:
        """A subscription that somebody may make; raises ForbiddenError."""
        self._check(who, Scope.WRITE)
        if not who.owns(wanted.owner):
            raise ForbiddenError("this token may not make subscriptions of this owner")
        if isinstance(wanted.sink, (AppriseSink, KafkaSink, *HOOKS)) and not who.may(Scope.ADMIN):
            raise ForbiddenError(f"a sink of kind {wanted.sink.kind} needs a token with the scope admin")
        self._check_sink(wanted)
        return self._restricted(who, wanted)

    def _restricted(self, who: Principal, wanted: Subscription) -> Subscription:
        """A subscription to nothing but what somebody may see."""
        bound = Filter(pipeline=who.pipelines) if who.pipelines else None
        if bound is None or bound in (wanted.filter.all or ()):
            return wanted
        both = (wanted.filter, bound) if wanted.filter != Filter() else (bound,)
        return wanted.model_copy(update={"filter": Filter(all=both)})

    def _check(self, who: Principal, scope: Scope) -> None:
        if not who.may(scope):
            raise ForbiddenError(f"this needs a token with the scope {scope.name.lower()}")

    def _check_limits(self, owner: str) -> None:
        found = self._notifier.registered
        if len(found) >= SUBSCRIPTIONS_MAX:
            raise ConflictError(f"there are {SUBSCRIPTIONS_MAX:,} subscriptions, which is the most")
        if sum(each.subscription.owner == owner for each in found.values()) >= OWNED_MAX:
            raise ConflictError(f"{owner} has {OWNED_MAX} subscriptions, which is the most")

    def _put(self, who: Principal, registered: Registered, what: str, now_ms: int, request: str = "") -> None:
        entry = AuditEntry(now_ms, who.name, what, registered.subscription.id, request)
        if request:
            self._requests[request.partition(" ")[0]] = entry
        self._notifier.put(registered)
        self._notifier.audit(entry)


def _request_of(who: Principal, key: str, given: Any) -> str:
    """What identifies a request, and what it asks for: two digests."""
    body = orjson.dumps(given, option=orjson.OPT_SORT_KEYS)
    named = orjson.dumps([who.name, key])
    return " ".join(hashlib.sha256(each).hexdigest() for each in (named, body))


def _fresh_secret(wanted: Subscription, made: Registered) -> str | None:
    given = isinstance(wanted.sink, SIGNING) and wanted.sink.secret is not None
    found = made.secrets_at(made.created_ms)
    return found[0] if found and not given else None
