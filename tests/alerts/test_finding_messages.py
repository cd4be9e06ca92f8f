"""Findings in words, in each sink, and in mailboxes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream_app.alerts.examples import example_of, example_records
from stream_app.alerts.findings import FindingRecord, finding_from_dict, finding_to_dict, is_finding
from stream_app.alerts.flags import Change
from stream_app.alerts.mailbox import Mailbox
from stream_app.alerts.mailbox_rows import restore, take_rows
from stream_app.alerts.messages import Fate, LogEntry
from stream_app.alerts.preview import preview
from stream_app.alerts.records import FINDING_TYPES, EventType, cloud_event, record_from_dict, type_of
from stream_app.alerts.sinks.alertmanager import alert
from stream_app.alerts.sinks.email import mail
from stream_app.alerts.sinks.sink import Outgoing
from stream_app.alerts.sinks.slack import content
from stream_app.alerts.sinks.webhook import event_of, header_id
from stream_app.alerts.subscriptions import OwnText, SubscriptionError, make_subscription
from stream_app.alerts.templates import NAMES
from stream_app.alerts.texts import Texts, check_text
from stream_app.core.ids import finding_id
from stream_app.core.units import DAY_MS
from stream_app.errors import StateError
from stream_app.web.flag_routes import event
from tests.alerts.records import NOW, finding, record

HOUR = 3_600_000
#: Names that would do something if they were not taken as they are.
HOSTILE = [
    "p\r\nBcc: eve@example.com\r\n\r\nhello",
    "<!channel> <https://evil.example|click> & more",
    "{{ 7 * 7 }}{% for x in [] %}",
    "a/b#1@x\x00\u202e\U0001f4a9",
    "p" * 3_000,
    "../../etc/passwd",
    '"},{"alertname":"x',
]


def text_of(*records: FindingRecord, own: OwnText | None = None) -> Any:
    """The text of a message."""
    return Texts(currency="EUR", link="https://e.org/{flag}").of(records, own)


def test_a_raised_finding_says_what_it_costs_and_what_to_do() -> None:
    """With its evidence: what the act would have done, and the last trainings behind it."""
    text = text_of(finding())

    assert text.title == "p: trains more often than it pushes: 15 node-hours (30.00 EUR) a month"
    assert text.body.splitlines() == [
        "30 trainings for 10 pushes. At the pace of the pushes, 20 trainings without a push would not have run.",
        "It costs 15 node-hours (30.00 EUR) a month, 10 node-hours (20.00 EUR) so far.",
        (
            "What to do: train every third run: 15 node-hours a month, no push would have been lost, "
            "2 would have been 2.0 h later at the median, 3.0 h at worst."
        ),
        "The last trainings behind it: p/t3, p/t4, p/t5, p/t6, p/t7.",
        "Owner: ann.",
        "https://e.org/p/finding:trains_too_often",
    ]


def test_an_end_and_what_costs_nothing_say_so() -> None:
    """And what is not known is left out."""
    risk = finding(kind="silent", act="look", cost=0.0, cost_money=None, cost_a_month=0.0, owner="")
    over, quiet = text_of(finding(2, Change.RESOLVED)), text_of(replace(risk, effect=replace(risk.effect, skipped=0)))

    assert over.title == "p: trains more often than it pushes (resolved)"
    assert over.body.startswith("This does not hold any more. Before: 30 trainings for 10 pushes.")
    assert quiet.title == "p: the next run is overdue"
    assert "It costs" not in quiet.body
    assert "What to do: look whether it is still scheduled." in quiet.body
    assert "Owner" not in quiet.body
    assert "None" not in quiet.title + quiet.body


def test_a_kind_of_a_later_release_is_told_as_it_is() -> None:
    """By whoever reads records of a newer worker."""
    text = text_of(finding(kind="learns_nothing", act="teach"))

    assert text.title.startswith("p: learns_nothing: ")
    assert "20 trainings since" in text.body
    assert "What to do: teach: " in text.body


def test_several_findings_are_one_text() -> None:
    """With the number and where."""
    text = text_of(finding(), finding(pipeline="q"))

    assert text.title == "2 findings of 2 pipelines"
    assert "q: trains more often than it pushes" in text.body


def test_own_words_may_name_what_findings_have() -> None:
    """The values of flags are empty, and a template that fails with findings is refused where they are asked for."""
    own = OwnText(title="{% if finding %}{{ kind }} at {{ pipeline }}{% else %}{{ run }}{% endif %}")
    reaching = OwnText(body="{{ reasons[0] }}")
    check_text(own, tuple(EventType))

    assert text_of(finding(), own=own).title == "trains_too_often at p"
    assert Texts().of([record()], own).title == "r1"
    assert tuple(Texts().values(finding())) == NAMES
    with pytest.raises(SubscriptionError, match="tried with a finding that is raised"):
        check_text(reaching, FINDING_TYPES)


def test_examples_are_of_each_type() -> None:
    """So that templates are tried with all that a subscription asks for."""
    assert {type_of(each) for _, each in example_records()} == set(EventType)
    assert is_finding(example_of(FINDING_TYPES, NOW).subject)
    assert not is_finding(example_of((EventType.FINDING_RAISED, EventType.RAISED), NOW).subject)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stand_for_themselves(name: str) -> None:
    """In every sink: no header, mention, template or label more."""
    given = finding(pipeline=name, owner=name, labels={name: name}, graphlets=(f"{name}\nFake: line",), kind=name)
    text = text_of(given)
    message = Outgoing(f"{given.id}@s", (given,), text, {})
    made = mail(message, "a@example.com", ["ann@example.com"])
    shown = content(text)

    assert "\n" not in text.title
    assert "\nFake" not in text.body
    assert "49" not in text.title
    assert made["Bcc"] is None
    assert "\n" not in str(made["Subject"])
    assert made.as_bytes()
    assert "<!channel>" not in orjson.dumps(shown["blocks"][1:]).decode()
    assert header_id(message.id).isascii()
    assert len(header_id(message.id)) <= 255
    assert set(alert(given, text, NOW)["labels"]) == {"alertname", "finding", "kind", "pipeline"}
    assert alert(given, text, NOW)["labels"]["pipeline"] == name
    assert record_from_dict(orjson.loads(orjson.dumps(event_of("m", [given])["data"]))) == given
    assert is_finding(given.subject)
    assert LogEntry(given.id, Fate.SENT, NOW).pipelines() == {name}


def test_the_event_of_a_finding_is_its_own() -> None:
    """Its types are those of findings, alone and in a digest."""
    assert cloud_event(finding())["type"] == "stream_app.finding.raised"
    assert event_of("m", [finding(2, Change.RESOLVED)])["type"] == "stream_app.finding.resolved"
    digest: Any = event_of("m", [finding(), finding(pipeline="q")])
    assert (digest["type"], list(digest["data"])) == ("stream_app.finding.digest", ["findings"])


def test_the_stream_tells_findings_from_flags() -> None:
    """By the name of the event, which clients choose by."""
    assert event(7, finding()).startswith(b"id: 7\nevent: finding.raised\ndata: {")
    assert event(8, record()).startswith(b"id: 8\nevent: raised\n")


def test_an_alert_fires_while_the_finding_is_open() -> None:
    """However long that is; its labels stay the same to its end."""
    fires, ended = (alert(each, text_of(each), NOW) for each in (finding(), finding(2, Change.RESOLVED)))

    assert fires["labels"] == ended["labels"]
    assert fires["labels"]["alertname"] == "StreamAppFinding"
    assert fires["endsAt"] > fires["startsAt"]
    assert ended["endsAt"] < fires["endsAt"]


def test_mails_of_a_finding_are_one_thread() -> None:
    """Under one subject, whatever they say."""
    mails = [
        mail(Outgoing(f"{each.id}@s", (each,), text_of(each), {}), "a@example.com", ["b@example.com"])
        for each in (finding(), finding(2, Change.RESOLVED))
    ]

    assert {each["Subject"] for each in mails} == {"[stream-app] p: trains more often than it pushes"}
    assert len({each["References"] for each in mails}) == 1
    assert len({each["Message-ID"] for each in mails}) == 2


BAD: list[dict[str, Any]] = [
    {"revision": 0}, {"revision": True}, {"revision": "1"}, {"change": "withdrawn"}, {"change": "x"}, {"kind": 7},
    {"pipeline": None}, {"labels": {"a": 1}}, {"labels": 7}, {"graphlets": 7}, {"graphlets": [7]}, {"cost": "x"},
    {"cost": None}, {"cost_money": "x"}, {"count": 1.5}, {"trainings": None}, {"parameter": "x"}, {"effect": None},
    {"effect": {}}, {"since": "yesterday"}, {"last": 7}, {"raised": None}, {"time": ""}, {"owner": []},
]  # fmt: skip


@pytest.mark.parametrize("change", BAD, ids=str)
def test_a_record_that_cannot_be_read_is_refused(change: dict[str, Any]) -> None:
    """Whatever is wrong with it; fields that are not known are ignored."""
    good = {**finding_to_dict(finding()), "later": 1}
    assert finding_from_dict(good) == finding()

    with pytest.raises(StateError, match=r"finding record that cannot be read|without the field"):
        record_from_dict({**good, **change})


@pytest.mark.parametrize("name", [name for name in finding_to_dict(finding()) if name not in ("id", "money_a_month")])
def test_a_record_without_a_field_is_refused(name: str) -> None:
    """By its name; without the finding it would be a flag."""
    given = finding_to_dict(finding())
    del given[name]

    with pytest.raises(StateError, match="flag" if name == "finding" else f"without the field '{name}'"):
        record_from_dict(given)


def mailbox(**delivery: Any) -> Mailbox:
    """A mailbox of a subscription to everything."""
    types = [each.value for each in EventType]
    given = {"id": "s", "name": "s", "owner": "ann", "sink": {"kind": "kafka", "topic": "t"}, "types": types}
    return Mailbox(make_subscription({**given, "delivery": delivery}))


def sent(box: Mailbox, now_ms: int) -> list[list[str]]:
    """Sends all that is due, and returns the ids of the records of each message."""
    box.advance(now_ms)
    found = []
    while (message := box.take(now_ms, now_ms / 1000)) is not None:
        found.append([each.id for each in message.records])
        box.sent(message, now_ms, now_ms / 1000)
    return found


@pytest.mark.parametrize(
    "delivery",
    [
        {"digest": "hour"},
        {"group_by": "pipeline"},
        {"group_by": "owner"},
        {"quiet_hours": {"start": "00:00", "end": "23:59"}},
    ],
)
def test_flags_and_findings_are_not_in_one_message(delivery: dict[str, Any]) -> None:
    """A receiver reads either; also after a restart in between."""
    box = mailbox(min_hold_seconds=0, **delivery)
    for each in (record(), finding()):
        box.accept(each, True, NOW, NOW)
    box.advance(NOW)
    again = mailbox(min_hold_seconds=0, **delivery)
    restore(again, {key: row for key, row in take_rows(box) if row is not None}, NOW)
    for each in (finding(pipeline="p", finding=finding_id("p", "silent")), record(flag="p/run:r2")):
        again.accept(each, True, NOW, NOW)
    again.advance(NOW)

    assert sorted(sent(again, NOW + DAY_MS)) == [
        ["p/finding:trains_too_often#1", "p/finding:silent#1"],
        ["p/run:r1#1", "p/run:r2#1"],
    ]


def test_the_end_of_a_finding_that_lasts_for_months_is_sent() -> None:
    """A mailbox forgets flags by then, and everything that has ended."""
    box = mailbox(min_hold_seconds=0)
    for each in (record(), finding(), finding(pipeline="q")):
        box.accept(each, True, NOW, NOW)
    sent(box, NOW)
    box.accept(finding(2, Change.RESOLVED, pipeline="q"), True, NOW, NOW)
    sent(box, NOW)
    later_ms = NOW + 90 * DAY_MS
    box.forget(later_ms)
    box.accept(finding(2, Change.RESOLVED), True, later_ms, later_ms)

    assert set(box.flags) == {finding().subject}
    assert sent(box, later_ms) == [[finding(2).id]]


def test_whoever_asks_for_the_end_alone_is_sent_it() -> None:
    """Types of flags do not count for findings."""
    given = {"id": "s", "name": "s", "owner": "ann", "sink": {"kind": "kafka", "topic": "t"}}
    box = Mailbox(make_subscription({**given, "types": ["raised", "finding.resolved"]}))
    box.accept(finding(2, Change.RESOLVED), True, NOW, NOW)

    assert sent(box, NOW) == [[finding(2).id]]


def test_a_preview_counts_findings() -> None:
    """Beside flags, whose compute it adds up."""
    draft = make_subscription(
        {"id": "d", "name": "d", "owner": "ann", "sink": {"kind": "kafka", "topic": "t"}, "types": list(EventType)}
    )
    history = [
        (NOW, record()),
        (NOW, finding()),
        (NOW + HOUR, finding(2, Change.REVISED)),
        (NOW + HOUR, finding(pipeline="q")),
    ]
    made = preview(draft, history, lambda _: 2.5)

    assert (made.messages, made.flags, made.findings, made.node_hours, made.money) == (4, 1, 2, 10.0, 25.0)
