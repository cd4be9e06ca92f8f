"""Filters of subscriptions: typed conditions, compiled to closures.

A filter is a set of conditions that must all hold. `any`, `all` and `not` combine filters. `anchors` names facts of
which a record must have one for the filter to hold; matching looks filters up by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from operator import attrgetter
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream_app.alerts.findings import FindingRecord
from stream_app.alerts.records import AlertRecord
from stream_app.core.units import HOUR_MS

#: Conditions in one filter, and filters nested in each other.
CONDITIONS_MAX, DEPTH_MAX = 100, 8
_WILDCARDS = re.compile(r"[*?\[]")
#: Conditions that ask for texts and for ranges, and those that hold for no finding or for no flag.
TEXTS = ("pipeline", "owner", "stage", "cause", "ladder", "kind")
RANGES = ("p_push", "node_hours_left", "money_left", "node_hours_a_month", "money_a_month", "age_hours")
OF_FLAGS = ("stage", "cause", "ladder", "p_push", "node_hours_left", "money_left")
OF_FINDINGS = ("kind", "node_hours_a_month", "money_a_month")

#: A text that may have the wildcards of `fnmatch`, case-sensitive.
Glob = Annotated[str, Field(min_length=1, max_length=500)]
Globs = Annotated[tuple[Glob, ...], Field(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions ask of a record. What is None fulfils no condition.

    Parameters
    ----------
    pipeline, owner, labels
        As of the record.
    age_hours
        Hours of event time since the flag or finding was raised.
    stages
        Of a flag the stages of its graphlets.
    cause
        Of a flag as of the record; None where it has none.
    ladder
        Of a flag the last step of its ladder; None: it is not known.
    p_push
        Of a flag the probability that some flagged graphlet is pushed.
    node_hours_left, money_left
        Of a flag the compute still ahead, and its price; None: it is not known.
    kind
        Of a finding its rule.
    node_hours_a_month, money_a_month
        Of a finding what it costs in 30 days, and the price of that; None: it is not known.
    """

    pipeline: str
    owner: str
    labels: Mapping[str, str]
    age_hours: float
    stages: frozenset[str] = frozenset()
    cause: str | None = None
    ladder: str | None = None
    p_push: float | None = None
    node_hours_left: float | None = None
    money_left: float | None = None
    kind: str | None = None
    node_hours_a_month: float | None = None
    money_a_month: float | None = None

    @classmethod
    def of(cls, record: AlertRecord, price: float | None = None) -> Facts:
        """The facts of a record.

        Parameters
        ----------
        record
            The record.
        price
            The price of a node-hour of its pipeline, for flags; None: it is not known.
        """
        about = (record.pipeline, record.owner, record.labels, max(0, record.time_ms - record.raised_ms) / HOUR_MS)
        if isinstance(record, FindingRecord):
            month = record.cost_a_month / 3600.0
            return cls(*about, kind=record.kind, node_hours_a_month=month, money_a_month=record.money_a_month)
        node_hours = record.cost_left / 3600.0
        return cls(
            *about,
            stages=frozenset(each.stage for each in record.graphlets),
            cause=record.outcome.value if record.cause is None and record.outcome is not None else record.cause,
            ladder=record.ladder or None,
            p_push=record.p_push,
            node_hours_left=node_hours,
            money_left=node_hours * price if price is not None else None,
        )


#: Whether facts fulfil a condition.
Holds = Callable[[Facts], bool]
#: A fact that can be looked up: its kind, for a label its name, and its value or, of `prefix`, how the pipeline begins.
Anchor = tuple[str, ...]


