"""The sandbox of templates: they read what there is, do no harm, and end soon."""

from __future__ import annotations

import pytest

from stream_app.alerts.templates import TEMPLATE_MAX, TEXT_MAX, TemplateError, compiled, rendered
from stream_app.alerts.texts import Texts
from tests.alerts.records import record


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
        ("{{ missing }}", "there is no value 'missing'; there are flag, change, "),
        ("{% for x in missing %}{% endfor %}", "there is no value 'missing'"),
        ("{{ loop }}", "there is no value 'loop'"),
        ("{{ _work }}", "there is no value '_work'"),
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
        rendered(template, Texts().values(record()))

    assert says in str(error.value)


@pytest.mark.parametrize(
    "template",
    ["{{ name.upper }}", "{{ name.__class__.__mro__ }}", "{{ labels.keys.x }}", "{{ jobs.append }}",
     "{{ name[0] }}", "{{ labels.nothing.more }}", "{{ p_push | round }}",
     "{{ name['upper'] }}", "{% for x in jobs %}{{ loop.cycle }}{% endfor %}", "{{ name < 3 }}", "{{ jobs[9] }}"],
)  # fmt: skip
def test_a_template_that_fails_says_so(template: str) -> None:
    """When it is filled in; the error is one for people."""
    with pytest.raises(TemplateError, match=r"^(UndefinedError|SecurityError|TypeError|ValueError): "):
        rendered(template, Texts().values(record()))


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
    assert rendered(template, Texts().values(record())) == gives


@pytest.mark.parametrize(
    "template",
    [
        "{{ jobs | join(" * 60 + "'a'" + ")" * 60 + " }}",
        "{{ jobs" + " | join('" + "a" * 1_900 + "') ~ name" * 2 + " }}",
        "{{ labels | join(labels | join('" + "a" * 3_000 + "')) }}",
        "{% for a in name %}{% endfor %}" * 100,
        "{% for a in name %}{{ a | upper | lower | title | trim }}{% endfor %}" * 50,
        "{% for a in name %}{% if a == name ~ name ~ name ~ name %}{% endif %}{% endfor %}" * 40,
        "{% for a in jobs %}" + "{% if 'ooo' in name %}{% endif %}" * 90 + "{% endfor %}",
        "{% for a in jobs if a == name ~ name %}{% endfor %}" * 40,
        "{% for _work in jobs %}{% if _work == name ~ name %}{% endif %}{% endfor %}" * 40,
    ],
)  # fmt: skip
def test_what_a_template_does_is_bounded(template: str) -> None:
    """It is counted, not timed: it is refused on a fast machine and on a slow one."""
    long = {name: value * 50 if isinstance(value, list) else value for name, value in Texts().values(record()).items()}
    long["name"] = "n" * 2_000
    long["labels"] = {f"label-{number}": "v" * 100 for number in range(100)}
    with pytest.raises(TemplateError):
        rendered(template, long)


def test_what_a_template_writes_is_bounded() -> None:
    """It ends as soon as the text is too long."""
    values = {**Texts().values(record()), "name": "n" * 2_000}

    assert TEXT_MAX < len(rendered("{{ name }}" * 300, values)) <= TEXT_MAX + 2_000


def test_a_label_that_is_not_there_is_empty() -> None:
    """Labels differ by run; those with the names of methods are labels too."""
    values = {**Texts().values(record()), "labels": {"keys": "k", "team": "ads"}}

    assert rendered("[{{ labels.none }}] {{ labels.keys }} {{ labels['team'] }}", values) == "[] k ads"
    assert rendered("{{ labels.none | default('-') }}{% for a in labels.none %}x{% endfor %}", values) == "-"


def test_a_loop_knows_where_it_is() -> None:
    """For lists with commas in between."""
    values = {**Texts().values(record()), "jobs": ["a", "b", "c"]}
    template = "{% for job in jobs %}{{ loop.index }}/{{ loop.length }} {{ job }}{% if not loop.last %}, {% endif %}"

    assert rendered(template + "{% endfor %}", values) == "1/3 a, 2/3 b, 3/3 c"
