"""The ladder: what a flag leads to, step by step, before a run is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase

from stream_app.core.units import HOUR_MS


class Step(StrEnum):
    """The steps of the ladder, in order: each includes those before it."""

    OBSERVE = "observe"
    WARN = "warn"
    WARN_TWICE = "warn_twice"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Ladder:
    """How far flags of a run lead, and how fast.

    Parameters
    ----------
    last
        The last step. Runs are stopped only where it is `act`, and the mode is `enforce`.
    between_ms
        Time in ms from the flag to the second warning, and from there to the stop.
    exempt_labels
        Conditions on labels, such as `tier=prod*`: a run for which one holds is warned of and never stopped.
    exempt_hours
        Hours of each day in which no run is stopped, such as `22:00-06:00 Europe/Berlin`; "": none. The core hands
        them on; `stream_app.acting` reads them.

    Raises
    ------
    ValueError
        The time is negative, or a condition has no `=`.
    """

    last: Step = Step.ACT
    between_ms: int = 0
    exempt_labels: tuple[str, ...] = ()
    exempt_hours: str = ""

    def __post_init__(self) -> None:
        if self.between_ms < 0:
            raise ValueError("the time between two steps should not be negative")
        for condition in self.exempt_labels:
            if not condition.partition("=")[0].strip() or "=" not in condition:
                raise ValueError(f"{condition[:80]!r} is no condition on a label, such as tier=prod*")

    def of_run(self, labels: Mapping[str, str]) -> Ladder:
        """The ladder of a run with these labels.

        Parameters
        ----------
        labels
            Label to value.

        Returns
        -------
        Ladder
            It ends before `act` where an exemption holds.

        Examples
        --------
        >>> Ladder(exempt_labels=("tier=prod*",)).of_run({"tier": "production"}).last
        <Step.WARN_TWICE: 'warn_twice'>
        """
        if self.last is not Step.ACT:
            return self
        for condition in self.exempt_labels:
            name, _, value = condition.partition("=")
            if name.strip() in labels and fnmatchcase(labels[name.strip()], value.strip()):
                return replace(self, last=Step.WARN_TWICE)
        return self

    def to_dict(self) -> dict[str, str | float | list[str]]:
        """The ladder in its JSON form, with the names of the settings."""
        return {
            "last": str(self.last),
            "between_hours": self.between_ms / HOUR_MS,
            "exempt_labels": list(self.exempt_labels),
            "exempt_hours": self.exempt_hours,
        }

    def warn_again_ms(self, since_ms: int) -> int | None:
        """When the second warning is due of a flag raised at `since_ms`; None: there is none."""
        twice = self.last in (Step.WARN_TWICE, Step.ACT) and self.between_ms > 0
        return since_ms + self.between_ms if twice else None

    def stop_ms(self, since_ms: int, prolonged_ms: int | None) -> int | None:
        """From when a run may be stopped that was flagged at `since_ms`; None: never.

        Parameters
        ----------
        since_ms
            When it was flagged.
        prolonged_ms
            Until when its owner prolonged it; None: not.
        """
        if self.last is not Step.ACT:
            return None
        return max(since_ms + 2 * self.between_ms, prolonged_ms or 0)


@dataclass(frozen=True, slots=True)
class LadderRule:
    """The ladder of some runs. All conditions must hold; they have the wildcards of `fnmatch` and are case-sensitive.

    Parameters
    ----------
    ladder
        The ladder.
    pipeline, owner
        Conditions on the pipeline's name and on the owner of the run.
    labels
        Label to a condition on its value.
    """

    ladder: Ladder
    pipeline: str = "*"
    owner: str = "*"
    labels: Mapping[str, str] = field(default_factory=dict)

    def holds(self, pipeline: str, owner: str, labels: Mapping[str, str]) -> bool:
        """Whether the rule holds for a run of a pipeline, with its owner and labels."""
        return (
            fnmatchcase(pipeline, self.pipeline)
            and fnmatchcase(owner, self.owner)
            and all(name in labels and fnmatchcase(labels[name], value) for name, value in self.labels.items())
        )