class Range(BaseModel):
    """A range of numbers; a number that is not known is in no range."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    at_least: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.at_least is None and self.below is None:
            raise ValueError("at_least or below should be given")
        if self.at_least is not None and self.below is not None and self.at_least >= self.below:
            raise ValueError("at_least should be smaller than below")
        return self

    def holds(self, value: float | None) -> bool:
        """Whether a number is in the range."""
        if value is None:
            return False
        return (self.at_least is None or value >= self.at_least) and (self.below is None or value < self.below)


class Filter(BaseModel):
    """Conditions on a record, all of which must hold. One without conditions holds always.

    `pipeline`, `owner`, `stage`, `cause`, `ladder` and `kind` list texts of which one must match, `labels` a text for
    each name. A flag has the stages of all its graphlets. `cause` is why a flag was withdrawn, why a run was not
    pushed, or the outcome. `kind` is the rule of a finding. Conditions of `OF_FLAGS` hold for no finding, those of
    `OF_FINDINGS` for no flag.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    pipeline: Globs | None = None
    owner: Globs | None = None
    labels: Annotated[dict[str, Globs], Field(max_length=50)] | None = None
    stage: Globs | None = None
    cause: Globs | None = None
    ladder: Globs | None = None
    p_push: Range | None = None
    node_hours_left: Range | None = None
    money_left: Range | None = None
    kind: Globs | None = None
    node_hours_a_month: Range | None = None
    money_a_month: Range | None = None
    age_hours: Range | None = None
    all: Annotated[tuple[Filter, ...], Field(min_length=1, max_length=50)] | None = None
    any: Annotated[tuple[Filter, ...], Field(min_length=1, max_length=50)] | None = None
    not_: Filter | None = Field(default=None, alias="not")

    @model_validator(mode="before")
    @classmethod
    def _lists(cls, given: object) -> object:
        """Reads one text as a list of one."""
        if not isinstance(given, dict):
            return given
        read = dict(given)
        for name in TEXTS:
            if isinstance(read.get(name), str):
                read[name] = [read[name]]
        if isinstance(read.get("labels"), dict):
            read["labels"] = {
                name: [value] if isinstance(value, str) else value for name, value in read["labels"].items()
            }
        return read

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.depth() > DEPTH_MAX:
            raise ValueError(f"filters are nested more than {DEPTH_MAX} deep")
        if self.conditions() > CONDITIONS_MAX:
            raise ValueError(f"there are more than {CONDITIONS_MAX} conditions")
        return self

    def nested(self) -> tuple[Filter, ...]:
        """The filters in it."""
        return tuple(each for _, each in self._nested_at())

    def _nested_at(self) -> Iterable[tuple[str, Filter]]:
        """The filters in it, each with its place, such as `any.0`."""
        for name in ("all", "any"):
            yield from ((f"{name}.{place}", each) for place, each in enumerate(getattr(self, name) or ()))
        if self.not_ is not None:
            yield "not", self.not_

    def depth(self) -> int:
        """How deep filters are nested in it, itself included."""
        return 1 + max((each.depth() for each in self.nested()), default=0)

    def conditions(self) -> int:
        """How many texts and ranges it holds, those of nested filters included."""
        texts = sum(len(getattr(self, name) or ()) for name in TEXTS)
        labels = sum(len(each) for each in (self.labels or {}).values())
        ranges = sum(getattr(self, name) is not None for name in RANGES)
        return texts + labels + ranges + sum(each.conditions() for each in self.nested())

    def first_of(self, names: Collection[str]) -> str | None:
        """The place of the first condition among some, such as `any.0.p_push`; None where there is none.

        Parameters
        ----------
        names
            Names of conditions.
        """
        for name in names:
            if getattr(self, name) is not None:
                return name
        for where, each in self._nested_at():
            found = each.first_of(names)
            if found is not None:
                return f"{where}.{found}"
        return None

    def compile(self, *, fixed: bool = False) -> Holds:
        """The filter as one function.

        Parameters
        ----------
        fixed
            Whether only what never changes over the life of a flag or finding is asked: pipeline, owner, labels and
            kind. The function then holds wherever the filter may hold for some record of it.
        """
        return self._compiled(fixed, fixed)

    def _compiled(self, fixed: bool, assumed: bool) -> Holds:
        """As `compile`; `assumed` is what a condition that is not asked gives."""
        parts = list(self._fixed_parts())
        if not fixed:
            parts += self._changing_parts()
        elif self._changes:
            parts.append(lambda _: assumed)
        parts += (each._compiled(fixed, assumed) for each in self.all or ())
        if self.any is not None:
            parts.append(_either([each._compiled(fixed, assumed) for each in self.any]))
        if self.not_ is not None:
            negated = self.not_._compiled(fixed, not assumed)
            parts.append(lambda facts: not negated(facts))
        return _both(parts)

    @property
    def _changes(self) -> bool:
        """Whether it has a condition, beside those of nested filters, that may hold now and not later."""
        return any(getattr(self, name) is not None for name in ("stage", "cause", "ladder", *RANGES))

    def _fixed_parts(self) -> Iterable[Holds]:
        if self.pipeline is not None:
            pipeline = matcher(self.pipeline)
            yield lambda facts: pipeline(facts.pipeline)
        if self.owner is not None:
            owner = matcher(self.owner)
            yield lambda facts: owner(facts.owner)
        for name, values in (self.labels or {}).items():
            yield _label(name, matcher(values))
        if self.kind is not None:
            kind = matcher(self.kind)
            yield lambda facts: facts.kind is not None and kind(facts.kind)

    def _changing_parts(self) -> Iterable[Holds]:
        if self.stage is not None:
            stage = matcher(self.stage)
            yield lambda facts: any(map(stage, facts.stages))
        if self.cause is not None:
            cause = matcher(self.cause)
            yield lambda facts: facts.cause is not None and cause(facts.cause)
        if self.ladder is not None:
            ladder = matcher(self.ladder)
            yield lambda facts: facts.ladder is not None and ladder(facts.ladder)
        for name in RANGES:
            bounds = getattr(self, name)
            if bounds is not None:
                yield _in_range(name, bounds)

    def anchors(self) -> frozenset[Anchor] | None:
        """Facts of which a record has at least one where the filter holds; None: there are none."""
        found = [
            frozenset(_pipeline_anchor(glob) for glob in self.pipeline) if self.pipeline is not None else None,
            _exact(self.owner, "owner"),
            *(_exact(values, "label", name) for name, values in (self.labels or {}).items()),
            *(each.anchors() for each in self.all or ()),
            _union(each.anchors() for each in self.any) if self.any is not None else None,
        ]
        usable = [each for each in found if each is not None and ("prefix", "") not in each]
        # Exact names before beginnings of names, and few before many.
        return min(usable, key=lambda each: (any(a[0] == "prefix" for a in each), len(each)), default=None)


