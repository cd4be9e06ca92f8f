"""Mailboxes as rows: what a store keeps of them. A row is written when what it holds has changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import orjson

from stream_app.alerts.mailbox import Mailbox
from stream_app.alerts.messages import FlagState, Message
from stream_app.alerts.records import record_from_dict, record_to_dict
from stream_app.alerts.warnings import OwnerWarning
from stream_app.errors import StateError

#: Kinds of rows: the state of a flag, a message, and the mailbox itself.
_FLAG, _MESSAGE, _BOX = "flag", "message", "box"
#: What is kept of the mailbox itself, and what rows of earlier releases do not have.
_FIELDS, _LATER_FIELDS = ("failing_ms", "made", "thread"), {"failing_reason", "warned"}

Row = tuple[bytes, bytes | None]


def take_rows(mailbox: Mailbox) -> Iterator[Row]:
    """The rows of what has changed since the last call; None: it is gone.

    Parameters
    ----------
    mailbox
        The mailbox.
    """
    name = mailbox.subscription.id
    for flag in mailbox.changed_flags:
        state = mailbox.flags.get(flag)
        yield _key(name, _FLAG, flag), _flag_row(state) if state is not None else None
    for message_id in mailbox.changed_messages:
        message = mailbox.messages.get(message_id)
        yield _key(name, _MESSAGE, message_id), _message_row(message) if message is not None else None
    if mailbox.changed_flags or mailbox.changed_messages or mailbox.changed_box:
        box = {field: getattr(mailbox, field) for field in (*_FIELDS, *_LATER_FIELDS)}
        yield _key(name, _BOX, ""), orjson.dumps({**box, "warning": mailbox.warning})
    mailbox.changed_flags.clear()
    mailbox.changed_messages.clear()
    mailbox.changed_box = False


def subscription_of(key: bytes) -> str:
    """The id of the subscription to which a row belongs."""
    return key.partition(b"\0")[0].decode()


def no_rows(mailbox: Mailbox) -> Iterator[Row]:
    """The rows of a mailbox that is gone: each of them without a value."""
    name = mailbox.subscription.id
    yield _key(name, _BOX, ""), None
    for flag in mailbox.flags.keys() | mailbox.changed_flags:
        yield _key(name, _FLAG, flag), None
    for message_id in mailbox.messages.keys() | mailbox.changed_messages:
        yield _key(name, _MESSAGE, message_id), None


def restore(mailbox: Mailbox, rows: Mapping[bytes, bytes], now_ms: int) -> None:
    """Restores a mailbox.

    Parameters
    ----------
    mailbox
        A new mailbox of the subscription.
    rows
        Its rows.
    now_ms
        The time in ms since 1970 UTC.

    Raises
    ------
    StateError
        A row cannot be read.
    """
    flags: dict[str, FlagState] = {}
    messages: list[Message] = []
    for key, row in rows.items():
        _, kind, rest = key.decode().split("\0", 2)
        try:
            stored = orjson.loads(row)
            if kind == _FLAG:
                held = [record_from_dict(each) for each in stored.pop("held")]
                flags[rest] = FlagState(held=held, **stored)
            elif kind == _MESSAGE:
                records = [record_from_dict(each) for each in stored.pop("records")]
                messages.append(Message(rest, records, **stored))
            elif kind == _BOX:
                for field in _FIELDS:
                    setattr(mailbox, field, stored[field])
                for field in _LATER_FIELDS & stored.keys():
                    setattr(mailbox, field, stored[field])
                warning = stored.get("warning")
                mailbox.warning = OwnerWarning(**warning) if warning is not None else None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(f"a row of subscription {mailbox.subscription.id} cannot be read: {error!r}") from None
    mailbox.restore(flags, sorted(messages, key=lambda each: each.number), now_ms)


def _key(subscription: str, kind: str, rest: str) -> bytes:
    return f"{subscription}\0{kind}\0{rest}".encode()


def _flag_row(state: FlagState) -> bytes:
    return orjson.dumps(
        {
            "revision": state.revision,
            "announced": state.announced,
            "announced_ms": state.announced_ms,
            "attempted": state.attempted,
            "held": [record_to_dict(each) for each in state.held],
            "ready_ms": state.ready_ms,
            "touched_ms": state.touched_ms,
        }
    )


def _message_row(message: Message) -> bytes:
    return orjson.dumps(
        {
            "records": [record_to_dict(each) for each in message.records],
            "due_ms": message.due_ms,
            "collects": message.collects,
            "attempts": message.attempts,
            "number": message.number,
        }
    )
