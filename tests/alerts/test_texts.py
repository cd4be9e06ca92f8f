"""Messages in words: what they say of each change, and templates that can do no harm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from stream_app.alerts.flags import Change, FlagOutcome
from stream_app.alerts.texts import (
    RECORDS_MAX,
    TEMPLATE_MAX,
    TEXT,
    TEXT_MAX,
    TITLE,
    TITLE_MAX,
    TemplateError,
    Texts,
    compiled,
)
from stream_app.core.outputs import Reason
from stream_app.figures.wording import GUARDS
from tests.alerts.records import record


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
        (FlagOutcome.OVERRIDDEN, "Run r1 of p is kept", "tagged the run `keep`"),
    ],
)
def test_an_end_says_how(outcome: FlagOutcome, title: str, says: str) -> None:
    """Each outcome in its own words; a correction says that it is one."""
    text = Texts().of([record(2, Change.RESOLVED, outcome=outcome)])

    assert text.title == title
    assert says in text.body
    if outcome is not FlagOutcome.OVERRIDDEN:
        assert "A correction: it" in Texts().of([record(2, Change.RESOLVED, outcome=outcome, correction=True)]).body


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


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("{{", "line 1"),
        ("{% if %}", "line 1"),
        ("\n\n{{ a b }}", "line 3"),
        ("{% for x in jobs %}", "line 1"),
        ("{{ 1 + 1 }}", "Add is not allowed"),
        ("{{ 'a' * 1000000000 }}", "Mul is not allowed"),
        ("{{ 10 ** 10 ** 10 }}", "Pow is not allowed"),
        ("{{ name() }}", "Call is not allowed"),
        ("{{ name.upper() }}", "Call is not allowed"),
        ("{{ range(10) }}", "Call is not allowed"),
        ("{{ [1] }}", "List is not allowed"),
        ("{{ {} }}", "Dict is not allowed"),
        ("{{ name[1:] }}", "Slice is not allowed"),
        ("{{ name is string }}", "Test is not allowed"),
        ("{% set a = 1 %}", "Assign is not allowed"),
        ("{% macro a() %}{% endmacro %}", "Macro is not allowed"),
        ("{% include 'a' %}", "Include is not allowed"),
        ("{% import 'a' as b %}", "Import is not allowed"),
        ("{% extends 'a' %}", "Extends is not allowed"),
        ("{% block a %}{% endblock %}", "Block is not allowed"),
        ("{% filter upper %}a{% endfilter %}", "FilterBlock is not allowed"),
        ("{{ name | attr('x') }}", "filter"),
        ("{{ name | map('upper') }}", "filter"),
        ("{{ name | center(100000000) }}", "filter"),
        ("{% for a in jobs %}{% for b in jobs %}{% endfor %}{% endfor %}", "a loop within a loop"),
        ("{% for a in jobs %}{% if a %}{% for b in jobs %}{% endfor %}{% endif %}{% endfor %}", "a loop within a loop"),
        ("{% for a in jobs recursive %}{% endfor %}", "a loop within a loop"),
        ("a" * (TEMPLATE_MAX + 1), "at most 4,000 characters"),
        ("{{ " + "(" * 1_900 + "a" + ")" * 1_900 + " }}", "nested"),
        ("{{ " + "not " * 900 + "a }}", "nested"),
        ("{% if name %}" * 150 + "{% endif %}" * 150, "nested"),
        ("{{ name" + ".a" * 1_900 + " }}", "nested"),
        ("{{ name" + " ~ name" * 500 + " }}", ""),
    ],
)
def test_a_template_can_do_no_harm(template: str, says: str) -> None:
    """It is refused with the line and the reason, or does little."""
    if not says:
        assert compiled(template)
        return
    with pytest.raises(TemplateError) as error:
        Texts().of([record()], title=template)

    assert says in str(error.value)


@pytest.mark.parametrize(
    "template",
    ["{{ missing }}", "{{ name.__class__.__mro__ }}", "{{ labels.nothing.more }}", "{{ p_push | round }}",
     "{% for x in missing %}{% endfor %}", "{{ name < 3 }}", "{{ jobs[9] }}"],
)  # fmt: skip
def test_a_template_that_fails_says_so(template: str) -> None:
    """When it is filled in; the error is one for people."""
    with pytest.raises(TemplateError, match=r"^(UndefinedError|SecurityError|TypeError|ValueError): "):
        Texts().of([record()], title=template)


@pytest.mark.parametrize(
    ("template", "gives"),
    [
        ("{{ pipeline | upper }} {{ run }}", "P r1"),
        ("{% for reason in reasons %}- {{ reason }}{% endfor %}", "- 19 runs since the last push (against a push)"),
        ("{% if labels.team == 'ads' and owner %}{{ owner | title }}{% else %}nobody{% endif %}", "Ann"),
        ("{{ labels['none'] | default('-') }}", "-"),
        ("{{ jobs | join(', ') }} {{ jobs | length }}", "t 1"),
    ],
)
def test_a_template_may_name_what_there_is(template: str, gives: str) -> None:
    """Compare it, and use the filters."""
    assert Texts().of([record()], title=template).title == gives


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
        check(Texts().values(record(2, change)))
    assert compiled(TITLE)
    assert compiled(TEXT)
