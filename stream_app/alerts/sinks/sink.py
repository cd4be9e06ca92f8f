"""What all sinks share: the message they send, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stream_app.alerts.records import AlertRecord
from stream_app.alerts.texts import Text

#: Seconds that an attempt may take, and characters of an answer that are kept.
TIMEOUT_SECONDS, ANSWER_MAX = 15.0, 256


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message as a sink sends it.

    Parameters
    ----------
    id
        The same at every attempt, and of no other message.
    records
        One record or, of a digest or a group, several.
    text
        The message in words.
    thread
        What the sink has kept of earlier messages, by flag or finding: such as the id of a message in a chat.
    links
        The links by which people act, by the id of the record and the name of the act.
    """

    id: str
    records: Sequence[AlertRecord]
    text: Text
    thread: Mapping[str, str]
    links: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an attempt.

    Parameters
    ----------
    reason
        Why it failed, in words; "" when the message was taken.
    retry_after
        Seconds that the sink asked to wait; None: it did not.
    gone
        Whether the sink says that it will never take a message again.
    thread
        What is to be kept of the message, by flag or finding.
    dropped
        Whether the message is not to be sent at all, for the reason: that is no failure of the sink.
    again_after
        Seconds after which the message is to be tried again, which is no failure of the sink either; None: it is not.
    note
        What the delivery log says of a message that was taken.
    """

    reason: str = ""
    retry_after: float | None = None
    gone: bool = False
    thread: Mapping[str, str] | None = None
    dropped: bool = False
    again_after: float | None = None
    note: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether the message was taken."""
        return not self.reason and self.again_after is None


class Sink(Protocol):
    """Sends messages."""

    async def send(self, message: Outgoing) -> Result:
        """Makes one attempt to send a message.

        Parameters
        ----------
        message
            The message.

        Returns
        -------
        Result
            It raises nothing for what the other side does.
        """


def cleaned(answer: bytes) -> str:
    """The beginning of an answer as one printable line."""
    text = answer[: 4 * ANSWER_MAX].decode(errors="replace")
    line = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    return line[:ANSWER_MAX]