def matcher(globs: Iterable[str]) -> Callable[[str], bool]:
    """A function that tells whether a text matches one of some globs."""
    texts = tuple(globs)
    exact = frozenset(glob for glob in texts if not _WILDCARDS.search(glob))
    patterns = [re.compile(translate(glob)).match for glob in texts if glob not in exact]
    if not patterns:
        return exact.__contains__
    if len(patterns) == 1 and not exact:
        return lambda text, match=patterns[0]: match(text) is not None  # type: ignore[misc]
    return lambda text: text in exact or any(match(text) is not None for match in patterns)


def facts_anchors(facts: Facts, prefix_lengths: Iterable[int]) -> Iterable[Anchor]:
    """The anchors of facts, with the beginnings of the pipeline's name of some lengths."""
    yield ("pipeline", facts.pipeline)
    for length in prefix_lengths:
        if length <= len(facts.pipeline):
            yield ("prefix", facts.pipeline[:length])
    yield ("owner", facts.owner)
    for name, value in facts.labels.items():
        yield ("label", name, value)


def _both(parts: list[Holds]) -> Holds:
    """A function that holds where all of some do. Loops are quicker than `all` over a generator."""
    if len(parts) == 1:
        return parts[0]

    def check(facts: Facts) -> bool:
        for holds in parts:  # noqa: SIM110
            if not holds(facts):
                return False
        return True

    return check


def _either(parts: list[Holds]) -> Holds:
    """A function that holds where one of some does."""

    def check(facts: Facts) -> bool:
        for holds in parts:  # noqa: SIM110
            if holds(facts):
                return True
        return False

    return check


def _label(name: str, holds: Callable[[str], bool]) -> Holds:
    def check(facts: Facts) -> bool:
        value = facts.labels.get(name)
        return value is not None and holds(value)

    return check


def _in_range(name: str, bounds: Range) -> Holds:
    fact = attrgetter(name)
    return lambda facts: bounds.holds(fact(facts))


def _pipeline_anchor(glob: str) -> Anchor:
    wildcard = _WILDCARDS.search(glob)
    return ("pipeline", glob) if wildcard is None else ("prefix", glob[: wildcard.start()])


def _exact(globs: tuple[str, ...] | None, *kind: str) -> frozenset[Anchor] | None:
    if globs is None or any(_WILDCARDS.search(glob) for glob in globs):
        return None
    return frozenset((*kind, glob) for glob in globs)


def _union(each: Iterable[frozenset[Anchor] | None]) -> frozenset[Anchor] | None:
    found: set[Anchor] = set()
    for anchors in each:
        if anchors is None:
            return None
        found |= anchors
    return frozenset(found)
