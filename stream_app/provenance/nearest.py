"""The labelled graphlets that were most alike at the same stage, and how they ended.

Two graphlets of a pipeline are compared by the features that were known of them at one stage. The distance is the mean
of the features' differences, each in units of the feature's own spread in that pipeline, so that it needs no model.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_app.core.decisions.verdicts import shared
from stream_app.core.outputs import NOT_PUSHED, PUSHED, STAGES, Example, StageRecord
from stream_app.core.state.pipeline import Pipeline
from stream_app.provenance.decision import features_of, predicted_stage
from stream_app.times import time_to_text

#: Graphlets found, and features named of each.
FOUND_MAX, FEATURES_MAX = 5, 3
#: Stages kept: of one pipeline and stage, and in all. The oldest are dropped first.
KEPT, KEPT_IN_ALL = 64, 20_000
#: The difference of a feature that is known of one of the two, and the largest difference of any feature.
MISSING, DIFFERENCE_MAX = 1.0, 3.0
#: The smallest spread: that of a feature that has always had one value.
SPREAD_MIN = 0.01

#: Pipeline, stage, graphlet and validator.
_Key = tuple[str, str, str, str | None]


class PastStage(NamedTuple):
    """One stage of a labelled graphlet. Features are packed: names are shared, values are in an array."""

    graphlet: str
    stage: str
    validator: str | None
    names: tuple[str, ...]
    values: array[float]
    pushed: bool
    cause: str
    #: When the outcome happened, and when its first label was announced, in ms since 1970 UTC.
    time_ms: int
    announced_ms: int
    #: The revision of the label.
    revision: int = 1

    @property
    def features(self) -> dict[str, float]:
        """Feature name to value."""
        return dict(zip(self.names, self.values, strict=True))


@dataclass(frozen=True, slots=True)
class FeatureDifference:
    """A feature that differs between two graphlets.

    Parameters
    ----------
    feature
        Its name.
    value, other
        Its value of the graphlet that is asked about, and of the past one; None where it is not known.
    difference
        In spreads of the feature, at most `DIFFERENCE_MAX`.
    """

    feature: str
    value: float | None
    other: float | None
    difference: float


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A past graphlet that is alike.

    Parameters
    ----------
    graphlet
        Its id.
    pushed, cause
        Its label, and `pushed` or the cause.
    time_ms
        When the outcome happened, in ms since 1970 UTC.
    distance
        From the graphlet that is asked about; 0 where all features are equal.
    differences
        The features that differ most, the largest difference first.
    """

    graphlet: str
    pushed: bool
    cause: str
    time_ms: int
    distance: float
    differences: tuple[FeatureDifference, ...]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; the time is text."""
        return {
            "graphlet": self.graphlet,
            "outcome": PUSHED if self.pushed else NOT_PUSHED,
            "cause": self.cause,
            "time": time_to_text(self.time_ms),
            "distance": self.distance,
            "differences": [
                {"feature": each.feature, "value": each.value, "other": each.other, "difference": each.difference}
                for each in self.differences
            ],
        }


class PastStages:
    """The stages of the latest labelled graphlets, of each pipeline and stage: a fold over examples.

    The same examples in the same order give the same content. An example that is learned again while its stages are
    kept changes nothing. A correction replaces the label. A graphlet that turns out to be pruned has no label and is
    dropped.

    Parameters
    ----------
    kept
        Stages kept of one pipeline and stage.
    kept_in_all
        Stages kept of all pipelines.
    """

    def __init__(self, kept: int = KEPT, kept_in_all: int = KEPT_IN_ALL) -> None:
        self._kept, self._kept_in_all = kept, kept_in_all
        #: (pipeline, stage) -> (graphlet, validator) -> the stage; the oldest first.
        self._of: dict[tuple[str, str], OrderedDict[tuple[str, str | None], PastStage]] = {}
        #: The keys of all of them, the oldest first.
        self._order: OrderedDict[_Key, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._order)

    def learn(self, example: Example) -> None:
        """Adds the stages of a label.

        Parameters
        ----------
        example
            The label, or its correction. Stages that it inherits are those of its run, whose own label has them.
        """
        for stage in STAGES:
            for name, each in list(self._of.get((example.pipeline, stage), {}).items()):
                if each.graphlet == example.graphlet and each.revision < example.label_revision:
                    self._relabel((example.pipeline, stage, *name), each, example)
        if example.pushed is None:
            return
        for record in example.stages:
            self._add((example.pipeline, record.stage, example.graphlet, record.validator), record, example)

    def _relabel(self, key: _Key, held: PastStage, example: Example) -> None:
        if example.pushed is None:
            self._drop(key)
            return
        self._of[key[:2]][key[2:]] = held._replace(
            pushed=example.pushed, cause=example.cause, time_ms=example.time_ms, revision=example.label_revision
        )

    def _add(self, key: _Key, record: StageRecord, example: Example) -> None:
        group = self._of.setdefault(key[:2], OrderedDict())
        if key[2:] in group:
            return
        assert example.pushed is not None
        group[key[2:]] = PastStage(
            graphlet=example.graphlet,
            stage=record.stage,
            validator=record.validator,
            names=shared(tuple(record.features)),
            values=array("d", record.features.values()),
            pushed=example.pushed,
            cause=example.cause,
            time_ms=example.time_ms,
            announced_ms=example.announced_ms,
            revision=example.label_revision,
        )
        self._order[key] = None
        if len(group) > self._kept:
            self._drop((*key[:2], *next(iter(group))))
        if len(self._order) > self._kept_in_all:
            self._drop(next(iter(self._order)))

    def of(self, pipeline: str, stage: str) -> tuple[PastStage, ...]:
        """The stages kept of a pipeline and stage, the oldest first.

        Parameters
        ----------
        pipeline
            The name of the pipeline.
        stage
            One of `STAGES`.
        """
        return tuple(self._of.get((pipeline, stage), {}).values())

    def _drop(self, key: _Key) -> None:
        group = self._of[key[:2]]
        del group[key[2:]], self._order[key]
        if not group:
            del self._of[key[:2]]


def predicted_features(
    pipeline: Pipeline | None, run: str | None, trainer: str | None, stage: str, validator: str | None
) -> dict[str, float] | None:
    """The features of a stage that was predicted, as they were frozen, while the label may still change.

    Parameters
    ----------
    pipeline
        The pipeline, which keeps them that long; None: it is not known.
    run, trainer, stage, validator
        As of a verdict.

    Returns
    -------
    dict or None
        Feature name to value; None where the pipeline does not have the stage any more.
    """
    found = predicted_stage(pipeline, run, trainer, stage, validator) if pipeline is not None else None
    return features_of(found) if found is not None else None


def labelled_features(
    past: Sequence[PastStage], graphlet: str, stage: str, validator: str | None
) -> dict[str, float] | None:
    """The features of a stage of a labelled graphlet; None where it is not kept any more.

    Parameters
    ----------
    past
        The labelled stages of its pipeline and stage.
    graphlet, stage, validator
        As of a verdict.
    """
    return next(
        (each.features for each in past if (each.graphlet, each.stage, each.validator) == (graphlet, stage, validator)),
        None,
    )


def known_features(
    pipeline: Pipeline | None,
    past: Sequence[PastStage],
    graphlet: str,
    run: str | None,
    trainer: str | None,
    stage: str,
    validator: str | None,
) -> dict[str, float] | None:
    """The features of a stage as they were frozen: as of `predicted_features`, or else of `labelled_features`."""
    found = predicted_features(pipeline, run, trainer, stage, validator)
    return labelled_features(past, graphlet, stage, validator) if found is None else found


class Comparison:
    """Compares with the labelled stages of one pipeline and stage.

    A feature that both sides know differs by the distance of its two values over its spread: the mean distance of the
    labelled stages' values from their median, at least `SPREAD_MIN`. No difference is larger than `DIFFERENCE_MAX`. A
    feature that only one side knows differs by `MISSING`. The distance is the mean of the differences over all features
    that one of the two knows; it is 0 where neither knows any.

    Parameters
    ----------
    past
        The labelled stages, the oldest first.
    names
        Further names of features, which none of them may know.

    Examples
    --------
    >>> past = [
    ...     PastStage(f"ads/t{n}", "input", None, ("cost",), array("d", [n]), False, "failed", 0, 0) for n in range(4)
    ... ]
    >>> [(each.graphlet, each.distance) for each in Comparison(past).nearest({"cost": 2.0}, "ads/t9", 1)]
    [('ads/t2', 0.0), ('ads/t3', 1.0), ('ads/t1', 1.0), ('ads/t0', 2.0)]
    """

    def __init__(self, past: Sequence[PastStage], names: Iterable[str] = ()) -> None:
        self._past = past
        self._names = sorted({*names}.union(*{each.names for each in past}))
        self._known = frozenset(self._names)
        self._table = _table(self._names, past) if past else np.empty((0, len(self._names)))
        self._spreads = np.maximum(_spreads(self._table), SPREAD_MIN) if past else np.empty(len(self._names))

    def nearest(self, features: Mapping[str, float], graphlet: str, time_ms: int) -> tuple[Neighbour, ...]:
        """Finds the past graphlets that are most alike.

        Parameters
        ----------
        features
            Those of the verdict's stage.
        graphlet
            The id of the verdict's graphlet, which is not compared with itself.
        time_ms
            The time of the verdict in ms since 1970 UTC: what was labelled later is not compared with.

        Returns
        -------
        tuple of Neighbour
            At most `FOUND_MAX`, the nearest first; of equal ones the latest. A graphlet with several such stages, one
            for each validator, counts by the nearest.
        """
        if not features.keys() <= self._known:
            return Comparison(self._past, features).nearest(features, graphlet, time_ms)
        rows = [
            row for row, each in enumerate(self._past) if each.announced_ms <= time_ms and each.graphlet != graphlet
        ]
        if not rows:
            return ()
        differences = self._differences(features, rows)
        known = ~np.isnan(differences)
        distances = np.where(known, differences, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        best: dict[str, int] = {}
        for index in np.lexsort((-np.arange(len(rows)), distances)).tolist():
            if len(best) < FOUND_MAX:
                best.setdefault(self._past[rows[index]].graphlet, index)
        found = [(self._past[rows[index]], index) for index in best.values()]
        return tuple(
            Neighbour(
                graphlet=each.graphlet,
                pushed=each.pushed,
                cause=each.cause,
                time_ms=each.time_ms,
                distance=float(distances[index]),
                differences=_largest(self._names, differences[index], features, each.features),
            )
            for each, index in found
        )

    def _differences(self, features: Mapping[str, float], rows: Sequence[int]) -> NDArray[np.float64]:
        """The difference of each feature from each stage; NaN where neither side knows the feature."""
        own = np.array([features.get(name, np.nan) for name in self._names], dtype=np.float64)
        table = self._table[rows]
        scaled = np.minimum(np.abs(table - own) / self._spreads, DIFFERENCE_MAX)
        return np.where(np.isnan(table) != np.isnan(own), MISSING, scaled)


def _table(names: Sequence[str], stages: Sequence[PastStage]) -> NDArray[np.float64]:
    """A row for each stage, a column for each name; NaN where a feature is not known."""
    place = {name: column for column, name in enumerate(names)}
    columns = {each: np.array([place[name] for name in each], dtype=np.intp) for each in {s.names for s in stages}}
    table = np.full((len(stages), len(names)), np.nan)
    rows = np.repeat(np.arange(len(stages)), [len(each.values) for each in stages])
    values = np.frombuffer(b"".join(each.values for each in stages))
    table[rows, np.concatenate([columns[each.names] for each in stages])] = values
    return table


def _spreads(table: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean distance of the known values of each column from their median; 0 where none is known."""
    counts = (~np.isnan(table)).sum(axis=0)
    ordered = np.sort(table, axis=0)  # NaN comes last
    columns = np.arange(table.shape[1])
    last = np.maximum(counts - 1, 0)
    medians = (ordered[last // 2, columns] + ordered[(last + 1) // 2, columns]) / 2.0
    away = np.nan_to_num(np.abs(table - medians), nan=0.0)
    return np.asarray(away.sum(axis=0) / np.maximum(counts, 1))


def _largest(
    names: Sequence[str], differences: NDArray[np.float64], own: Mapping[str, float], other: Mapping[str, float]
) -> tuple[FeatureDifference, ...]:
    """The features that differ most; of equal differences the first by name."""
    filled = np.nan_to_num(differences, nan=0.0)
    first = np.argsort(-filled, kind="stable")[:FEATURES_MAX]
    found = [(names[column], float(filled[column])) for column in first if filled[column] > 0.0]
    return tuple(FeatureDifference(name, own.get(name), other.get(name), value) for name, value in found)
