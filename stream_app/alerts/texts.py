"""The texts of messages: what a flag says, in words, and the sandbox in which the templates of users run.

A template is a line of text with `{{ ... }}`, `{% if %}` and `{% for %}` of Jinja. It may name the values that `values`
gives, compare them, and use a few filters; calls, arithmetic and nested loops are refused, since a template is written
by whoever may subscribe and must cost next to nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from stream_app.alerts.flags import FlagOutcome, FlagRecord
from stream_app.core.decisions.policy import ENFORCE
from stream_app.figures.numbers import budget_name, cost, percent, plural
from stream_app.figures.wording import CAUSES, GUARDS, reason_name

#: Characters of a template, of a title, and of a text.
TEMPLATE_MAX, TITLE_MAX, TEXT_MAX = 4_000, 300, 12_000
#: Records that one text tells in full; of the others the number.
RECORDS_MAX = 20

#: Prices compute: node-seconds and a record to money, None where no price is known.
MoneyOf = Callable[[FlagRecord, float], float | None]

_NODES = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Const, nodes.If,
    nodes.For, nodes.Filter, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr,
    nodes.Concat, nodes.Keyword,
)  # fmt: skip
_FILTERS = ("capitalize", "default", "first", "join", "last", "length", "lower", "round", "title", "trim", "upper")

TITLE = (
    "{% if change == 'resolved' %}{{ name }} {{ ended }}"
    "{% elif change == 'withdrawn' %}{{ name }} is no longer flagged"
    "{% else %}{{ name }} will probably not be pushed ({{ p_push }} likely){% endif %}"
)
TEXT = (
    "{% if change == 'resolved' %}{{ outcome }}"
    "{% elif change == 'withdrawn' %}The flag was withdrawn: {{ cause }}."
    "{% else %}"
    "Why: {{ reasons | join('; ') | default('the model names no reason', true) }}.\n"
    "Used so far: {{ cost }}. Still ahead: {{ cost_left }}.\n"
    "What will happen: {{ consequence }}\n"
    "To keep it: {{ keep }}"
    "{% endif %}"
    "{% if owner %}\nOwner: {{ owner }}.{% endif %}"
    "{% if link %}\n{{ link }}{% endif %}"
)


class TemplateError(ValueError):
    """A template cannot be used. The message says why."""


@dataclass(frozen=True, slots=True)
class Text:
    """A message in words.

    Parameters
    ----------
    title
        One line.
    body
        Lines of plain text.
    """

    title: str
    body: str


class Texts:
    """Writes the texts of messages.

    Parameters
    ----------
    money_of
        Prices node-seconds.
    currency
        The currency's code of ISO 4217.
    link
        The address of a flag's page, with `{flag}` for its id; "" for none.
    """

    def __init__(self, money_of: MoneyOf = lambda _, __: None, currency: str = "USD", link: str = "") -> None:
        self._money_of = money_of
        self._currency = currency
        self._link = link

    def of(self, records: Sequence[FlagRecord], title: str = TITLE, text: str = TEXT) -> Text:
        """The text of a message.

        Parameters
        ----------
        records
            The records of the message, one or more.
        title, text
            Templates.

        Returns
        -------
        Text
            Of one record its title and text; of several their number, and each title with its text.

        Raises
        ------
        TemplateError
            A template cannot be used.
        """
        written = [self._one(record, title, text) for record in records[:RECORDS_MAX]]
        if len(records) == 1:
            return written[0]
        parts = [f"{each.title}\n{each.body}" for each in written]
        if len(records) > RECORDS_MAX:
            parts.append(f"and {plural(len(records) - RECORDS_MAX, 'more flag')}")
        pipelines = sorted({record.pipeline for record in records})
        where = pipelines[0] if len(pipelines) == 1 else plural(len(pipelines), "pipeline")
        return Text(_line(f"{plural(len(records), 'flag')} of {where}"), _bounded("\n\n".join(parts)))

    def _one(self, record: FlagRecord, title: str, text: str) -> Text:
        values = self.values(record)
        return Text(_line(_rendered(title, values)), _bounded(_rendered(text, values)))

    def values(self, record: FlagRecord) -> dict[str, Any]:
        """What a template may name, by name.

        Parameters
        ----------
        record
            The record.

        Returns
        -------
        dict
            `flag`, `change`, `pipeline`, `run`, `name`, `owner`, `labels`, `stage`, `jobs`, `p_push`, `reasons`,
            `cost`, `cost_left`, `consequence`, `keep`, `outcome`, `ended`, `cause`, `budget`, `link`: texts, but for
            `labels` (name to text) and `reasons` and `jobs` (lists of texts).
        """
        first = record.graphlets[0] if record.graphlets else None
        return {
            "flag": record.flag,
            "change": record.change.value,
            "pipeline": record.pipeline,
            "run": record.run or "",
            "name": _name(record),
            "owner": record.owner,
            "labels": dict(record.labels),
            "stage": first.stage if first is not None else "",
            "jobs": [each.job or each.trainer or each.graphlet for each in record.graphlets],
            "p_push": percent(record.p_push),
            "reasons": [reason_name(reason) for reason in first.reasons] if first is not None else [],
            "cost": self._priced(record, record.cost),
            "cost_left": self._priced(record, record.cost_left),
            "consequence": _consequence(record),
            "keep": "tag the run, or its training, with the property `keep` = true.",
            "outcome": _outcome(record),
            "ended": _ENDED.get(record.outcome, "") if record.outcome is not None else "",
            "cause": GUARDS.get(record.cause or "", CAUSES.get(record.cause or "", record.cause or "")),
            "budget": budget_name(record.budget),
            "link": self._link.replace("{flag}", record.flag) if self._link else "",
        }

    def _priced(self, record: FlagRecord, node_seconds: float) -> str:
        return cost(node_seconds, self._money_of(record, node_seconds), self._currency)


@lru_cache(maxsize=2_000)
def compiled(template: str) -> jinja2.Template:
    """A template that was checked.

    Parameters
    ----------
    template
        Its source.

    Returns
    -------
    jinja2.Template

    Raises
    ------
    TemplateError
        It is too long, cannot be read, or uses what the sandbox does not allow.
    """
    if len(template) > TEMPLATE_MAX:
        raise TemplateError(f"expected at most {TEMPLATE_MAX:,} characters")
    try:
        tree = _ENVIRONMENT.parse(template)
        _check(tree, loops=0)
        return _ENVIRONMENT.from_string(tree)
    except jinja2.TemplateSyntaxError as error:
        raise TemplateError(f"line {error.lineno}: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError):  # also those of the Python code that Jinja makes of it
        raise TemplateError("it is nested too deep") from None


def _check(node: nodes.Node, loops: int) -> None:
    for child in node.iter_child_nodes():
        if not isinstance(child, _NODES):
            raise TemplateError(f"line {child.lineno}: {type(child).__name__} is not allowed in a template")
        if isinstance(child, nodes.Filter) and child.name not in _FILTERS:
            raise TemplateError(f"line {child.lineno}: there is no filter {child.name!r}; there are {_FILTERS}")
        if isinstance(child, nodes.For) and (loops or child.recursive):
            raise TemplateError(f"line {child.lineno}: a loop within a loop is not allowed in a template")
        _check(child, loops + isinstance(child, nodes.For))


def _rendered(template: str, values: Mapping[str, Any]) -> str:
    try:
        return compiled(template).render(values)
    except TemplateError:
        raise
    except Exception as error:  # whatever a template does with values of other types
        raise TemplateError(f"{type(error).__name__}: {error}") from None


def _name(record: FlagRecord) -> str:
    if record.run is not None:
        return f"Run {record.run} of {record.pipeline}"
    names = [each.job or each.trainer or each.graphlet for each in record.graphlets[:1]]
    return f"Training {', '.join(names)} of {record.pipeline}"


def _consequence(record: FlagRecord) -> str:
    if record.mode == ENFORCE:
        return "a pipeline that asks whether to go on is told to stop."
    return "nothing; the detector observes and stops no run."


_ENDED: Mapping[FlagOutcome, str] = {
    FlagOutcome.PUSHED: "was pushed",
    FlagOutcome.NOT_PUSHED: "was not pushed",
    FlagOutcome.PRUNED: "was stopped",
    FlagOutcome.UNKNOWN: "has ended",
    FlagOutcome.OVERRIDDEN: "is kept",
}


def _outcome(record: FlagRecord) -> str:
    if record.outcome is None:
        return ""
    cause = CAUSES.get(record.cause or "", record.cause or "")
    begin = "A correction: it" if record.correction else "It"
    return {
        FlagOutcome.PUSHED: f"{begin} ran on and was pushed: the flag was wrong.",
        FlagOutcome.NOT_PUSHED: f"{begin} ran on and was not pushed: {cause}.",
        FlagOutcome.PRUNED: f"{begin} was stopped because of the flag.",
        FlagOutcome.UNKNOWN: f"{begin} ran on; whether it was pushed is not known.",
        FlagOutcome.OVERRIDDEN: "The flag is over: somebody tagged the run `keep`.",
    }[record.outcome]


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_MAX else f"{line[: TITLE_MAX - 1]}…"


def _bounded(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(autoescape=False, undefined=jinja2.StrictUndefined)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    environment.tests.clear()
    return environment


_ENVIRONMENT = _environment()
