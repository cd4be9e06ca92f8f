"""Why a run must not be stopped now: a closed set, with words for a person."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Why(StrEnum):
    """Why a run must not be stopped now."""

    #: There is no open flag on it, or not on all of its trainings.
    NOT_FLAGGED = "not_flagged"
    #: The flag was raised in the mode `observe`, or the detector is in it now.
    OBSERVE = "observe"
    #: The ladder of the pipeline ends before the last step.
    WARNED_ONLY = "warned_only"
    #: The time between the warnings is not over, or the owner has prolonged it.
    TOO_EARLY = "too_early"
    #: It is within hours in which no run is stopped.
    EXEMPT_HOURS = "exempt_hours"
    #: The kill switch is off.
    SWITCHED_OFF = "switched_off"
    #: The kill switch cannot be read.
    SWITCH_UNKNOWN = "switch_unknown"
    #: The flag, or what it says, cannot be read or asked for.
    UNREADABLE = "unreadable"
    #: What is known is not recent, and nobody confirms it.
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class NotNow:
    """Why a run must not be stopped now.

    Parameters
    ----------
    why
        The reason.
    words
        The same for a person, in one line.
    """

    why: Why
    words: str

    def to_dict(self) -> dict[str, str]:
        """Its JSON form."""
        return {"reason": self.why.value, "detail": self.words}
