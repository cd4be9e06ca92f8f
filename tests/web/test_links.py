"""Links in messages, on a real service: one use, not for ever, nothing happens before somebody says so."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from stream_app.alerts.flag_acts import FlagAct
from stream_app.alerts.links import ActLink, LinkKey
from stream_app.alerts.secrets import Vault
from stream_app.web.limits import Limits
from tests.support.flagged import ALERTS, FORM, Flagging, flagging, now_ms
from tests.web.served import embedded_service

KEY = b"a key for the tests of links only"
NUMBERS = itertools.count()
LINKS = LinkKey(Vault(KEY).derived(b"links"))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flagging]:
    """One service for all."""
    with flagging(tmp_path_factory.mktemp("links"), replace(ALERTS, key=KEY)) as made:
        yield made


def link_of(flag: str, act: FlagAct = FlagAct.KEEP, **changes: object) -> str:
    """A link that the service might have made."""
    link = ActLink(flag, act, "hook", now_ms() + 60_000, f"n{next(NUMBERS)}")
    return f"https://stream-app.example.com/v1/act?link={LINKS.token(replace(link, **changes))}"  # type: ignore[arg-type]


class Page(HTMLParser):
    """What a page has: elements, their attributes, and the text."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keeps an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Keeps text."""
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The elements of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.mark.parametrize(
    ("act", "heading", "outcome"),
    [("keep", "The run is kept", "overridden"), ("wrong", "The flag is called wrong", "overridden")],
)
def test_a_link_of_a_message_acts_once_it_is_submitted(running: Flagging, act: str, heading: str, outcome: str) -> None:
    """Not before: programs that scan mails follow links, too. It says who has done it, as far as that is known."""
    flag = running.flag()
    link = running.message(flag)["links"][act]
    entries = len(running.audit())

    asked = [running.open(link) for _ in range(3)]
    untouched = running.record(flag)["change"], len(running.audit())
    done = running.submit(link, "we need it", name="Ann <b>")

    assert {each.status for each in asked} == {200}
    assert untouched == ("raised", entries)
    assert (done.status, heading in Page(done.body).text) == (200, True)
    assert running.record(flag, lambda record: record["outcome"] == outcome)
    assert running.audit()[0] == ("link of hook (Ann <b>)", f"{act}: we need it", flag)


def test_a_link_prolongs_by_a_day(running: Flagging) -> None:
    """From now on, or from when the run may be stopped."""
    flag = running.flag()
    before = running.message(flag)

    assert running.submit(before["links"]["prolong"]).status == 200

    after = running.record(flag, lambda record: record["revision"] > before["revision"])
    assert after["change"] == "revised"
    assert after["ladder"]["stop_from"] > before["ladder"]["stop_from"]


@pytest.mark.parametrize("acts", [["keep", "keep"], ["prolong", "prolong"], ["keep", "wrong"]])
def test_each_link_is_good_for_one_use(running: Flagging, acts: list[str]) -> None:
    """Another link of the message is another one."""
    flag = running.flag()
    links = running.message(flag)["links"]
    first, second = (running.submit(links[act]) for act in acts)
    again = running.open(links[acts[0]])

    assert first.status == 200
    assert second.status == (409 if acts[0] == acts[1] else 200)
    assert (again.status, "used before" in Page(again.body).text) == (409, True)


def test_many_at_once_are_one(running: Flagging) -> None:
    """Whoever comes second is told so."""
    flag = running.flag()
    link = running.message(flag)["links"]["prolong"]
    entries = len(running.audit())
    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(lambda _: running.submit(link).status, range(8)))

    assert answers == [200, *[409] * 7]
    assert len(running.audit()) == entries + 1


def test_a_link_that_was_used_stays_so_after_a_restart(tmp_path: Path) -> None:
    """It is stored before it acts."""
    with flagging(tmp_path) as first:
        link = first.message(first.flag())["links"]["prolong"]
        assert first.submit(link).status == 200
    with flagging(tmp_path) as second:
        assert second.open(link).status == 409
        assert second.submit(link).status == 409


@pytest.mark.parametrize(
    ("spoil", "status", "says"),
    [
        (lambda flag: link_of(flag)[:-3], 403, "not valid"),
        (lambda flag: link_of(flag) + "A", 403, "not valid"),
        (lambda flag: link_of(flag).replace("link=", "link=A"), 403, "not valid"),
        (lambda _: "https://x/v1/act?link=", 403, "not valid"),
        (lambda _: "https://x/v1/act?link=..", 403, "not valid"),
        (lambda _: "https://x/v1/act?link=" + "x" * 3_000, 403, "not valid"),
        (lambda flag: link_of(flag, expires_ms=now_ms() - 1_000), 410, "expired"),
        (lambda flag: link_of(flag, expires_ms=0), 410, "expired"),
        (lambda flag: link_of(flag, subscription="deleted"), 410, "was deleted"),
        (lambda _: link_of("p/run:none"), 410, "not known"),
        (lambda _: link_of("q/run:r0"), 410, "not known"),
        (lambda _: link_of("\u00e9"), 410, "not known"),
    ],
)
def test_a_link_that_does_not_hold_does_nothing(
    running: Flagging, open_flag: str, spoil: object, status: int, says: str
) -> None:
    """Forged, cut, expired, or of what is not there: the page says what happened and what to do."""
    link = spoil(open_flag)  # type: ignore[operator]
    entries = len(running.audit())

    for answer in (running.open(link), running.submit(link), running.submit(link, None)):
        page = Page(answer.body)
        assert (answer.status, says in page.text) == (status, True), page.text
        assert not page.of("form")
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert len(running.audit()) == entries
    assert running.record(open_flag)["change"] == "raised"


