"""What a finding says, in words: the values that templates may name, and the default templates."""

from __future__ import annotations

from typing import Any

from stream_app.alerts.findings import FindingRecord
from stream_app.figures.findings_wording import advice, sentence, title
from stream_app.figures.numbers import cost

TITLE = (
    "{{ name }}{% if change == 'resolved' %} (resolved){% elif cost_a_month %}: {{ cost_a_month }} a month{% endif %}"
)
TEXT = (
    "{% if change == 'resolved' %}This does not hold any more. Before: {{ what }}"
    "{% else %}"
    "{{ what }}"
    "{% if cost_a_month %}\nIt costs {{ cost_a_month }} a month, {{ cost }} so far.{% endif %}\n"
    "What to do: {{ act }}.\n"
    "The last trainings behind it: {{ trainings | join(', ') }}."
    "{% endif %}"
    "{% if owner %}\nOwner: {{ owner }}.{% endif %}"
    "{% if link %}\n{{ link }}{% endif %}"
)


def finding_values(record: FindingRecord, currency: str, link: str) -> dict[str, Any]:
    """What a finding has of what a template may name, by name.

    Parameters
    ----------
    record
        The record.
    currency
        The currency's code of ISO 4217.
    link
        The address of the finding's page; "" for none.
    """
    words = title(record)
    return {
        "finding": record.finding,
        "kind": record.kind,
        "change": record.change.value,
        "pipeline": record.pipeline,
        "name": f"{record.pipeline}: {words[:1].lower()}{words[1:]}",
        "owner": record.owner,
        "labels": dict(record.labels),
        "what": sentence(record),
        "act": advice(record),
        "cost": cost(record.cost, record.cost_money, currency),
        "cost_a_month": cost(record.cost_a_month, record.money_a_month, currency) if record.cost else "",
        "since": record.since,
        "trainings": [" ".join(each.split()) for each in record.graphlets],
        "link": link,
    }
