"""E-mails through a mail server, one thread a flag or finding."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import formatdate
from typing import Literal

from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.records import AlertRecord
from stream_app.alerts.sinks.sink import TIMEOUT_SECONDS, Outgoing, Result, cleaned
from stream_app.figures.findings_wording import title


@dataclass(frozen=True, slots=True)
class MailServer:
    """How e-mails are sent.

    Parameters
    ----------
    host, port
        The server.
    sender
        The address that e-mails come from.
    security
        `tls` from the first byte, `starttls`, or `none`.
    username, password
        The login; None: there is none.
    """

    host: str
    port: int
    sender: str
    security: Literal["tls", "starttls", "none"] = "starttls"
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class Email:
    """Sends e-mails.

    Parameters
    ----------
    server
        The server.
    to
        The receivers.
    """

    def __init__(self, server: MailServer, to: Sequence[str]) -> None:
        self._server = server
        self._to = tuple(to)

    async def send(self, message: Outgoing) -> Result:
        """Sends an e-mail; see `Sink.send`."""
        import aiosmtplib

        server = self._server
        try:
            await aiosmtplib.send(
                mail(message, server.sender, self._to),
                hostname=server.host,
                port=server.port,
                use_tls=server.security == "tls",
                start_tls=server.security == "starttls",
                username=server.username,
                password=server.password,
                timeout=TIMEOUT_SECONDS,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            said = "; ".join(f"{each.recipient}: {each.code} {each.message}" for each in error.recipients)
            return Result(f"the mail server refuses the receivers: {cleaned(said.encode())}")
        except aiosmtplib.SMTPAuthenticationError as error:
            return Result(f"the mail server refuses the login: {error.code}")
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return Result(f"{type(error).__name__}: {cleaned(str(error).encode())}")
        return Result()


def mail(message: Outgoing, sender: str, to: Sequence[str]) -> EmailMessage:
    """The e-mail of a message.

    Parameters
    ----------
    message
        The message.
    sender, to
        The addresses.

    Returns
    -------
    email.message.EmailMessage
        With an id of its own that is the same at every attempt; mails about one flag or finding refer to one another.
    """
    records = message.records
    made = EmailMessage()
    made["From"], made["To"] = sender, ", ".join(to)
    made["Date"] = formatdate(localtime=False)
    made["Subject"] = _subject(records) if len(records) == 1 else message.text.title
    made["Message-ID"] = _reference(message.id, sender)
    if len(records) == 1:
        # All mails about one refer to one id that no mail has, so that they are a thread whichever of them arrive.
        made["References"] = made["In-Reply-To"] = _reference(records[0].subject, sender)
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(f"{message.text.title}\n\n{message.text.body}\n")
    return made


def _subject(records: Sequence[AlertRecord]) -> str:
    """The subject of all mails of a flag or finding: threads need one."""
    (record,) = records
    if isinstance(record, FindingRecord):
        name = title(record).lower()
    else:
        name = f"run {record.run}" if record.run is not None else record.flag
    return " ".join(f"[stream-app] {record.pipeline}: {name}".split())[:200]


def _reference(name: str, sender: str) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return f"<{digest}@{sender.rpartition('@')[2].strip('>')}>"
