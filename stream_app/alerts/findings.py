"""The records of findings: waste and risks that plain rules see in a pipeline, as they are announced.

A record has values that `figures.findings_wording` makes words of, under the names that the figures of findings have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from stream_app.alerts.flags import Change
from stream_app.core.ids import pipeline_of_finding, verdict_id
from stream_app.errors import StateError
from stream_app.found import EffectFigures, Found
from stream_app.times import text_to_time, time_to_text

#: Graphlets that a record names, the last ones behind the finding: it has to fit into a row of a topic.
GRAPHLETS_MAX = 5


class FiguresOfFinding(Found, Protocol):
    """What a record takes of a finding: node-seconds, RFC 3339 times, money of the rate card."""

    @property
    def id(self) -> str: ...
    @property
    def pipeline(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def graphlets(self) -> Sequence[str]: ...
    @property
    def cost(self) -> float: ...
    @property
    def cost_money(self) -> float | None: ...
    @property
    def cost_a_month(self) -> float: ...


@dataclass(frozen=True, slots=True)
class FindingRecord:
    """A change of a finding.

    Parameters
    ----------
    finding
        The id of the finding.
    revision
        From 1, rising with each record of the finding.
    change
        What happened: raised, revised or resolved.
    kind, pipeline, owner
        The rule, the pipeline, and its owner; "" when it is not known.
    labels
        Texts among the properties of the pipeline's last training and its run.
    since, last
        Starts of the first and of the last training behind it, as RFC 3339 times.
    trainings, count
        Graphlets of the pipeline that are kept, and those behind the finding.
    graphlets
        The ids of the last of them, at most `GRAPHLETS_MAX`.
    cost, cost_money, cost_a_month
        Node-seconds, their price (None where it is not known), and node-seconds for 30 days.
    act, parameter, effect
        What is recommended, its k, and what it would have done.
    raised_ms
        When it was raised by the pipeline's clock, in ms since 1970 UTC.
    time_ms
        When this change was seen by the pipeline's clock, in ms since 1970 UTC.
    """

    finding: str
    revision: int
    change: Change
    kind: str
    pipeline: str
    owner: str
    labels: Mapping[str, str]
    since: str
    last: str
    trainings: int
    count: int
    graphlets: tuple[str, ...]
    cost: float
    cost_money: float | None
    cost_a_month: float
    act: str
    parameter: int | None
    effect: EffectFigures
    raised_ms: int
    time_ms: int

    @property
    def id(self) -> str:
        """The id of the record."""
        return verdict_id(self.finding, self.revision)

    @property
    def subject(self) -> str:
        """What the record is about: the id of the finding."""
        return self.finding

    @property
    def money_a_month(self) -> float | None:
        """The price of the compute of 30 days; None where it is not known."""
        if self.cost_money is None:
            return None
        return self.cost_money * self.cost_a_month / self.cost if self.cost else 0.0

    @property
    def is_end(self) -> bool:
        """Whether the finding does not hold any more."""
        return self.change is Change.RESOLVED


def is_finding(subject: str) -> bool:
    """Whether the id of what a record is about is that of a finding."""
    return pipeline_of_finding(subject) is not None


def record_of(
    found: FiguresOfFinding, labels: Mapping[str, str], change: Change, revision: int, raised_ms: int, time_ms: int
) -> FindingRecord:
    """Makes a record of a finding.

    Parameters
    ----------
    found
        The finding.
    labels, change, revision, raised_ms, time_ms
        As of `FindingRecord`.
    """
    return FindingRecord(
        finding=found.id,
        revision=revision,
        change=change,
        kind=str(found.kind),
        pipeline=found.pipeline,
        owner=found.owner,
        labels=dict(labels),
        since=found.since,
        last=found.last,
        trainings=found.trainings,
        count=found.count,
        graphlets=tuple(found.graphlets[-GRAPHLETS_MAX:]),
        cost=found.cost,
        cost_money=found.cost_money,
        cost_a_month=found.cost_a_month,
        act=str(found.act),
        parameter=found.parameter,
        effect=found.effect,
        raised_ms=raised_ms,
        time_ms=time_ms,
    )


#: Fields that are the same in a record and in its JSON form.
_SAME = (
    "finding", "revision", "kind", "pipeline", "owner", "since", "last", "trainings", "count", "cost", "cost_money",
    "cost_a_month", "act", "parameter",
)  # fmt: skip


def finding_to_dict(record: FindingRecord) -> dict[str, Any]:
    """A record in its JSON form."""
    return {
        "id": record.id,
        **{name: getattr(record, name) for name in _SAME},
        "change": record.change.value,
        "labels": dict(record.labels),
        "graphlets": list(record.graphlets),
        "money_a_month": record.money_a_month,
        "effect": asdict(record.effect),
        "raised": time_to_text(record.raised_ms),
        "time": time_to_text(record.time_ms),
    }


def finding_from_dict(data: Mapping[str, Any]) -> FindingRecord:
    """Reads a record.

    Parameters
    ----------
    data
        Its JSON form; fields that are not known are ignored.

    Returns
    -------
    FindingRecord

    Raises
    ------
    StateError
        It is no record.
    """
    try:
        record = FindingRecord(
            **{name: data[name] for name in _SAME},
            change=Change(data["change"]),
            labels=dict(data["labels"]),
            graphlets=tuple(data["graphlets"]),
            effect=EffectFigures(**{name: data["effect"][name] for name in EffectFigures.__slots__}),
            raised_ms=text_to_time(data["raised"]),
            time_ms=text_to_time(data["time"]),
        )
        _check(record)
    except KeyError as error:
        raise StateError(f"finding record without the field {error.args[0]!r}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise StateError(f"finding record that cannot be read: {error}") from None
    return record


def _check(record: FindingRecord) -> None:
    """Raises TypeError or ValueError where a field is not what those who read records make use of."""
    effect = record.effect
    texts = (
        record.finding, record.kind, record.pipeline, record.owner, record.act, *record.labels,
        *record.labels.values(), *record.graphlets,
    )  # fmt: skip
    whole = (
        record.revision,
        record.trainings,
        record.count,
        effect.skipped,
        effect.pushes,
        effect.lost,
        effect.delayed,
    )
    optional = (record.cost_money, effect.saved_money, effect.delay_median, effect.delay_worst)
    numbers = [record.cost, record.cost_a_month, effect.saved, effect.saved_a_month]
    numbers += [each for each in optional if each is not None]
    if any(not isinstance(each, str) for each in texts):
        raise TypeError("a name is no text")
    if any(isinstance(each, bool) or not isinstance(each, int) for each in (*whole, record.parameter or 0)):
        raise TypeError("a number is not whole")
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in numbers):
        raise TypeError("a figure is no number")
    if record.revision < 1:
        raise ValueError(f"revision {record.revision}")
    if record.change is Change.WITHDRAWN:
        raise ValueError("a finding is not withdrawn")
    text_to_time(record.since)
    text_to_time(record.last)
