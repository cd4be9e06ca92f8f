"""The texts of messages: a flag or finding in words, by default templates or by those of a subscription."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from stream_app.alerts import finding_texts
from stream_app.alerts.examples import example_records
from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.flags import FlagOutcome, FlagRecord
from stream_app.alerts.links import LinksOf
from stream_app.alerts.records import FLAG_TYPES, AlertRecord, EventType, noun_of, type_of
from stream_app.alerts.subscriptions import OwnText, SubscriptionError
from stream_app.alerts.templates import LISTS, NAMES, TEXT_MAX, TemplateError, compiled, rendered
from stream_app.core.decisions.policy import ENFORCE
from stream_app.figures.numbers import budget_name, cost, percent, plural
from stream_app.figures.wording import CAUSES, GUARDS, reason_name
from stream_app.times import time_to_text

#: Characters of a title, and of a value that a template may name; entries of a list that it may name.
TITLE_MAX, VALUE_MAX, LIST_MAX = 300, 2_000, 50
#: Records that one text tells in full; of the others the number.
RECORDS_MAX = 20
_MINUTE_MS = 60_000

#: Prices compute: node-seconds and a record to money, None where no price is known.
MoneyOf = Callable[[FlagRecord, float], float | None]

TITLE = (
    "{% if change == 'resolved' %}{{ name }} {{ ended }}"
    "{% elif change == 'withdrawn' %}{{ name }} is no longer flagged"
    "{% elif change == 'due' %}{{ name }} may be stopped now"
    "{% elif change == 'reminded' and stop_after %}{{ name }} will be stopped after {{ stop_after }} unless it is kept"
    "{% elif change == 'reminded' %}Second warning: {{ name }} will probably not be pushed ({{ p_push }} likely)"
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
    "{% if keep_link %}\nKeep it: {{ keep_link }}\nProlong it by a day: {{ prolong_link }}"
    "\nThe flag is wrong: {{ wrong_link }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Text:
    """A message in words.

    Parameters
    ----------
    title
        One line.
    body
        Lines of plain text.
    fault
        Why templates of the subscription were not used; "" where they were, or there are none.
    """

    title: str
    body: str
    fault: str = ""


class Texts:
    """Writes the texts of messages.

    Parameters
    ----------
    money_of
        Prices node-seconds.
    currency
        The currency's code of ISO 4217.
    link
        The address of a page about a flag or finding, with `{flag}` for its id; "" for none.
    links_of
        Makes the links by which people act.
    """

    def __init__(
        self,
        money_of: MoneyOf = lambda _, __: None,
        currency: str = "USD",
        link: str = "",
        links_of: LinksOf = lambda *_: {},
    ) -> None:
        self._money_of = money_of
        self._currency = currency
        self._link = link
        self._links_of = links_of

    def links(self, records: Sequence[AlertRecord], subscription: str) -> dict[str, Mapping[str, str]]:
        """The links of a message of a subscription, by the id of the record and the name of the act."""
        return {each.id: found for each in records if (found := self._links_of(each, subscription))}

    def of(
        self,
        records: Sequence[AlertRecord],
        own: OwnText | None = None,
        links: Mapping[str, Mapping[str, str]] = MappingProxyType({}),
    ) -> Text:
        """The text of a message.

        Parameters
        ----------
        records
            The records of the message, one or more.
        own
            The templates of the subscription; None: it has none.
        links
            The links by which people act, by the id of the record and the name of the act.

        Returns
        -------
        Text
            Of one record its title and text; of several their number, and each title with its text. Where a template
            of the subscription fails or writes nothing, the text is the default, and `fault` says why.
        """
        written = [self._one(record, own or _NONE, links.get(record.id, {})) for record in records[:RECORDS_MAX]]
        if len(records) == 1:
            return written[0]
        noun = noun_of(records[0])
        parts = _whole([f"{each.title}\n{each.body}" for each in written])
        if len(records) > len(parts):
            parts.append(f"and {plural(len(records) - len(parts), f'more {noun}')}")
        pipelines = sorted({record.pipeline for record in records})
        where = pipelines[0] if len(pipelines) == 1 else plural(len(pipelines), "pipeline")
        title = _line(f"{plural(len(records), noun)} of {where}")
        fault = next((each.fault for each in written if each.fault), "")
        return Text(title, _bounded("\n\n".join(parts)), fault)

    def _one(self, record: AlertRecord, own: OwnText, links: Mapping[str, str]) -> Text:
        values = self.values(record, links)
        made, faults = {}, []
        defaults = (TITLE, TEXT)
        if isinstance(record, FindingRecord):
            defaults = (finding_texts.TITLE, finding_texts.TEXT)
        for name, default in zip(("title", "body"), defaults, strict=True):
            template = getattr(own, name)
            try:
                made[name] = rendered(template, values).strip() if template is not None else ""
            except TemplateError as error:
                faults.append(f"text.{name}: {error}")
            made[name] = made.get(name) or rendered(default, values)
        return Text(_line(made["title"]), _bounded(made["body"]), "; ".join(faults))

    def link_of(self, record: AlertRecord) -> str:
        """The address of the page about a flag or finding; "" for none."""
        return self._link.replace("{flag}", record.subject)

    def values(self, record: AlertRecord, links: Mapping[str, str] = MappingProxyType({})) -> dict[str, Any]:
        """What a template may name, by name.

        Parameters
        ----------
        record
            The record.
        links
            The links by which people act, by the name of the act.

        Returns
        -------
        dict
            `templates.NAMES`: texts, but for `labels` (name to text) and those of `templates.LISTS` (lists of texts).
            What the record has not is empty.
        """
        link = self.link_of(record)
        if isinstance(record, FindingRecord):
            values = finding_texts.finding_values(record, self._currency, link)
        else:
            values = self._flag_values(record, link) | {f"{act}_link": url for act, url in links.items()}
        return {name: _short(values.get(name, [] if name in LISTS else "")) for name in NAMES}

    def _flag_values(self, record: FlagRecord, link: str) -> dict[str, Any]:
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
            "stop_after": time_in_words(record.stop_ms) if record.stop_ms is not None else "",
            "keep": "tag the run, or its training, with the property `keep` = true.",
            "outcome": _outcome(record),
            "ended": _ENDED.get(record.outcome, "") if record.outcome is not None else "",
            "cause": GUARDS.get(record.cause or "", CAUSES.get(record.cause or "", record.cause or "")),
            "budget": budget_name(record.budget),
            "link": link,
        }

    def _priced(self, record: FlagRecord, node_seconds: float) -> str:
        return cost(node_seconds, self._money_of(record, node_seconds), self._currency)


def check_text(own: OwnText | None, types: Collection[EventType] = FLAG_TYPES) -> None:
    """Checks the templates of a subscription, by what they write of examples of every change of flags or findings.

    Parameters
    ----------
    own
        The templates; None: there are none.
    types
        What the subscription asks for: its templates are tried with these.

    Raises
    ------
    SubscriptionError
        One cannot be used; the error names it.
    """
    if own is None:
        return
    texts = Texts(lambda _, __: 1.0, link="https://example.com/flags/{flag}")
    for name, most in (("title", TITLE_MAX), ("body", TEXT_MAX)):
        template = getattr(own, name)
        if template is None:
            continue
        try:
            compiled(template)
        except TemplateError as error:
            raise SubscriptionError(f"text.{name}", str(error)) from None
        for what, record in example_records():
            if type_of(record) not in types:
                continue
            try:
                length = len(rendered(template, texts.values(record, _EXAMPLE_LINKS)).strip())
            except TemplateError as error:
                raise SubscriptionError(f"text.{name}", f"{error} (tried with {what})") from None
            if length > most:
                raise SubscriptionError(f"text.{name}", f"it writes over {most:,} characters (tried with {what})")


def _name(record: FlagRecord) -> str:
    if record.run is not None:
        return f"Run {record.run} of {record.pipeline}"
    names = [each.job or each.trainer or each.graphlet for each in record.graphlets[:1]]
    return f"Training {', '.join(names)} of {record.pipeline}"


def time_in_words(time_ms: int) -> str:
    """A time as people read it, to the minute that has begun by then.

    Parameters
    ----------
    time_ms
        In ms since 1970 UTC.

    Examples
    --------
    >>> time_in_words(1_772_373_900_001)
    '2026-03-01 14:06 UTC'
    """
    minute = -(-time_ms // _MINUTE_MS) * _MINUTE_MS
    return f"{time_to_text(minute)[:16].replace('T', ' ')} UTC"


def _consequence(record: FlagRecord) -> str:
    if record.mode != ENFORCE:
        return "nothing; the detector observes and stops no run."
    if record.ladder and record.stop_ms is None:
        return "nothing; the run is warned of, and not stopped."
    hours = f", but not within {record.exempt_hours}" if record.exempt_hours else ""
    if record.stop_ms is not None and record.stop_ms > record.time_ms:
        return f"it is stopped after {time_in_words(record.stop_ms)} unless it is kept{hours}."
    return f"a pipeline that asks whether to go on is told to stop{hours}."


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
        FlagOutcome.OVERRIDDEN: "The flag is over: somebody has decided that the run goes on.",
    }[record.outcome]


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_MAX else f"{line[: TITLE_MAX - 1]}…"


def _bounded(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _whole(parts: Sequence[str]) -> list[str]:
    """The first parts, of which none is cut; the first one in any case."""
    found: list[str] = []
    length = 0
    for part in parts:
        length += len(part) + 2
        if found and length > TEXT_MAX - _MORE:
            break
        found.append(part)
    return found


def _short(value: Any) -> Any:
    """A value that is short, so that no template makes much of it."""
    if isinstance(value, list):
        return [_short(each) for each in value[:LIST_MAX]]
    if isinstance(value, dict):
        return {name[:VALUE_MAX]: _short(each) for name, each in value.items()}
    return value if len(value) <= VALUE_MAX else f"{value[: VALUE_MAX - 1]}…"


_NONE = OwnText()
#: Characters of the line with the number of records that a text does not tell.
_MORE = 100
_EXAMPLE_LINKS = {act: f"https://example.com/v1/act?link={act}" for act in ("keep", "prolong", "wrong")}
