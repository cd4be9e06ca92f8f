"""E-mails against a real mail server."""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from stream_app.alerts.flags import Change
from stream_app.alerts.sinks.email import Email, MailServer
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.subscriptions import OwnText
from stream_app.alerts.texts import Texts
from tests.alerts.records import record
from tests.alerts.sinks.servers import outgoing


class Mailroom:
    """Keeps what arrives, and refuses some receivers."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.receivers: list[str] = []

    async def handle_RCPT(self, _: SMTP, __: Session, envelope: Envelope, address: str, ___: Any) -> str:  # noqa: N802
        """Takes a receiver."""
        if address.startswith("nobody"):
            return "550 no such user\x07 here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802
        """Takes a mail."""
        assert isinstance(envelope.content, bytes)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        self.receivers += envelope.rcpt_tos
        return "250 OK"


def send(room: Mailroom, *messages: Outgoing, password: str = "right", to: str = "ann@example.com") -> list[Result]:
    """What becomes of messages, through a mail server that wants a login."""

    def login(_: SMTP, __: Session, ___: Envelope, ____: str, given: Any) -> AuthResult:
        right = isinstance(given, LoginPassword) and given.password == b"right"
        return AuthResult(success=right, handled=False)

    def session() -> SMTP:
        return SMTP(room, hostname="mail", authenticator=login, auth_require_tls=False, auth_required=True)

    async def body() -> list[Result]:
        listening = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            server = MailServer("127.0.0.1", port, "Detector <alerts@example.org>", "none", "detector", password)
            return [await Email(server, (to, "bob@example.com")).send(each) for each in messages]

    return asyncio.run(body())


@pytest.fixture
def mailroom() -> Mailroom:
    """A mailroom without mails."""
    return Mailroom()


def test_mails_of_a_flag_are_one_thread(mailroom: Mailroom) -> None:
    """One subject, and one id to which all refer; each has an id of its own."""
    first, second = outgoing(), outgoing(record(2, Change.RESOLVED))
    second = Outgoing("p/run:r1#2@s", second.records, second.text, {})
    assert send(mailroom, first, second, first) == [Result()] * 3

    assert {mail["Subject"] for mail in mailroom.mails} == {"[stream-app] p: run r1"}
    assert len({mail["References"] for mail in mailroom.mails}) == 1
    # The same message has the same id, so that a mail that is sent twice can be told.
    ids = [mail["Message-ID"] for mail in mailroom.mails]
    assert ids[0] == ids[2] != ids[1]
    assert mailroom.receivers[:2] == ["ann@example.com", "bob@example.com"]
    assert "will probably not be pushed" in mailroom.mails[0].get_content()
    assert mailroom.mails[0]["Auto-Submitted"] == "auto-generated"


def test_a_digest_is_a_mail_of_its_own(mailroom: Mailroom) -> None:
    """With its title as the subject."""
    send(mailroom, outgoing(record(), record(flag="p/run:r2")))

    assert (mailroom.mails[0]["Subject"], mailroom.mails[0]["References"]) == ("2 flags of p", None)


def test_names_cannot_add_headers(mailroom: Mailroom) -> None:
    """A pipeline may have any name."""
    name = "p\r\nBcc: eve@example.com\r\n\r\nhello"
    assert send(mailroom, outgoing(record(pipeline=name, run=name))) == [Result()]

    assert mailroom.mails[0]["Bcc"] is None
    assert mailroom.receivers == ["ann@example.com", "bob@example.com"]


def test_own_words_cannot_add_headers(mailroom: Mailroom) -> None:
    """A title is one line whatever it writes, also of what is no flag and has the title as its subject."""
    name = "p\r\nBcc: eve@example.com\r\n\r\nhello"
    own = OwnText(title="a\r\nBcc: eve@example.com\n{{ run }}", body="b\r\nBcc: eve@example.com")
    text = Texts().of([record(run=name)], own)
    messages = [Outgoing("i", records, text, {}) for records in ((record(run=name),), ())]
    assert send(mailroom, *messages) == [Result()] * 2

    assert [mail["Bcc"] for mail in mailroom.mails] == [None, None]
    assert mailroom.mails[1]["Subject"].startswith("a Bcc: eve@example.com p Bcc: ")
    assert set(mailroom.receivers) == {"ann@example.com", "bob@example.com"}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"password": "wrong-secret"}, "the mail server refuses the login: 535"),
        ({"to": "nobody@example.com"}, "SMTPRecipientsRefused|the mail server refuses the receivers"),
    ],
)
def test_refusals(mailroom: Mailroom, more: dict[str, str], reason: str) -> None:
    """In words, without the password."""
    (result,) = send(mailroom, outgoing(), **more)

    if result.succeeded:  # one of two receivers took it
        assert mailroom.receivers == ["bob@example.com"]
    else:
        assert any(result.reason.startswith(each) for each in reason.split("|"))
        assert "wrong-secret" not in result.reason


def test_nobody_listens() -> None:
    """A failure as others are."""
    server = MailServer("127.0.0.1", 1, "alerts@example.org", "none")
    result = asyncio.run(Email(server, ("ann@example.com",)).send(outgoing()))

    assert "SMTPConnectError" in result.reason
