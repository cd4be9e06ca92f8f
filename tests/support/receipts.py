"""What must hold of the messages that sinks received."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable

from tests.support.sinks import Attempt


def by_message(attempts: Iterable[Attempt]) -> dict[tuple[str, str], list[Attempt]]:
    """(sink, record) -> its attempts in their order."""
    found: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for each in attempts:
        found[each.name, each.record].append(each)
    return found


def extra_share(attempts: Collection[Attempt]) -> float:
    """Attempts beyond the first of each message, as a share of the messages."""
    messages = len(by_message(attempts))
    return (len(attempts) - messages) / max(1, messages)


def wrong(attempts: Collection[Attempt]) -> list[str]:
    """What is wrong with what sinks received, a line each: signatures, ids, bodies, the order of each flag."""
    found = [f"{each.id}: the signature is wrong" for each in attempts if not each.verified]
    for (name, record), own in by_message(attempts).items():
        if len({each.id for each in own}) != 1:
            found.append(f"{record} reached {name} under several ids: {[each.id for each in own]}")
        if len({each.body for each in own}) != 1:
            found.append(f"{record} reached {name} with several bodies")
    orders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for each in attempts:
        orders[each.name, each.flag].append(each.revision)
    found += [
        f"{flag} reached {name} in the order {revisions}"
        for (name, flag), revisions in orders.items()
        if revisions != sorted(revisions)
    ]
    return found


def missing(attempts: Iterable[Attempt], names: Iterable[str], records: Iterable[str]) -> list[tuple[str, str]]:
    """(sink, record) of what did not arrive."""
    there = {(each.name, each.record) for each in attempts}
    wanted = list(records)
    return [(name, record) for name in names for record in wanted if (name, record) not in there]
