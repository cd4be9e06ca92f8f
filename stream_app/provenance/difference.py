"""What differs between a graphlet and another one, such as the last that was pushed before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_app.core.events import Scalar
from stream_app.core.features.extraction import text_property
from stream_app.core.graphlets.description import describe
from stream_app.core.operators import GROUPS, INGEST, PREPROCESS, TRAIN, Operators
from stream_app.core.outputs import PUSHED
from stream_app.core.state.entities import Execution, Graphlet
from stream_app.core.state.pipeline import Pipeline
from stream_app.times import time_to_text

#: Entries of a list that are given; the list has the number of all.
LISTED_MAX = 50
#: The name of the whole run among the durations of operator groups.
WHOLE = "whole"

_CODE_VERSION = "code_version"


@dataclass(frozen=True)
class Portrait:
    """What is compared of a graphlet.

    Parameters
    ----------
    graphlet, run, trainer, outcome
        As the detector describes it.
    started_ms
        Start of its trainer in ms since 1970 UTC.
    code_version
        Of the newest execution that reports one; "" where none does.
    data
        Ids of its data artifacts.
    properties, metrics
        Texts and flags, and numbers, of its executions and what they wrote, by `<group>.<name>`.
    cost
        Operator group to node-ms.
    operators
        Execution type to number of executions.
    durations
        Operator group, and `WHOLE`, to ms from the first start to the last end in the trainer's run; None while an
        execution runs.
    """

    graphlet: str
    run: str | None
    trainer: str
    outcome: str
    started_ms: int
    code_version: str
    data: frozenset[str]
    properties: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    cost: Mapping[str, int]
    operators: Mapping[str, int]
    durations: Mapping[str, int | None]

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**vars(self), "data": sorted(self.data)}

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Portrait:
        """The portrait of its JSON form."""
        return cls(**{**record, "data": frozenset(record["data"])})


def last_pushed_before(pipeline: Pipeline, graphlet: Graphlet) -> tuple[Pipeline, Graphlet] | None:
    """Finds the pushed graphlet of the same pipeline whose trainer started last before that of a graphlet.

    Parameters
    ----------
    pipeline
        The pipeline.
    graphlet
        The graphlet.

    Returns
    -------
    tuple or None
        The pipeline and the graphlet; None where none that is kept was pushed before it.
    """
    start = graphlet.trainer.sort_key()
    pushed = [each for each in pipeline.graphlets.values() if each.kind == PUSHED and each.trainer.sort_key() < start]
    return (pipeline, max(pushed, key=lambda each: each.trainer.sort_key())) if pushed else None


def portrait(pipeline: Pipeline, graphlet: Graphlet, operators: Operators) -> Portrait:
    """Takes from the state what is compared of a graphlet.

    Parameters
    ----------
    pipeline, graphlet
        The graphlet and its pipeline.
    operators
        Price the executions.

    Returns
    -------
    Portrait
        Plain values, which later events do not change.
    """
    described = describe(pipeline, graphlet, operators)
    executions = sorted([graphlet.trainer, *graphlet.members], key=Execution.sort_key)
    facts = _facts(pipeline, executions)
    numbers = {name: float(value) for name, value in facts.items() if _is_number(value)}
    return Portrait(
        graphlet=graphlet.id,
        run=graphlet.run_id,
        trainer=graphlet.trainer.id,
        outcome=graphlet.kind,
        started_ms=graphlet.trainer.start_ms,
        code_version=text_property(executions, _CODE_VERSION),
        data=frozenset(_data(executions)),
        properties={name: value for name, value in facts.items() if name not in numbers},
        metrics=numbers,
        cost=described["cost"],
        operators=Counter(execution.type for execution in executions),
        durations=_durations(graphlet.own_executions()),
    )


def difference(now: Portrait, before: Portrait | None) -> dict[str, Any]:
    """Compares a graphlet with another.

    Parameters
    ----------
    now
        The graphlet.
    before
        The other; None where nothing was pushed before it.

    Returns
    -------
    dict
        In its JSON form: `graphlet` and `against` say which are compared, and `difference` has `code_version`, `data`,
        `properties`, `metrics`, `cost` (node-seconds), `operators` and `durations` (seconds). `against` and
        `difference` are None where there is no other. A list has the number of its entries, `count`, and the `first`
        of them, at most `LISTED_MAX`.
    """
    compared = None
    if before is not None:
        compared = {
            _CODE_VERSION: {"before": before.code_version or None, "after": now.code_version or None},
            "data": {
                "added": _listed(sorted(now.data - before.data)),
                "removed": _listed(sorted(before.data - now.data)),
                "kept": _listed(sorted(now.data & before.data)),
            },
            "properties": _listed(_changed("property", before.properties, now.properties)),
            "metrics": _listed(_numbers("metric", before.metrics, now.metrics)),
            "cost": _amounts(before.cost, now.cost, GROUPS),
            "operators": {
                "added": _listed(sorted(now.operators.keys() - before.operators.keys())),
                "removed": _listed(sorted(before.operators.keys() - now.operators.keys())),
                "changed": _listed(
                    [
                        each
                        for each in _changed("operator", before.operators, now.operators)
                        if None not in (each["before"], each["after"])
                    ]
                ),
            },
            "durations": _amounts(before.durations, now.durations, (*GROUPS, WHOLE)),
        }
    return {
        "graphlet": _head(now),
        "against": _head(before) if before is not None else None,
        "difference": compared,
    }


def _head(portrait: Portrait) -> dict[str, Any]:
    return {
        "graphlet": portrait.graphlet,
        "run": portrait.run,
        "trainer": portrait.trainer,
        "outcome": portrait.outcome,
        "started": time_to_text(portrait.started_ms),
    }


def _listed(entries: Sequence[Any]) -> dict[str, Any]:
    return {"count": len(entries), "first": list(entries[:LISTED_MAX])}


def _changed(kind: str, before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> list[dict[str, Any]]:
    """What has not the same value in both; a value that is not there is None."""
    return [
        {kind: name, "before": before.get(name), "after": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


def _numbers(kind: str, before: Mapping[str, float], after: Mapping[str, float]) -> list[dict[str, Any]]:
    """All numbers, those that differ first."""
    names = sorted(before.keys() | after.keys(), key=lambda name: (before.get(name) == after.get(name), name))
    return [{kind: name, **_amount(before.get(name), after.get(name))} for name in names]


def _amounts(
    before: Mapping[str, int | None], after: Mapping[str, int | None], order: Iterable[str]
) -> list[dict[str, Any]]:
    """Thousandths by operator group, in units."""
    return [
        {"group": group, **_amount(_thousandth(before.get(group)), _thousandth(after.get(group)))}
        for group in order
        if group in before or group in after
    ]


def _amount(before: float | None, after: float | None) -> dict[str, float | None]:
    by = after - before if before is not None and after is not None else None
    return {"before": before, "after": after, "difference": by}


def _thousandth(value: int | None) -> float | None:
    return value / 1000 if value is not None else None


def _is_number(value: Scalar) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _data(executions: Iterable[Execution]) -> set[str]:
    """Outputs of ingest, and what preprocessing and training read that no execution, or ingest, wrote."""
    found: set[str] = set()
    for execution in executions:
        if execution.group == INGEST:
            found.update(execution.writes)
        elif execution.group in (PREPROCESS, TRAIN):
            for artifact, version in execution.reads.items():
                if all(writer.group == INGEST for writer in version.writers):
                    found.add(artifact)
    return found


def _facts(pipeline: Pipeline, executions: Iterable[Execution]) -> dict[str, Scalar]:
    """Properties of executions, by start, and of what they wrote; of one name in one group the newest's value holds."""
    found: dict[str, Scalar] = {}
    for execution in executions:
        for artifact in sorted(execution.writes):
            for name, (_, value) in (pipeline.artifacts[artifact].properties or {}).items():
                found[f"{execution.group}.{name}"] = value
        for name, (_, value) in (execution.properties or {}).items():
            found[f"{execution.group}.{name}"] = value
    return {name: value for name, value in found.items() if name.partition(".")[2] != _CODE_VERSION}


def _durations(executions: Sequence[Execution]) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    for group in (*GROUPS, WHOLE):
        own = [each for each in executions if group in (each.group, WHOLE)]
        ends = [each.end_ms for each in own if each.end_ms is not None and each.is_over]
        if own:
            started_ms = min(each.start_ms for each in own)
            found[group] = max(0, max(ends) - started_ms) if len(ends) == len(own) else None
    return found
