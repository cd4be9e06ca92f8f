"""Signed links: nobody but the service makes them, and what they say is what was signed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.flag_acts import FlagAct
from stream_app.alerts.flags import Change, FlagRecord
from stream_app.alerts.links import (
    EXPIRES_MS,
    LINK_MAX,
    ActLink,
    ActLinks,
    LinkError,
    LinkKey,
    token_of,
    without_links,
)
from stream_app.alerts.secrets import Vault
from stream_app.alerts.sinks.making import Discreet
from stream_app.alerts.sinks.sink import Outgoing, Result
from stream_app.alerts.sinks.slack import BUTTONS, content
from stream_app.alerts.sinks.webhook import event_of
from stream_app.alerts.subscriptions import OwnText
from stream_app.alerts.templates import TEXT_MAX
from stream_app.alerts.texts import Texts
from tests.alerts.records import NOW, finding, record
from tests.test_schemas import validator

KEY = LinkKey(Vault(b"a key for the tests only").derived(b"links"))
LINK = ActLink("p/run:r1", FlagAct.KEEP, "ads", NOW + EXPIRES_MS, "ab12")
LINKS = ActLinks(KEY, "https://s.example/base/", lambda: NOW)
TEXTS = Texts(links_of=LINKS.of)
#: How bytes stand in a token.
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def signed_parts(token: str) -> tuple[bytes, str]:
    """What is signed, and the signature."""
    body, _, signature = token.partition(".")
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), signature


@given(st.text(max_size=300), st.sampled_from(FlagAct), st.text(max_size=100), st.text(max_size=30))
def test_a_link_says_what_was_signed(flag: str, act: FlagAct, subscription: str, nonce: str) -> None:
    """Whatever flags and subscriptions are called."""
    link = ActLink(flag, act, subscription, NOW, nonce)
    token = KEY.token(link)

    assert KEY.read(token) == link
    assert set(token) <= set(ALPHABET) | {"."}


@given(st.data())
def test_no_changed_character_passes(data: st.DataObject) -> None:
    """Wherever it is, but for bits that mean nothing."""
    token = KEY.token(LINK)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.sampled_from([each for each in ALPHABET + ".%= \n" if each != token[at]]))
    changed = token[:at] + other + token[at + 1 :]

    with contextlib.suppress(LinkError):
        assert KEY.read(changed) == LINK
        assert signed_parts(changed)[0] == signed_parts(token)[0]


@pytest.mark.parametrize(
    "forged",
    [
        "",
        ".",
        "a.b",
        "x" * 5_000,
        KEY.token(LINK)[:-1],
        KEY.token(LINK) + "A",
        KEY.token(LINK) + "\n",
        KEY.token(LINK).replace(".", ""),
        KEY.token(LINK).replace(".", ".."),
        LinkKey(Vault(b"another key of another service").derived(b"links")).token(LINK),
        LinkKey(Vault(b"a key for the tests only").derived(b"else")).token(LINK),
        KEY.token(LINK).partition(".")[0] + "." + KEY.token(replace(LINK, flag="q/run:r1")).partition(".")[2],
        KEY.token(replace(LINK, expires_ms=NOW)).partition(".")[0] + "." + KEY.token(LINK).partition(".")[2],
        KEY.token(replace(LINK, act=FlagAct.WRONG)).partition(".")[0] + "." + KEY.token(LINK).partition(".")[2],
    ],
)
def test_what_is_forged_is_no_link(forged: str) -> None:
    """Cut, lengthened, of another key, or with the signature of another link."""
    with pytest.raises(LinkError):
        KEY.read(forged)


@pytest.mark.parametrize("content", [b"", b"[]", b"[2,1,1,1,1,1]", b'[1,"f","stop","s",1,"n"]', b"\xff", b"{}"])
def test_what_another_release_has_signed_is_refused(content: bytes) -> None:
    """Its signature holds, and it says what is not known here."""
    body = base64.urlsafe_b64encode(content or b" ").decode().rstrip("=")
    signature = base64.urlsafe_b64encode(KEY._signature(content or b" ")).decode()

    with pytest.raises(LinkError, match="another release"):
        KEY.read(f"{body}.{signature}")


def test_a_record_has_a_link_for_each_act() -> None:
    """Each says which, for whom, and until when; at the address of the service."""
    found = LINKS.of(record(), "ads")

    assert list(found) == ["keep", "prolong", "wrong"]
    for act, url in found.items():
        parts = urlsplit(url)
        link = KEY.read(parse_qs(parts.query)["link"][0])
        assert (parts.scheme, parts.netloc, parts.path) == ("https", "s.example", "/base/v1/act")
        assert (link.flag, link.act, link.subscription) == ("p/run:r1", act, "ads")
        assert link.expires_ms == NOW + EXPIRES_MS
        assert token_of(url) == parse_qs(parts.query)["link"][0]


def test_a_message_has_the_same_nonces_at_every_attempt() -> None:
    """And no two links have the same one."""
    later = ActLinks(KEY, "https://s.example", lambda: NOW + 60_000)

    def nonces(links: ActLinks, *records: object) -> list[str]:
        made = [links.of(each, name) for each in records for name in ("ads", "ops")]  # type: ignore[arg-type]
        return [KEY.read(token_of(url)).nonce for found in made for url in found.values()]

    first = nonces(LINKS, record(), record(2, Change.REVISED), record(flag="p/run:r2"))

    assert first == nonces(later, record(), record(2, Change.REVISED), record(flag="p/run:r2"))
    assert len(set(first)) == len(first) == 18


@pytest.mark.parametrize(
    "links",
    [
        LINKS.of(record(2, Change.RESOLVED), "ads"),
        LINKS.of(record(2, Change.WITHDRAWN), "ads"),
        LINKS.of(finding(), "ads"),
        LINKS.of(record(flag="p/run:" + "r" * LINK_MAX), "ads"),
        ActLinks(KEY, "", lambda: NOW).of(record(), "ads"),
    ],
)
def test_there_is_no_link_where_it_would_do_nothing(links: dict[str, str]) -> None:
    """Flags that have ended, findings, names that no URL holds, and a service without an address."""
    assert links == {}


def test_what_is_quoted_of_a_link_is_hidden() -> None:
    """Whole or cut, quoted for a URL or for JSON."""
    url = LINKS.of(record(), "ads")["keep"]
    token = token_of(url)

    for text in (
        url,
        url[:-20],
        url.replace("=", "%3D"),
        json.dumps({"a": url}),
        url.replace("=", "\\u003d"),
        f"{url} {url}",
    ):
        assert token[:12] not in without_links(f"the sink says {text} is wrong")
    assert without_links("nothing here") == "nothing here"


# In messages


def linked(*records: FlagRecord) -> Outgoing:
    """A message of subscription ads."""
    links = TEXTS.links(records, "ads")
    return Outgoing("m@ads", records, TEXTS.of(records, None, links), {}, links)


def test_a_text_ends_with_the_links_of_its_flag() -> None:
    """One line each; without them it says the same as ever."""
    message = linked(record())
    found = message.links[record().id]

    assert message.text.body.splitlines()[-3:] == [
        f"Keep it: {found['keep']}",
        f"Prolong it by a day: {found['prolong']}",
        f"The flag is wrong: {found['wrong']}",
    ]
    assert message.text.body.startswith(Texts().of([record()]).body)


def test_own_words_may_name_links() -> None:
    """Those of the default are not added to them."""
    own = OwnText(body="{{ pipeline }}: {{ keep_link }}{{ finding }}")
    links = TEXTS.links([record()], "ads")

    assert TEXTS.of([record()], own, links).body == f"p: {links[record().id]['keep']}"


def test_of_many_flags_no_link_is_cut() -> None:
    """A text that would be too long tells fewer flags."""
    message = linked(*(record(flag=f"p/run:{number}-{'r' * 300}") for number in range(20)))

    assert len(message.text.body) <= TEXT_MAX
    found = [line.partition(": ")[2] for line in message.text.body.splitlines() if "/v1/act" in line]
    assert len(found) % 3 == 0
    assert all(KEY.read(token_of(each)) for each in found)
    assert message.text.body.splitlines()[-1] == f"and {20 - len(found) // 3} more flags"


def test_a_webhook_has_the_links_of_each_record_as_a_field() -> None:
    """As the schema says, in one record and in several."""
    one, two = linked(record()), linked(record(), record(2, Change.RESOLVED, "p/run:r2"))
    schema = validator("flag")

    alone, digest = (event_of(each.id, each.records, each.links) for each in (one, two))

    for event in (alone, digest):
        schema.validate(json.loads(json.dumps(event)))
    assert alone["data"]["links"] == one.links[record().id]
    assert [each.get("links") for each in digest["data"]["flags"]] == [two.links[record().id], None]


def test_slack_shows_links_as_words_and_buttons_with_their_tokens() -> None:
    """Buttons where the message is about one flag, and where clicks on them can be checked."""
    message = linked(record())
    links = message.links[record().id]
    plain = content(message.text, message.links)
    buttons = content(message.text, message.links, buttons=True)
    digest = content(linked(record(), record(flag="p/run:r2")).text, message.links | {"x": links}, buttons=True)

    for act, link in links.items():
        assert f"<{link}|{BUTTONS[act]}>" in plain["blocks"][1]["text"]["text"]
    assert buttons["blocks"][:-1] == plain["blocks"]
    assert [each["value"] for each in buttons["blocks"][-1]["elements"]] == list(map(token_of, links.values()))
    assert all(len(each["value"]) <= 2_000 for each in buttons["blocks"][-1]["elements"])
    assert all(each["type"] != "actions" for each in digest["blocks"])


def test_a_sink_that_quotes_a_link_gives_none_away() -> None:
    """The delivery log has what sinks answer."""
    message = linked(record())

    class Quoting:
        async def send(_, message: Outgoing) -> Result:  # noqa: N805
            return Result(f"refused: {message.text.body[:900]}")

    class Nothing:
        def without_secrets(_, text: str) -> str:  # noqa: N805
            return text

    said = asyncio.run(Discreet(Quoting(), Nothing()).send(message)).reason  # type: ignore[arg-type]

    assert "refused" in said
    for link in message.links[record().id].values():
        assert token_of(link)[:16] not in said
