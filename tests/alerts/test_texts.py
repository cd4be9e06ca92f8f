"""Messages in words: what they say of each change, and templates that can do no harm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stream_app.alerts.flags import Change, FlagOutcome, FlagRecord
from stream_app.alerts.subscriptions import OwnText, SubscriptionError
from stream_app.alerts.templates import NAMES, TEXT_MAX, compiled
from stream_app.alerts.texts import (
    LIST_MAX,
    RECORDS_MAX,
    TEXT,
    TITLE,
    TITLE_MAX,
    VALUE_MAX,
    Texts,
    check_text,
    time_in_words,
)
from stream_app.core.outputs import Reason
from stream_app.core.units import HOUR_MS
from stream_app.figures.wording import GUARDS
from tests.alerts.records import NOW, record


def test_a_raised_flag_says_why_what_it_costs_and_what_to_do() -> None:
    """In observe nothing happens, and the text says so."""
    text = Texts(lambda _, seconds: seconds / 3600 * 2.5, "EUR", "https://e.org/flags/{flag}").of([record()])

    assert text.title == "Run r1 of p will probably not be pushed (2.0 % likely)"
    assert text.body.splitlines() == [
        "Why: 19 runs since the last push (against a push).",
        "Used so far: 1 node-hours (2.50 EUR). Still ahead: 10 node-hours (25.00 EUR).",
        "What will happen: nothing; the detector observes and stops no run.",
        "To keep it: tag the run, or its training, with the property `keep` = true.",
        "Owner: ann.",
        "https://e.org/flags/p/run:r1",
    ]


def test_where_flags_are_enforced_the_text_says_so() -> None:
    """Whoever reads it must know that something will be stopped."""
    assert "is told to stop" in Texts().of([record(mode="enforce")]).body


def test_what_is_not_known_is_left_out() -> None:
    """Neither empty lines nor None."""
    bare = replace(record(owner="").graphlets[0], reasons=(), job=None)
    text = Texts().of([record(owner="", graphlets=(bare,))])

    assert "the model names no reason" in text.body
    assert "Owner" not in text.body
    assert "None" not in text.title + text.body
    assert all(text.body.splitlines())


@pytest.mark.parametrize(
    ("outcome", "title", "says"),
    [
        (FlagOutcome.PUSHED, "Run r1 of p was pushed", "the flag was wrong"),
        (FlagOutcome.NOT_PUSHED, "Run r1 of p was not pushed", "run ended without a push"),
        (FlagOutcome.PRUNED, "Run r1 of p was stopped", "because of the flag"),
        (FlagOutcome.UNKNOWN, "Run r1 of p has ended", "is not known"),
        (FlagOutcome.OVERRIDDEN, "Run r1 of p is kept", "has decided that the run goes on"),
    ],
)
def test_an_end_says_how(outcome: FlagOutcome, title: str, says: str) -> None:
    """Each outcome in its own words; a correction says that it is one."""
    text = Texts().of([record(2, Change.RESOLVED, outcome=outcome)])

    assert text.title == title
    assert says in text.body
    if outcome is not FlagOutcome.OVERRIDDEN:
        assert "A correction: it" in Texts().of([record(2, Change.RESOLVED, outcome=outcome, correction=True)]).body


def climbing(change: Change, **ladder: object) -> FlagRecord:
    """A record of a flag in `enforce`, whose run is stopped after 22:26 UTC."""
    given_ = {"ladder": "act", "warn_again_ms": NOW + HOUR_MS, "stop_ms": NOW + 2 * HOUR_MS, **ladder}
    flagged = replace(record().graphlets[0], **given_)  # type: ignore[arg-type]
    return record(2, change, mode="enforce", graphlets=(flagged,), time_ms=NOW + HOUR_MS)


def test_a_second_warning_says_when_the_run_is_stopped_and_how_it_is_kept() -> None:
    """To the minute, rounded up: nothing is stopped before what was said."""
    text = Texts().of([climbing(Change.REMINDED)])

    assert text.title == "Run r1 of p will be stopped after 2026-05-28 22:27 UTC unless it is kept"
    assert "What will happen: it is stopped after 2026-05-28 22:27 UTC unless it is kept.\n" in text.body
    assert "To keep it: " in text.body
    assert time_in_words(NOW + 2 * HOUR_MS) == "2026-05-28 22:27 UTC"


@pytest.mark.parametrize(
    ("change", "ladder", "says"),
    [
        (Change.RAISED, {}, "it is stopped after 2026-05-28 22:27 UTC unless it is kept."),
        (
            Change.RAISED,
            {"exempt_hours": "22:00-06:00 UTC"},
            "it is stopped after 2026-05-28 22:27 UTC unless it is kept, but not within 22:00-06:00 UTC.",
        ),
        (Change.RAISED, {"stop_ms": NOW}, "a pipeline that asks whether to go on is told to stop."),
        (Change.DUE, {"stop_ms": NOW}, "a pipeline that asks whether to go on is told to stop."),
        (Change.RAISED, {"ladder": "warn", "stop_ms": None}, "nothing; the run is warned of, and not stopped."),
        (Change.REMINDED, {"ladder": "warn_twice", "stop_ms": None}, "nothing; the run is warned of, and not stopped."),
        (Change.RAISED, {"ladder": "", "stop_ms": None}, "a pipeline that asks whether to go on is told to stop."),
    ],
)
def test_a_message_says_what_follows(change: Change, ladder: dict[str, object], says: str) -> None:
    """By the ladder of the run; of a verdict of an earlier release there is none."""
    (line,) = (each for each in Texts().of([climbing(change, **ladder)]).body.splitlines() if "happen:" in each)
    assert line == f"What will happen: {says}"


@pytest.mark.parametrize(
    ("made", "title"),
    [
        (climbing(Change.DUE), "Run r1 of p may be stopped now"),
        (
            climbing(Change.REMINDED, stop_ms=None),
            "Second warning: Run r1 of p will probably not be pushed (2.0 % likely)",
        ),
    ],
)
def test_the_steps_of_a_ladder_have_titles_of_their_own(made: FlagRecord, title: str) -> None:
    """Nobody takes a second warning for the first."""
    assert Texts().of([made]).title == title


@pytest.mark.parametrize("cause", [*GUARDS, "something-new"])
def test_a_withdrawal_says_why(cause: str) -> None:
    """In words where there are some."""
    text = Texts().of([record(2, Change.WITHDRAWN, cause=cause)])

    assert text.title == "Run r1 of p is no longer flagged"
    assert text.body.startswith("The flag was withdrawn: ")
    assert "_" not in text.body.splitlines()[0]


def test_a_training_without_a_run_is_named_by_its_job() -> None:
    """Or by its id."""
    one = record(flag="p/t", run=None).graphlets[0]

    assert Texts().of([record(flag="p/t", run=None)]).title.startswith("Training t of p ")
    named = record(flag="p/t", run=None, graphlets=(replace(one, job="fit"),))
    assert Texts().of([named]).title.startswith("Training fit of p ")
    assert Texts().of([record(flag="p/t", run=None, graphlets=())]).title


def test_several_flags_are_one_text() -> None:
    """With their number, and no more than a person reads."""
    many = [record(flag=f"p/run:{n}") for n in range(RECORDS_MAX + 2)]

    assert Texts().of(many[:2]).title == "2 flags of p"
    assert Texts().of([many[0], record(pipeline="q")]).title == "2 flags of 2 pipelines"
    assert Texts().of(many).body.endswith("and 2 more flags")


def test_texts_are_bounded() -> None:
    """Whatever runs are called; a title is one line."""
    odd = record(run="a\nb" * 5_000, owner="o" * 50_000)
    text = Texts().of([odd, *[odd] * 30])
    single = Texts().of([odd])

    assert max(len(text.title), len(single.title)) <= TITLE_MAX
    assert max(len(text.body), len(single.body)) <= TEXT_MAX
    assert "\n" not in single.title


@pytest.mark.parametrize(
    "odd",
    ["{{ 7 * 7 }}", "{% for x in y %}", "{{ flag.__class__ }}", "{#", "%}", "<!channel>", "\x00", "\u202e", "\ud800"],
)
def test_names_are_no_templates(odd: str) -> None:
    """Whatever a run, an owner or a reason is called stands for itself."""
    reasons = (Reason(odd, 1.0, -0.5),)
    given = record(run=odd, owner=odd, graphlets=(replace(record().graphlets[0], reasons=reasons),))
    text = Texts().of([given])

    assert odd.strip() in text.title + text.body


def test_every_value_is_a_text_or_a_list_of_texts() -> None:
    """So that no template reaches an object of the program."""

    def check(value: Any) -> None:
        if isinstance(value, dict):
            for name, each in value.items():
                check([name, each])
        elif isinstance(value, list):
            for each in value:
                check(each)
        else:
            assert isinstance(value, str)

    for change in Change:
        values = Texts().values(record(2, change))
        check(values)
        assert tuple(values) == NAMES
    assert compiled(TITLE)
    assert compiled(TEXT)


def test_values_are_short() -> None:
    """Whatever runs are called and however many trainings they have."""
    many = tuple(replace(record().graphlets[0], job="j" * 9_000) for _ in range(LIST_MAX + 7))
    values = Texts().values(record(owner="o" * 9_000, labels={"n" * 9_000: "v" * 9_000}, graphlets=many))

    assert len(values["owner"]) == VALUE_MAX
    assert [len(each) for each in values["jobs"]] == [VALUE_MAX] * LIST_MAX
    assert [(len(name), len(value)) for name, value in values["labels"].items()] == [(VALUE_MAX, VALUE_MAX)]


# Words of one's own


def test_a_subscription_may_have_its_own_words() -> None:
    """Title, body or both; what it does not give is the default."""
    default = Texts().of([record()])
    title, body = "{{ pipeline }} of {{ labels.team }}", "  {{ cost_left }}\n{% if labels.none %}none{% endif %}\n"

    assert Texts().of([record()], OwnText(title=title)) == replace(default, title="p of ads")
    assert Texts().of([record()], OwnText(body=body)) == replace(default, body="10 node-hours")
    both = Texts().of([record()], OwnText(title=title, body=body))
    assert (both.title, both.body, both.fault) == ("p of ads", "10 node-hours", "")


def test_of_several_flags_each_has_the_own_words() -> None:
    """Below a title with their number, as without them."""
    text = Texts().of([record(), record(flag="p/run:r2")], OwnText(title="<{{ run }}>", body="- {{ owner }}"))

    assert (text.title, text.body) == ("2 flags of p", "<r1>\n- ann\n\n<r2>\n- ann")


@pytest.mark.parametrize("template", ["{{ reasons[7] }}", "{{ name < 3 }}", "{% for c in owner %}{{ c }}{% endfor %}"])
@pytest.mark.parametrize("name", ["title", "body"])
def test_a_template_that_fails_is_replaced_by_the_default(name: str, template: str) -> None:
    """That one alone, and the text says so; the other is used."""
    given, other = record(owner="ann" * 500), {"title": "body", "body": "title"}[name]
    text = Texts().of([given, record()], OwnText(**{name: template, other: "mine"}))
    single = Texts().of([given], OwnText(**{name: template, other: "mine"}))

    assert getattr(single, name) == getattr(Texts().of([given]), name)
    assert getattr(single, other) == "mine"
    assert single.fault.startswith(f"text.{name}: ")
    assert text.fault == single.fault
    assert getattr(single, name) in text.body


def test_a_template_that_writes_nothing_is_replaced_by_the_default() -> None:
    """So that a subscription may have words for some changes alone, and no title is empty."""
    own = OwnText(title="{% if change == 'raised' %}Up{% endif %}", body=" {{ outcome }} ")
    resolved = record(2, Change.RESOLVED)

    assert Texts().of([record()], own) == replace(Texts().of([record()]), title="Up")
    assert Texts().of([resolved], own).title == Texts().of([resolved]).title
    assert Texts().of([resolved], own).body == "It ran on and was not pushed: run ended without a push."


def test_own_words_are_bounded_and_a_title_is_one_line() -> None:
    """Whatever is in the values, nothing of a title can begin a further line or a header."""
    run = "r\r\nBcc: eve@example.com\u2028x\x0by\x1cz\x85" + "a" * 900
    text = Texts().of([record(run=run)], OwnText(title="{{ run }}\nX: y", body="{{ run }}" * 40))

    assert len(text.title.splitlines()) == 1
    assert text.title.startswith("r Bcc: eve@example.com x y z a")
    assert (len(text.title), len(text.body)) == (TITLE_MAX, TEXT_MAX)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{", "line 1: "),
        ("\n{% if name %}", "line 2: "),
        ("{{ nmae }}", "there is no value 'nmae'; there are flag, change, "),
        ("{{ run() }}", "Call is not allowed"),
        ("{{ run.__class__ }}", "UndefinedError: "),
        ("{{ run.upper }}", "UndefinedError: "),
        ("{{ labels.a.b }}", "UndefinedError: "),
        ("{{ p_push | round }}", "TypeError: "),
        ("{{ reasons[0] }}", "of a training without run, owner and reasons"),
        ("{% if change == 'resolved' %}{{ jobs[5] }}{% endif %}", "(tried with a flag that is resolved: pushed)"),
        ("{% if change == 'withdrawn' %}{{ jobs[5] }}{% endif %}", "(tried with a flag that is withdrawn)"),
        ("{% if change == 'revised' %}{{ jobs[5] }}{% endif %}", "(tried with a flag that is revised)"),
        ("{% if 'stopped' in ended %}{{ jobs[5] }}{% endif %}", "(tried with a flag that is resolved: pruned)"),
        ("{% if 'is kept' in ended %}{{ jobs[5] }}{% endif %}", "(tried with a flag that is resolved: overridden)"),
        ("{% for a in keep ~ keep ~ keep ~ keep ~ keep %}{% endfor %}", "it takes too long"),
        ("{% for a in keep %}{% if a == " + "keep ~ " * 20 + "a %}{% endif %}{% endfor %}", "it takes too long"),
        ("{{ jobs | join(jobs | join('" + "a" * 3_000 + "')) }}{{ keep | join }}", "join is for lists"),
        ("{% for a in keep %}" + "x" * 300 + "{% endfor %}", "it writes over "),
    ],
)
@pytest.mark.parametrize("name", ["title", "body"])
def test_a_template_that_cannot_be_used_is_refused_beforehand(name: str, template: str, says: str) -> None:
    """In one line that names the field, whichever change it fails with."""
    with pytest.raises(SubscriptionError) as error:
        check_text(OwnText(**{name: template}))

    assert error.value.field == f"text.{name}"
    assert says in error.value.reason
    assert len(str(error.value).splitlines()) == 1


def test_what_is_wrong_with_every_flag_is_blamed_on_none() -> None:
    """The template itself is wrong."""
    with pytest.raises(SubscriptionError, match=r"there is no value 'nmae'") as error:
        check_text(OwnText(title="{{ nmae }}"))

    assert "tried with" not in str(error.value)


def test_what_the_default_says_is_accepted() -> None:
    """And what has no words of its own."""
    check_text(OwnText(title=TITLE, body=TEXT))
    check_text(
        OwnText(title="{{ labels.any }}", body="{% for a in jobs %}{{ a }}{{ ', ' if not loop.last }}{% endfor %}")
    )
    check_text(OwnText())
    check_text(None)