@pytest.fixture(scope="module")
def open_flag(running: Flagging) -> str:
    """A flag that nobody may end."""
    return running.flag()


@pytest.mark.parametrize("act", FlagAct)
def test_a_link_to_a_flag_that_has_ended_does_nothing(running: Flagging, ended_flag: str, act: FlagAct) -> None:
    """It says how the flag has ended."""
    link = link_of(ended_flag, act)

    for answer in (running.open(link), running.submit(link)):
        assert answer.status == 410
        assert "not open any more: pushed" in Page(answer.body).text


@pytest.fixture(scope="module")
def ended_flag(running: Flagging) -> str:
    """A flag whose run was pushed."""
    return running.ended("pushes")


@pytest.mark.parametrize("reason", [None, "", "  \n", "\u0000\u202e", "x" * 1_001])
def test_a_reason_is_asked_for(running: Flagging, open_flag: str, reason: str | None) -> None:
    """The form is shown once more with what is missing, and the link is not used."""
    link = link_of(open_flag, FlagAct.PROLONG)

    answer = running.submit(link, reason, name="Ann")
    page = Page(answer.body)

    assert answer.status == 422
    assert "reason: expected why" in page.text
    assert page.of("textarea")[0]["aria-describedby"] == "fault"
    assert page.of("input")[1]["value"] == "Ann"
    assert running.open(link).status == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"reason=x", {"Content-Type": "text/plain"}, 415),
        (b"reason=" + b"x" * 40_000, FORM, 413),
        (b"\xff\xfe", FORM, 403),
        (b"&".join(b"a=1" for _ in range(100)), FORM, 403),
        (b"link=a&link=b&reason=x", FORM, 403),
        (b"", FORM, 403),
    ],
)
def test_what_is_no_form_does_nothing(running: Flagging, body: bytes, headers: dict[str, str], status: int) -> None:
    """Whatever is sent."""
    assert running.service.ask("POST", "/v1/act", body, headers).status == status


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_there_are_no_other_methods(running: Flagging, method: str) -> None:
    """And a HEAD changes nothing."""
    link = running.message(running.flag())["links"]["keep"]

    assert running.service.ask(method, f"/v1/act?{link.partition('?')[2]}").status == 405
    assert running.service.ask("HEAD", f"/v1/act?{link.partition('?')[2]}").status == 200
    assert running.open(link).status == 200


def test_a_page_can_be_read_by_everybody_and_does_nothing_by_itself(running: Flagging, open_flag: str) -> None:
    """No script, nothing from elsewhere, labels for all fields, any width and both schemes of colours."""
    answer = running.open(link_of(open_flag))
    page, policy = Page(answer.body), answer.headers["Content-Security-Policy"]
    (style,) = re.findall(r"<style>(.*?)</style>", answer.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert not [tag for tag, _ in page.elements if tag in ("script", "img", "link", "iframe", "a", "meta")][2:]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert f"style-src 'sha256-{digest}'" in policy
    for rule in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert rule in policy.split("; ")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert page.of("html")[0]["lang"] == "en"
    assert page.of("meta")[1]["content"] == "width=device-width, initial-scale=1"
    shown = [each for tag in ("textarea", "input") for each in page.of(tag) if each.get("type") != "hidden"]
    assert {each["id"] for each in shown} == {each["for"] for each in page.of("label")}
    assert len(page.of("h1")) == len(page.of("main")) == len(page.of("form")) == 1
    assert page.of("form")[0] == {"method": "post", "action": "act"}
    assert "color-scheme: light dark" in style
    assert not re.search(r"(?<!max-)width:\s*[3-9]\d\d+px", style)


def test_names_are_no_markup(running: Flagging) -> None:
    """Whatever a run or its owner is called."""
    flag = running.flag()
    answer = running.submit(link_of(flag), None, name="\"><script>alert('x')</script>")

    assert b"<script" not in answer.body
    assert Page(answer.body).of("input")[1]["value"] == "\"><script>alert('x')</script>"


def test_a_link_is_in_no_log_and_no_metric(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither where each request is logged."""
    caplog.set_level(logging.DEBUG)
    with flagging(tmp_path, limits=Limits(access_log=True)) as service:
        links = service.message(service.flag())["links"]
        for each in links.values():
            service.open(each)
            service.submit(each, None)
            service.submit(each)
            service.submit(each)
        metrics = service.ask("GET", "/metrics").body.decode()
        told = json.dumps(service.ask("GET", "/v1/subscriptions/hook/deliveries").json) + str(service.audit())

    text = "\n".join(each.getMessage() for each in caplog.records)
    assert '"route":"/v1/act"' in text
    for each in links.values():
        assert each.partition("link=")[2][:30] not in text + metrics + told


def test_requests_for_links_are_limited_as_all_are(tmp_path: Path) -> None:
    """By address."""
    limits = Limits(address_rate=0.2)
    with embedded_service(tmp_path / "data" / "events.sqlite", alerts=ALERTS, limits=limits) as service:
        statuses = [service.ask("GET", "/v1/act?link=x").status for _ in range(20)]

    assert statuses[0] == 403
    assert 429 in statuses
