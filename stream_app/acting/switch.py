"""The kill switch: for which pipelines nothing may be stopped, who said so, when and why.

It can be off for the fleet, which is the pattern `*`, and for pipelines by patterns; what one pattern switches off
another one does not switch on. Whatever of it cannot be read counts as off.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from stream_app.acting.reasons import NotNow, Why
from stream_app.errors import StateError
from stream_app.times import text_to_time, time_to_text

log = logging.getLogger(__name__)

#: The pattern of the fleet.
FLEET = "*"
#: Patterns that may be off at one time, and characters of one.
PATTERNS_MAX, PATTERN_MAX = 1_000, 500


@dataclass(frozen=True, slots=True)
class Off:
    """That acting is off for some pipelines.

    Parameters
    ----------
    pattern
        The pipelines, with the wildcards of `fnmatch`, case-sensitive.
    by, reason
        Who has switched it off, and why.
    since_ms
        When, in ms since 1970 UTC.
    """

    pattern: str
    by: str
    reason: str
    since_ms: int

    def to_dict(self) -> dict[str, Any]:
        """Its JSON form."""
        return {
            "pipeline": self.pattern, "by": self.by, "reason": self.reason, "since": time_to_text(self.since_ms)
        }  # fmt: skip

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Off:
        """Reads its JSON form; raises StateError where it is none."""
        try:
            pattern, by, reason = data["pipeline"], data["by"], data["reason"]
            since_ms = text_to_time(data["since"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StateError(f"no entry of the kill switch: {error!r}") from None
        if not all(isinstance(each, str) for each in (pattern, by, reason)):
            raise StateError("no entry of the kill switch: a text is none")
        return cls(pattern, by, reason, since_ms)


class OffFile:
    """A file whose presence switches acting off for the fleet; whatever is in it is not read.

    Parameters
    ----------
    path
        The file. Where its folder cannot be read either, that counts as off.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_off = False

    def fault(self) -> str:
        """Why acting is off; "" while it is on."""
        reason = self._look()
        if bool(reason) != self._is_off:
            self._is_off = bool(reason)
            log.warning("acting is %s", f"off: {reason}" if reason else f"on again: {self.path} is gone")
        return reason

    def _look(self) -> str:
        try:
            os.lstat(self.path)
        except FileNotFoundError:
            try:
                os.stat(self.path.parent)
            except OSError as error:
                return f"{self.path.parent} cannot be read: {error.strerror}"
            return ""
        except (OSError, ValueError) as error:
            return f"{self.path} cannot be read: {getattr(error, 'strerror', None) or error}"
        return f"the file {self.path} is there"


class Switch:
    """The kill switch as this process knows it. One thread changes it, any may ask.

    Parameters
    ----------
    off
        For which pipelines it is off.
    file
        Switches it off for the fleet, too; None: there is no such file.
    fault
        Returns why it is not known; "" while it is.
    """

    def __init__(
        self, off: Iterable[Off] = (), file: OffFile | None = None, fault: Callable[[], str] = lambda: ""
    ) -> None:
        self._off: dict[str, Off] = {each.pattern: each for each in off}
        self._file = file
        self.fault = fault

    @property
    def off(self) -> list[Off]:
        """For which pipelines it is off, by pattern."""
        return [each for _, each in sorted(self._off.items())]

    def set(self, pattern: str, off: Off | None) -> None:
        """Switches pipelines off; None: what was off by this pattern is not any more."""
        changed = dict(self._off)
        if off is not None:
            changed[pattern] = replace(off, pattern=pattern)
        else:
            changed.pop(pattern, None)
        self._off = changed

    def refusal(self, pipeline: str) -> NotNow | None:
        """Why no run of a pipeline may be stopped; None where the switch does not speak against it."""
        for pattern, off in self._off.items():
            if pattern == FLEET or fnmatchcase(pipeline, pattern):
                whose = "" if pattern == FLEET else f" for {pattern}"
                words = f"acting is off{whose} since {time_to_text(off.since_ms)}, by {off.by}: {off.reason}"
                return NotNow(Why.SWITCHED_OFF, words)
        return self.everywhere()

    def everywhere(self) -> NotNow | None:
        """Why no run of any pipeline may be stopped, beside what `off` has."""
        unknown = self.fault()
        if unknown:
            return NotNow(Why.SWITCH_UNKNOWN, f"whether acting is on is not known: {unknown}")
        present = self._file.fault() if self._file is not None else ""
        return NotNow(Why.SWITCHED_OFF, f"acting is off: {present}") if present else None

    @property
    def is_on(self) -> bool:
        """Whether it is on for the fleet, patterns of pipelines aside."""
        return FLEET not in self._off and self.everywhere() is None
