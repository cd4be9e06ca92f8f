"""Filters of subscriptions: typed conditions, compiled to closures.

A filter is a set of conditions that must all hold. `any`, `all` and `not` combine filters. `anchors` names facts of
which a record must have one for the filter to hold; matching looks filters up by them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stream_app.alerts.flags import FlagRecord
from stream_app.core.units import HOUR_MS

#: Conditions in one filter, and filters nested in each other.
CONDITIONS_MAX, DEPTH_MAX = 100, 8
_WILDCARDS = re.compile(r"[*?\[]")

#: A text that may have the wildcards of `fnmatch`, case-sensitive.
Glob = Annotated[str, Field(min_length=1, max_length=500)]
Globs = Annotated[tuple[Glob, ...], Field(min_length=1, max_length=50)]


@dataclass(frozen=True, slots=True)
class Facts:
    """What conditions ask of a record.

    Parameters
    ----------
    pipeline, owner, labels
        As of the record.
    stages
        The stages of its graphlets.
    cause
        As of the record; None: it has none.
    p_push
        The probability that some flagged graphlet is pushed.
    node_hours_left
        Compute still ahead.
    money_left
        The price of that; None: it is not known.
    age_hours
        Hours of event time since the flag was raised.
    """

    pipeline: str
    owner: str
    labels: Mapping[str, str]
    stages: frozenset[str]
    cause: str | None
    p_push: float
    node_hours_left: float
    money_left: float | None
    age_hours: float

    @classmethod
    def of(cls, record: FlagRecord, price: float | None = None) -> Facts:
        """The facts of a record.

        Parameters
        ----------
        record
            The record.
        price
            The price of a node-hour of its pipeline; None: it is not known.
        """
        node_hours = record.cost_left / 3600.0
        return cls(
            pipeline=record.pipeline,
            owner=record.owner,
            labels=record.labels,
            stages=frozenset(each.stage for each in record.graphlets),
            cause=record.outcome.value if record.cause is None and record.outcome is not None else record.cause,
            p_push=record.p_push,
            node_hours_left=node_hours,
            money_left=node_hours * price if price is not None else None,
            age_hours=max(0, record.time_ms - record.raised_ms) / HOUR_MS,
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

    `pipeline`, `owner`, `stage` and `cause` list texts of which one must match, `labels` a text for each name. A record
    has the stages of all its graphlets. `cause` is why a flag was withdrawn, why a run was not pushed, or the outcome.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    pipeline: Globs | None = None
    owner: Globs | None = None
    labels: Annotated[dict[str, Globs], Field(max_length=50)] | None = None
    stage: Globs | None = None
    cause: Globs | None = None
    p_push: Range | None = None
    node_hours_left: Range | None = None
    money_left: Range | None = None
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
        for name in ("pipeline", "owner", "stage", "cause"):
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
        return (*(self.all or ()), *(self.any or ()), *((self.not_,) if self.not_ is not None else ()))

    def depth(self) -> int:
        """How deep filters are nested in it, itself included."""
        return 1 + max((each.depth() for each in self.nested()), default=0)

    def conditions(self) -> int:
        """How many texts and ranges it holds, those of nested filters included."""
        texts = sum(len(each) for each in (self.pipeline, self.owner, self.stage, self.cause) if each is not None)
        labels = sum(len(each) for each in (self.labels or {}).values())
        ranges = sum(each is not None for each in (self.p_push, self.node_hours_left, self.money_left, self.age_hours))
        return texts + labels + ranges + sum(each.conditions() for each in self.nested())

    def compile(self, *, fixed: bool = False) -> Holds:
        """The filter as one function.

        Parameters
        ----------
        fixed
            Whether only what never changes over a flag's life is asked: pipeline, owner and labels. The function then
            holds wherever the filter may hold for some record of the flag.
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
        """Whether it has a condition, beside those of nested filters, that changes over a flag's life."""
        changing = (self.stage, self.cause, self.p_push, self.node_hours_left, self.money_left, self.age_hours)
        return any(each is not None for each in changing)

    def _fixed_parts(self) -> Iterable[Holds]:
        if self.pipeline is not None:
            pipeline = matcher(self.pipeline)
            yield lambda facts: pipeline(facts.pipeline)
        if self.owner is not None:
            owner = matcher(self.owner)
            yield lambda facts: owner(facts.owner)
        for name, values in (self.labels or {}).items():
            yield _label(name, matcher(values))

    def _changing_parts(self) -> Iterable[Holds]:
        if self.stage is not None:
            stage = matcher(self.stage)
            yield lambda facts: any(map(stage, facts.stages))
        if self.cause is not None:
            cause = matcher(self.cause)
            yield lambda facts: facts.cause is not None and cause(facts.cause)
        if (p_push := self.p_push) is not None:
            yield lambda facts: p_push.holds(facts.p_push)
        if (node_hours := self.node_hours_left) is not None:
            yield lambda facts: node_hours.holds(facts.node_hours_left)
        if (money := self.money_left) is not None:
            yield lambda facts: money.holds(facts.money_left)
        if (age := self.age_hours) is not None:
            yield lambda facts: age.holds(facts.age_hours)

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
