"""What an attempt means to the mailbox of its message."""

from __future__ import annotations

from stream_app.alerts.mailbox import Mailbox
from stream_app.alerts.messages import Message
from stream_app.alerts.sinks.sink import Result


def settle(
    mailbox: Mailbox, message: Message, result: Result, fault: str, now_ms: int, now: float, draw: float
) -> None:
    """Says to a mailbox what became of an attempt.

    Parameters
    ----------
    mailbox, message
        The mailbox and the message.
    result
        What became of it.
    fault
        Why it was sent with the default text; "" where it was not.
    now_ms, now, draw
        As of `Mailbox.failed`.
    """
    if result.succeeded:
        note = f"sent with the default text; {fault}" if fault else result.note
        mailbox.sent(message, now_ms, now, result.thread, note)
    elif result.again_after is not None:
        due_ms = now_ms + round(result.again_after * 1000)
        mailbox.postponed(message, result.reason, due_ms, now_ms, result.thread)
    elif result.dropped:
        mailbox.dropped(message, result.reason, now_ms)
    else:
        mailbox.failed(message, result.reason, now_ms, now, draw, result.retry_after)
