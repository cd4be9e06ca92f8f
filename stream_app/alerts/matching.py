"""Which subscriptions a record matters to, by an index of their filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from stream_app.alerts.filters import Anchor, Facts, Holds, facts_anchors
from stream_app.alerts.flags import Change
from stream_app.alerts.records import AlertRecord, EventType, type_of
from stream_app.alerts.subscriptions import State, Subscription

_NONE: dict[str, None] = {}
#: Returns the price of a node-hour for a record; None: it is not known.
PriceOf = Callable[[AlertRecord], float | None]


class Match(NamedTuple):
    """A subscription to which a record may matter."""

    subscription: Subscription
    #: Whether its filter holds for the record itself. If not, the record matters where the flag was announced.
    exact: bool


class _Held(NamedTuple):
    """A subscription with its filter, compiled."""

    subscription: Subscription
    types: frozenset[EventType]
    holds: Holds
    may_hold: Holds
    anchors: frozenset[Anchor] | None


class Matcher:
    """Finds the subscriptions to which a record matters.

    Parameters
    ----------
    subscriptions
        The first ones.
    price_of
        Returns the price of a node-hour.

    Notes
    -----
    A filter that names pipelines, owners or labels is looked up by one of these, so that thousands of subscriptions of
    teams cost a record nothing. A filter without such a condition is evaluated for each record.
    """

    def __init__(self, subscriptions: Iterable[Subscription] = (), price_of: PriceOf = lambda _: None) -> None:
        self._price_of = price_of
        self._held: dict[str, _Held] = {}
        self._by_anchor: dict[Anchor, dict[str, None]] = {}
        self._others: dict[str, None] = {}
        #: How many anchors there are of each length of a beginning of a pipeline's name.
        self._lengths: Counter[int] = Counter()
        for each in subscriptions:
            self.put(each)

    def put(self, subscription: Subscription) -> None:
        """Adds a subscription, or replaces it. One that is not active is kept, and matches nothing."""
        self.drop(subscription.id)
        chosen = subscription.filter
        held = self._held[subscription.id] = _Held(
            subscription,
            frozenset(subscription.types),
            chosen.compile(),
            chosen.compile(fixed=True),
            chosen.anchors(),
        )
        if subscription.state is not State.ACTIVE:
            return
        if held.anchors is None:
            self._others[subscription.id] = None
        for anchor in held.anchors or ():
            if anchor not in self._by_anchor and anchor[0] == "prefix":
                self._lengths[len(anchor[1])] += 1
            self._by_anchor.setdefault(anchor, {})[subscription.id] = None

    def drop(self, name: str) -> None:
        """Removes a subscription by its id; one that is not known is ignored."""
        found = self._held.pop(name, None)
        if found is None:
            return
        self._others.pop(name, None)
        for anchor in found.anchors or ():
            names = self._by_anchor.get(anchor, {})
            names.pop(name, None)
            if anchor in self._by_anchor and not names:
                del self._by_anchor[anchor]
                if anchor[0] == "prefix":
                    self._lengths -= Counter({len(anchor[1]): 1})

    def get(self, name: str) -> Subscription | None:
        """A subscription by its id."""
        found = self._held.get(name)
        return found.subscription if found is not None else None

    def __len__(self) -> int:
        return len(self._held)

    def match(self, record: AlertRecord) -> list[Match]:
        """The active subscriptions to which a record matters.

        Parameters
        ----------
        record
            The record.

        Returns
        -------
        list of Match
            Those whose filter holds. For a record that raises nothing also those whose filter may have held for an
            earlier record: whoever heard of a flag or finding hears of its end.
        """
        facts = Facts.of(record, self._price_of(record))
        names = dict(self._others)
        for anchor in facts_anchors(facts, self._lengths):
            names.update(self._by_anchor.get(anchor, _NONE))
        raised = record.change is Change.RAISED
        kind = type_of(record)
        found = []
        for name in names:
            held = self._held[name]
            if kind in held.types:
                exact = held.holds(facts)
                if exact or (not raised and held.may_hold(facts)):
                    found.append(Match(held.subscription, exact))
        return found
