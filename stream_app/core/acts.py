"""Acts: what people decide about runs and pipelines, as events of the log.

So state stays a function of the log: a late, doubled or repeated act is merged as any other event is. An act is an
execution of the operator group `act`, whose id follows from what it is about, and which is told by that id alone. A
later act of the same kind replaces it. It has no run, no artifacts and no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from stream_app.core.events import COMPLETE, Event, Properties, Scalar
from stream_app.core.ladder import Ladder, Step

#: The kinds of acts: their execution types, and the beginnings of their ids.
KEEP, WRONG, PROLONG, POLICY = "stream_app.Keep", "stream_app.Wrong", "stream_app.Prolong", "stream_app.Policy"
KINDS = frozenset((KEEP, WRONG, PROLONG, POLICY))
PREFIX = "stream_app."
#: Who acted, and why.
BY, REASON = "by", "reason"
#: Whether a run is kept, or its flag is wrong; until when it is prolonged, in ms since 1970 UTC.
VALUE, UNTIL = "value", "until_ms"
#: The ladder of a policy, and its parts.
LAST, BETWEEN, LABELS, HOURS = "last", "between_ms", "exempt_labels", "exempt_hours"


@dataclass(frozen=True, slots=True)
class ActOn:
    """What an act is about: a run, or a trainer that is in no run.

    Parameters
    ----------
    pipeline
        The pipeline.
    run
        The run; None for a trainer that is in none.
    trainer
        The trainer where there is no run.

    Raises
    ------
    ValueError
        There is neither, or both.
    """

    pipeline: str
    run: str | None = None
    trainer: str | None = None

    def __post_init__(self) -> None:
        if (self.run is None) == (self.trainer is None):
            raise ValueError("an act is about a run, or about a trainer that is in no run")

    @property
    def key(self) -> str:
        """Its part of the id of an act."""
        return f"run:{self.run}" if self.run is not None else f"trainer:{self.trainer}"


def act_id(kind: str, key: str = "") -> str:
    """The execution id of an act.

    Parameters
    ----------
    kind
        The execution type of the act.
    key
        `ActOn.key`; "" for acts on a pipeline.
    """
    return f"{kind}/{key}" if key else kind


def is_act_id(execution_id: str) -> bool:
    """Whether an execution id is that of an act.

    Examples
    --------
    >>> is_act_id("stream_app.Keep/run:7"), is_act_id("stream_app.Keeper"), is_act_id("trainer-7")
    (True, False, False)
    """
    return execution_id.startswith(PREFIX) and execution_id.partition("/")[0] in KINDS


def is_act(event: Event) -> bool:
    """Whether an event is an act."""
    return is_act_id(event.execution_id)


def only_words(event: Event) -> Event:
    """An act as it is applied: without a run, artifacts or cost, which none has."""
    return replace(event, run=None, inputs=(), outputs=(), node_ms=None)


def keep(on: ActOn, by: str, reason: str, time_ms: int, value: bool = True) -> Event:
    """The act by which a run goes on whatever is predicted.

    Parameters
    ----------
    on
        The run.
    by, reason
        Who acts, and why.
    time_ms
        When, in ms since 1970 UTC. Of two acts on the same run the later holds.
    value
        Whether it is kept; False takes an earlier act back.

    Returns
    -------
    Event
    """
    return _act(KEEP, on.pipeline, on.key, time_ms, {BY: by, REASON: reason, VALUE: value})


def wrong(on: ActOn, by: str, reason: str, time_ms: int, value: bool = True) -> Event:
    """The act that calls the flag of a run wrong, by which the run also goes on; all as of `keep`."""
    return _act(WRONG, on.pipeline, on.key, time_ms, {BY: by, REASON: reason, VALUE: value})


def prolong(on: ActOn, until_ms: int, by: str, reason: str, time_ms: int) -> Event:
    """The act by which a flagged run is not stopped before a time.

    Parameters
    ----------
    on
        The run.
    until_ms
        The time in ms since 1970 UTC.
    by, reason, time_ms
        As of `keep`.

    Returns
    -------
    Event
    """
    return _act(PROLONG, on.pipeline, on.key, time_ms, {BY: by, REASON: reason, UNTIL: until_ms})


def policy(pipeline: str, ladder: Ladder | None, by: str, reason: str, time_ms: int) -> Event:
    """The act that sets the ladder of a pipeline.

    Parameters
    ----------
    pipeline
        The pipeline.
    ladder
        The ladder; None: the rules of the settings hold again.
    by, reason, time_ms
        As of `keep`.

    Returns
    -------
    Event
    """
    properties: Properties = {BY: by, REASON: reason, LAST: "", BETWEEN: 0, LABELS: "", HOURS: ""}
    if ladder is not None:
        properties |= {
            LAST: str(ladder.last),
            BETWEEN: ladder.between_ms,
            LABELS: ",".join(ladder.exempt_labels),
            HOURS: ladder.exempt_hours,
        }
    return _act(POLICY, pipeline, "", time_ms, properties)


def ladder_of(properties: Mapping[str, Scalar]) -> Ladder | None:
    """The ladder that a policy sets; None where it sets none.

    Parameters
    ----------
    properties
        The properties of the act. A step that is not known is taken for `observe`, so that nothing is stopped by it.
    """
    last = properties.get(LAST, "")
    if last == "":
        return None
    step = next((each for each in Step if each == last), Step.OBSERVE)
    between, labels, hours = properties.get(BETWEEN, 0), properties.get(LABELS, ""), properties.get(HOURS, "")
    try:
        return Ladder(
            step,
            int(between),
            tuple(each.strip() for each in str(labels).split(",") if each.strip()),
            str(hours),
        )
    except ValueError:  # an event of another program
        return Ladder(Step.OBSERVE)


def _act(kind: str, pipeline: str, key: str, time_ms: int, properties: Properties) -> Event:
    return Event(time_ms, pipeline, act_id(kind, key), kind, COMPLETE, properties=properties)
