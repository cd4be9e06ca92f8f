"""The figures of redundant work: sums by kind and operator, and the largest groups; and what would save it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from stream_app.core.operators import ANALYSIS, GROUPS, PREPROCESS, RUN, TRAIN

#: Kinds of redundant work: exact repeats, overlap of analysis and preprocessing, overlap of training.
EXACT, DATA, TRAINING = "exact", "data", "training"
#: What saves it: taking the result from a cache, processing only new spans, starting from an earlier model.
CACHING, INCREMENTAL, WARM_START = "caching", "incremental", "warm_start"

#: Groups of executions that are listed, and examples of each.
GROUPS_MAX, EXAMPLES_MAX = 20, 5

_REMEDIES = {
    **{(EXACT, group): CACHING for group in GROUPS if group != RUN},
    (DATA, ANALYSIS): INCREMENTAL,
    (DATA, PREPROCESS): INCREMENTAL,
    (TRAINING, TRAIN): WARM_START,
}


@dataclass(frozen=True, slots=True)
class Row:
    """The redundant work of one kind and one operator.

    Parameters
    ----------
    kind
        `EXACT`, `DATA` or `TRAINING`; of the last the amounts are upper bounds.
    type, group
        The operator and its group.
    executions
        Executions with redundant work.
    node_ms
        Their redundant compute in node-ms.
    micros
        What it cost where there is a price, in millionths of the currency.
    unpriced_ms
        The part of `node_ms` that has no price.
    assumed_ms
        The part of `node_ms` of executions without a code version, which are assumed to have the same code.
    """

    kind: str
    type: str
    group: str
    executions: int
    node_ms: int
    micros: int
    unpriced_ms: int
    assumed_ms: int


@dataclass(frozen=True, slots=True)
class Group:
    """Executions whose work is redundant for the same reason.

    Parameters
    ----------
    row
        Their sums.
    code
        Their code version; None when it is not known.
    original
        The id of the execution that they repeat; None of an overlap, which is with several.
    share
        The redundant share of their compute, 0 to 1; 1 of exact repeats.
    examples
        Ids of the latest of them, the latest first, at most `EXAMPLES_MAX`.
    """

    row: Row
    code: str | None
    original: str | None
    share: float
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The redundant work of a pipeline.

    Parameters
    ----------
    rows
        Sums by kind and operator, the largest first.
    groups
        The largest groups by compute, the largest first, at most `GROUPS_MAX`.
    """

    rows: tuple[Row, ...]
    groups: tuple[Group, ...]


def how_to_get(kind: str, group: str) -> str:
    """The remedy that would save redundant work.

    Parameters
    ----------
    kind
        `EXACT`, `DATA` or `TRAINING`.
    group
        The operator group.

    Returns
    -------
    str
        `CACHING`, `INCREMENTAL` or `WARM_START`.

    Raises
    ------
    KeyError
        The group has no redundant work of the kind.

    Examples
    --------
    >>> how_to_get(EXACT, "train"), how_to_get(DATA, "preprocess"), how_to_get(TRAINING, "train")
    ('caching', 'incremental', 'warm_start')
    """
    return _REMEDIES[kind, group]


def by_size(row: Row) -> tuple[int, str, str, str]:
    """The key that sorts rows, the largest first."""
    return -row.node_ms, row.kind, row.type, row.group


def group_to_row(group: Group) -> list[Any]:
    """The plain value from which `group_of_row` makes the group again."""
    return [list(astuple(group.row)), group.code, group.original, group.share, group.examples]


def group_of_row(row: Sequence[Any]) -> Group:
    """The group of a plain value."""
    (kind, type_, group, *amounts), code, original, share, examples = row
    return Group(Row(kind, type_, group, *map(int, amounts)), code, original, float(share), tuple(map(str, examples)))
