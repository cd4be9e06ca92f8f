"""What a subscription would have sent: its mailbox, run over records of the past with a clock of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from stream_app.alerts.findings import FindingRecord, is_finding
from stream_app.alerts.flags import Change, FlagOutcome, FlagRecord
from stream_app.alerts.mailbox import Mailbox
from stream_app.alerts.matching import Matcher, PriceOf
from stream_app.alerts.messages import Fate
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.subscriptions import State, Subscription


@dataclass(slots=True)
class Preview:
    """What would have been sent.

    Parameters
    ----------
    messages
        How many messages.
    flags, findings
        How many flags and findings they would have announced.
    node_hours
        The compute ahead of these flags when they were announced.
    money
        Its price; None where no price is known.
    pushed
        How many of the announced flags were of runs that were pushed.
    dropped
        Reason -> how many records would not have been sent because of it.
    """

    messages: int = 0
    flags: int = 0
    findings: int = 0
    node_hours: float = 0.0
    money: float | None = None
    pushed: int = 0
    dropped: dict[str, int] = field(default_factory=dict)


def preview(
    subscription: Subscription, records: Iterable[tuple[int, AlertRecord]], price_of: PriceOf = lambda _: None
) -> Preview:
    """Runs a subscription over the past.

    Parameters
    ----------
    subscription
        The subscription, in any state.
    records
        Log time in ms since 1970 UTC and record, in order.
    price_of
        Returns the price of a node-hour.

    Returns
    -------
    Preview
        As if every message had arrived at its first attempt.
    """
    active = subscription.model_copy(update={"state": State.ACTIVE})
    matcher, mailbox, made = Matcher([active], price_of), Mailbox(active), Preview()
    announced: set[str] = set()
    pushed: set[str] = set()
    for logged_ms, record in records:
        _send(mailbox, logged_ms, made, announced, price_of)
        if isinstance(record, FlagRecord) and record.outcome is FlagOutcome.PUSHED:
            pushed.add(record.subject)
        for match in matcher.match(record):
            mailbox.accept(record, match.exact, logged_ms, logged_ms)
    _send(mailbox, None, made, announced, price_of)
    made.findings = sum(map(is_finding, announced))
    made.flags, made.pushed = len(announced) - made.findings, len(announced & pushed)
    made.dropped = dict(Counter(each.reason for each in mailbox.take_log() if each.fate is Fate.DROPPED))
    return made


def _send(mailbox: Mailbox, until_ms: int | None, made: Preview, announced: set[str], price_of: PriceOf) -> None:
    """Sends what is due up to a time; None: everything."""
    while (due_ms := mailbox.next_ms(0.0, 0)) is not None and (until_ms is None or due_ms <= until_ms):
        mailbox.advance(due_ms)
        while (message := mailbox.take(due_ms, 0.0)) is not None:
            made.messages += 1
            for record in message.records:
                if record.change is not Change.RAISED and (record.is_end or record.subject in announced):
                    continue
                announced.add(record.subject)
                if isinstance(record, FindingRecord):
                    continue
                node_hours = record.cost_left / 3600.0
                made.node_hours += node_hours
                price = price_of(record)
                if price is not None:
                    made.money = (made.money or 0.0) + node_hours * price
            mailbox.sent(message, due_ms, 0.0)
