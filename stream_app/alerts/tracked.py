"""A flag as it is followed, and its row: what is known of it from its first verdict that prunes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from stream_app.alerts.flags import FlaggedGraphlet, FlagOutcome, graphlet_from_dict, graphlet_to_dict
from stream_app.core.ids import parse_graphlet_id
from stream_app.errors import StateError


@dataclass(slots=True)
class TrackedFlag:
    """A flag, as it is stored.

    Parameters
    ----------
    pipeline, run
        As of its records.
    revision
        Of its last record.
    open
        Whether it is open.
    reported
        Whether its raising was reported; if not, its end is not either.
    raised_ms
        Event time at which it was raised last.
    mode, budget, owner, labels
        As of its last verdict.
    outcome
        How it was resolved; None: it is open, or was withdrawn.
    reminded_ms
        When the second warning was reported since it was raised; None: not yet.
    due_ms
        The latest time of a stop that was reported as reached since it was raised; None: none.
    touched_ms
        Log time of its last change.
    graphlets
        Every graphlet with a verdict since the flag is known; None: it is not flagged.
    outcomes
        Outcomes of these graphlets, as far as they are known.
    """

    pipeline: str
    run: str | None
    revision: int = 0
    open: bool = False
    reported: bool = False
    raised_ms: int = 0
    mode: str = ""
    budget: float = 0.0
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    outcome: FlagOutcome | None = None
    reminded_ms: int | None = None
    due_ms: int | None = None
    touched_ms: int = 0
    graphlets: dict[str, FlaggedGraphlet | None] = field(default_factory=dict)
    outcomes: dict[str, FlagOutcome] = field(default_factory=dict)

    def flagged(self) -> list[FlaggedGraphlet]:
        """The graphlets for which the run is flagged now: trainers decide once one of them has a verdict."""
        trainers = [name for name in self.graphlets if not _is_run(name)]
        return [each for name in trainers or self.graphlets if (each := self.graphlets[name]) is not None]

    def undecided(self) -> list[FlaggedGraphlet]:
        """Those of them whose outcome is not known."""
        return [each for each in self.flagged() if each.graphlet not in self.outcomes]

    def resolved(self) -> FlagOutcome | None:
        """The outcome of the graphlets that are flagged; None while it is open."""
        known = [self.outcomes.get(each.graphlet) for each in self.flagged()]
        for outcome in (FlagOutcome.PUSHED, None, FlagOutcome.PRUNED, FlagOutcome.UNKNOWN):
            if outcome in known:
                return outcome
        return FlagOutcome.NOT_PUSHED if known else None

    def row(self) -> bytes:
        """The flag as a row."""
        return orjson.dumps(
            {
                "pipeline": self.pipeline,
                "run": self.run,
                "revision": self.revision,
                "open": self.open,
                "reported": self.reported,
                "raised_ms": self.raised_ms,
                "mode": self.mode,
                "budget": self.budget,
                "owner": self.owner,
                "labels": dict(self.labels),
                "outcome": self.outcome,
                "reminded_ms": self.reminded_ms,
                "due_ms": self.due_ms,
                "touched_ms": self.touched_ms,
                "graphlets": {
                    name: graphlet_to_dict(each) if each is not None else None for name, each in self.graphlets.items()
                },
                "outcomes": self.outcomes,
            }
        )

    @classmethod
    def read(cls, name: str, row: bytes) -> TrackedFlag:
        """Reads a row, of this release or of an earlier one.

        Parameters
        ----------
        name
            The id of the flag.
        row
            As `row` gave it.

        Returns
        -------
        TrackedFlag

        Raises
        ------
        StateError
            It cannot be read.
        """
        try:
            stored: dict[str, Any] = orjson.loads(row)
            graphlets = stored.pop("graphlets")
            outcomes = stored.pop("outcomes")
            outcome = stored.pop("outcome")
            return cls(
                **{name: value for name, value in stored.items() if name in cls.__slots__},
                outcome=FlagOutcome(outcome) if outcome is not None else None,
                graphlets={
                    graphlet: graphlet_from_dict(each) if each is not None else None
                    for graphlet, each in graphlets.items()
                },
                outcomes={graphlet: FlagOutcome(each) for graphlet, each in outcomes.items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(f"the row of flag {name} cannot be read: {error!r}") from None


def _is_run(graphlet: str) -> bool:
    """Whether a graphlet is that of a run whose trainer is not known yet."""
    name = parse_graphlet_id(graphlet)
    return name is not None and name.trainer is None
