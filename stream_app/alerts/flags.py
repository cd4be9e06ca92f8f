"""Flags, and the records of their changes.

A flag says of a run that need not go on. It belongs to the run: the flags of its trainers join it. A trainer outside of
any run has a flag of its own. A flag changes by records, whose revision rises; flag and revision identify a record.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from stream_app.core.ids import run_graphlet_id, verdict_id
from stream_app.core.ladder import Step
from stream_app.core.outputs import Reason, Verdict
from stream_app.errors import StateError
from stream_app.times import text_to_time, time_to_text

#: The steps of the ladder in order; "" where it is not known.
_STEPS = ("", *map(str, Step))


class Change(StrEnum):
    """What happened to a flag. Reminded: the owner is warned again; due: its run may be stopped from now on."""

    RAISED = "raised"
    REVISED = "revised"
    REMINDED = "reminded"
    DUE = "due"
    WITHDRAWN = "withdrawn"
    RESOLVED = "resolved"


class FlagOutcome(StrEnum):
    """How a flag was resolved. Overridden: somebody has decided that its run goes on, or tagged it `keep`."""

    PUSHED = "pushed"
    NOT_PUSHED = "not_pushed"
    PRUNED = "pruned"
    UNKNOWN = "unknown"
    OVERRIDDEN = "overridden"


@dataclass(frozen=True, slots=True)
class FlaggedGraphlet:
    """A graphlet that is flagged, with what its last verdict says.

    Parameters
    ----------
    graphlet, trainer, job, stage, p_push, threshold, score, model
        As of the verdict.
    cost, cost_left
        Node-seconds used so far and expected from here on.
    reasons
        The features that moved `p_push` most.
    verdict
        The id of the verdict.
    ladder, warn_again_ms, stop_ms, exempt_hours
        As of the verdict.
    """

    graphlet: str
    trainer: str | None
    job: str | None
    stage: str
    p_push: float
    threshold: float | None
    score: float
    model: str
    cost: float
    cost_left: float
    reasons: tuple[Reason, ...]
    verdict: str
    ladder: str = ""
    warn_again_ms: int | None = None
    stop_ms: int | None = None
    exempt_hours: str = ""

    @classmethod
    def of(cls, verdict: Verdict) -> FlaggedGraphlet:
        """The graphlet of a verdict."""
        return cls(
            graphlet=verdict.graphlet,
            trainer=verdict.trainer,
            job=verdict.job,
            stage=verdict.stage,
            p_push=verdict.p_push,
            threshold=verdict.threshold,
            score=verdict.score,
            model=verdict.model,
            cost=verdict.cost,
            cost_left=verdict.cost_left,
            reasons=tuple(verdict.reasons),
            verdict=verdict.id,
            ladder=verdict.ladder,
            warn_again_ms=verdict.warn_again_ms,
            stop_ms=verdict.stop_ms,
            exempt_hours=verdict.exempt_hours,
        )


@dataclass(frozen=True, slots=True)
class FlagRecord:
    """A change of a flag.

    Parameters
    ----------
    flag
        The id of the flag.
    revision
        From 1, rising with each record of the flag.
    change
        What happened.
    pipeline, run
        As of a verdict.
    owner
        The owner of the run; "" when it is not known.
    labels
        Texts among the properties of the run and its trainers.
    graphlets
        The flagged graphlets: of a withdrawn or resolved flag those that were flagged last.
    mode, budget
        The policy that raised it.
    raised_ms
        Event time of its first record since it was last not open, in ms since 1970 UTC.
    time_ms
        Event time of this change, in ms since 1970 UTC.
    outcome
        How it was resolved; None for other changes.
    cause
        Why the graphlet was not pushed, of a resolved flag; why it was withdrawn, of a withdrawn one; else None.
    correction
        Whether the flag had been resolved otherwise before.
    """

    flag: str
    revision: int
    change: Change
    pipeline: str
    run: str | None
    owner: str
    labels: Mapping[str, str]
    graphlets: tuple[FlaggedGraphlet, ...]
    mode: str
    budget: float
    raised_ms: int
    time_ms: int
    outcome: FlagOutcome | None = None
    cause: str | None = None
    correction: bool = False

    @property
    def id(self) -> str:
        """The id of the record."""
        return verdict_id(self.flag, self.revision)

    @property
    def subject(self) -> str:
        """What the record is about: the id of the flag."""
        return self.flag

    @property
    def p_push(self) -> float:
        """The probability that some flagged graphlet is pushed, by the most likely of them."""
        return max((each.p_push for each in self.graphlets), default=0.0)

    @property
    def cost(self) -> float:
        """Node-seconds that the flagged graphlets have used; what they share counts once, by the largest of them."""
        return max((each.cost for each in self.graphlets), default=0.0)

    @property
    def cost_left(self) -> float:
        """Node-seconds still ahead of the flagged graphlets."""
        return sum(each.cost_left for each in self.graphlets)

    @property
    def ladder(self) -> str:
        """The last step of the ladder, of several graphlets the first in order; "" where it is not known."""
        return min((each.ladder for each in self.graphlets), key=_STEPS.index, default="")

    @property
    def warn_again_ms(self) -> int | None:
        """When the owner is warned again, of several graphlets the latest time; None: there is no second warning."""
        return latest_ms(each.warn_again_ms for each in self.graphlets)

    @property
    def stop_ms(self) -> int | None:
        """From when the run may be stopped: once all of its flagged graphlets may be; None: never."""
        return latest_ms(each.stop_ms for each in self.graphlets)

    @property
    def exempt_hours(self) -> str:
        """The hours in which the run is not stopped, as of the first graphlet that has any."""
        return next((each.exempt_hours for each in self.graphlets if each.exempt_hours), "")

    @property
    def is_end(self) -> bool:
        """Whether the flag is not open any more."""
        return self.change in (Change.WITHDRAWN, Change.RESOLVED)


def flag_id(pipeline: str, run: str | None, graphlet: str) -> str:
    """The id of the flag of a graphlet.

    Parameters
    ----------
    pipeline, run, graphlet
        Of the graphlet; the run is None for a trainer outside of any run.

    Returns
    -------
    str
        The id, unique over all pipelines.

    Examples
    --------
    >>> flag_id("ads", "7", "ads/train-7"), flag_id("ads", None, "ads/train-7")
    ('ads/run:7', 'ads/train-7')
    """
    return run_graphlet_id(pipeline, run) if run is not None else graphlet


def latest_ms(times: Iterable[int | None]) -> int | None:
    """The latest of some times in ms.

    Parameters
    ----------
    times
        The times; None: one that never comes.

    Returns
    -------
    int or None
        None where one of them never comes, or there are none.

    Examples
    --------
    >>> latest_ms([3, 7]), latest_ms([3, None]), latest_ms([])
    (7, None, None)
    """
    found = list(times)
    known = [each for each in found if each is not None]
    return max(known) if known and len(known) == len(found) else None


def flag_to_dict(record: FlagRecord) -> dict[str, Any]:
    """A record in its JSON form."""
    return {
        "id": record.id,
        "flag": record.flag,
        "revision": record.revision,
        "change": record.change.value,
        "pipeline": record.pipeline,
        "run": record.run,
        "owner": record.owner,
        "labels": dict(record.labels),
        "graphlets": [graphlet_to_dict(each) for each in record.graphlets],
        "p_push": record.p_push,
        "cost": record.cost,
        "cost_left": record.cost_left,
        "ladder": _ladder_to_dict(record),
        "policy": {"mode": record.mode, "budget": record.budget},
        "raised": time_to_text(record.raised_ms),
        "time": time_to_text(record.time_ms),
        "outcome": record.outcome.value if record.outcome is not None else None,
        "cause": record.cause,
        "correction": record.correction,
    }


def flag_from_dict(data: Mapping[str, Any]) -> FlagRecord:
    """Reads a record.

    Parameters
    ----------
    data
        Its JSON form; fields that are not known are ignored.

    Returns
    -------
    FlagRecord

    Raises
    ------
    StateError
        It is no record.
    """
    try:
        record = FlagRecord(
            flag=data["flag"],
            revision=data["revision"],
            change=Change(data["change"]),
            pipeline=data["pipeline"],
            run=data["run"],
            owner=data["owner"],
            labels=data["labels"],
            graphlets=tuple(graphlet_from_dict(each) for each in data["graphlets"]),
            mode=data["policy"]["mode"],
            budget=data["policy"]["budget"],
            raised_ms=text_to_time(data["raised"]),
            time_ms=text_to_time(data["time"]),
            outcome=FlagOutcome(data["outcome"]) if data["outcome"] is not None else None,
            cause=data["cause"],
            correction=data["correction"],
        )
        _check(record)
    except KeyError as error:
        raise StateError(f"flag record without the field {error.args[0]!r}") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise StateError(f"flag record that cannot be read: {error}") from None
    return record


def _check(record: FlagRecord) -> None:
    """Raises TypeError or ValueError where a field is not what those who read records make use of."""
    texts = [record.flag, record.pipeline, record.owner, record.mode, *record.labels, *record.labels.values()]
    optional = [record.run, record.cause]
    numbers = [record.budget]
    for each in record.graphlets:
        texts += [each.graphlet, each.stage, each.model, each.verdict, *(reason.feature for reason in each.reasons)]
        optional += [each.trainer, each.job]
        numbers += [each.p_push, each.score, each.cost, each.cost_left, *(reason.effect for reason in each.reasons)]
        numbers += [each for each in (each.threshold, *(reason.value for reason in each.reasons)) if each is not None]
    if any(not isinstance(each, str) for each in texts + [each for each in optional if each is not None]):
        raise TypeError("a name is no text")
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in (*numbers, record.revision)):
        raise TypeError("a figure is no number")
    if not isinstance(record.revision, int) or record.revision < 1:
        raise ValueError(f"revision {record.revision}")


def graphlet_to_dict(each: FlaggedGraphlet) -> dict[str, Any]:
    """A flagged graphlet in its JSON form."""
    return {
        "graphlet": each.graphlet,
        "trainer": each.trainer,
        "job": each.job,
        "stage": each.stage,
        "p_push": each.p_push,
        "threshold": each.threshold,
        "score": each.score,
        "model": each.model,
        "cost": each.cost,
        "cost_left": each.cost_left,
        "reasons": [
            {"feature": reason.feature, "value": reason.value, "effect": reason.effect} for reason in each.reasons
        ],
        "verdict": each.verdict,
        "ladder": _ladder_to_dict(each),
    }


def _ladder_to_dict(flagged: FlaggedGraphlet | FlagRecord) -> dict[str, Any] | None:
    if not flagged.ladder:
        return None
    return {
        "last": flagged.ladder,
        "warn_again": time_to_text(flagged.warn_again_ms) if flagged.warn_again_ms is not None else None,
        "stop_from": time_to_text(flagged.stop_ms) if flagged.stop_ms is not None else None,
        "exempt_hours": flagged.exempt_hours,
    }


def _ladder_from_dict(data: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields of a ladder; of one that is not known nothing may be stopped."""
    if data is None:
        return {}
    last = str(data["last"])
    times = {
        name: text_to_time(data[key]) if data[key] is not None else None
        for name, key in (("warn_again_ms", "warn_again"), ("stop_ms", "stop_from"))
    }
    if last not in _STEPS:
        return {"ladder": str(Step.OBSERVE)}
    return {"ladder": last, **times, "exempt_hours": str(data["exempt_hours"])}


def graphlet_from_dict(data: Mapping[str, Any]) -> FlaggedGraphlet:
    """Reads a flagged graphlet; raises KeyError, TypeError or ValueError where it is none."""
    names = ("graphlet", "trainer", "job", "stage", "p_push", "threshold", "score", "model", "cost", "cost_left")
    return FlaggedGraphlet(
        **{name: data[name] for name in names},
        reasons=tuple(Reason(each["feature"], each["value"], each["effect"]) for each in data["reasons"]),
        verdict=data["verdict"],
        **_ladder_from_dict(data.get("ladder")),
    )
