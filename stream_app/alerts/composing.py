"""From a message of a mailbox to what a sink sends."""

from __future__ import annotations

from stream_app.alerts.mailbox import Mailbox
from stream_app.alerts.messages import Message
from stream_app.alerts.sinks.sink import Outgoing
from stream_app.alerts.texts import Texts


def composed(texts: Texts, mailbox: Mailbox, message: Message) -> Outgoing:
    """A message as a sink sends it.

    Parameters
    ----------
    texts
        Writes its text, and makes its links.
    mailbox
        The mailbox of its subscription.
    message
        The message.
    """
    subscription = mailbox.subscription
    links = texts.links(message.records, subscription.id)
    text = texts.of(message.records, subscription.text, links)
    return Outgoing(f"{message.id}@{subscription.id}", tuple(message.records), text, dict(mailbox.thread), links)
