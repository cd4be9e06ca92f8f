"""Turns the kill switch: who may, what it leaves behind, and what is shown of it. No HTTP."""

from __future__ import annotations

import re
from typing import Any, Protocol

from stream_app.acting.switch import FLEET, PATTERNS_MAX, Off, Switch
from stream_app.alerts.access import Principal, Scope
from stream_app.alerts.saved import AuditEntry
from stream_app.alerts.subscribers import ConflictError, ForbiddenError

_WILDCARDS = re.compile(r"[*?\[]")


class SwitchStore(Protocol):
    """Where the kill switch is kept."""

    @property
    def switch(self) -> Switch:
        """The kill switch as it is known here."""

    async def turn(self, pattern: str, off: Off | None, entry: AuditEntry) -> None:
        """Switches pipelines off, or with None on again, and returns when that and its audit entry are safe.

        Raises AlertStoreError where that is not possible now.
        """


class KillSwitch:
    """The kill switch.

    Parameters
    ----------
    store
        Where it is kept.
    """

    def __init__(self, store: SwitchStore) -> None:
        self._store = store

    @property
    def switch(self) -> Switch:
        """The kill switch as it is known here."""
        return self._store.switch

    def shown(self, who: Principal) -> dict[str, Any]:
        """What somebody may see of it.

        Parameters
        ----------
        who
            Whoever asks.

        Returns
        -------
        dict
            `acting`: whether it is on for the fleet; `off`: what is switched off, by whom, when and why; `detail`: why
            it is off for the fleet beside that, or cannot be read, else null.
        """
        other = self.switch.everywhere()
        off = [each.to_dict() for each in self.switch.off if each.pattern == FLEET or _covers(who, each.pattern)]
        return {"acting": self.switch.is_on, "off": off, "detail": other.words if other is not None else None}

    async def turn(self, who: Principal, *, acting: bool, pattern: str, reason: str, now_ms: int) -> None:
        """Switches acting off, or on again, for pipelines.

        Parameters
        ----------
        who
            Whoever asks.
        acting
            Whether it is switched on.
        pattern
            The pipelines, with wildcards; `*` is the fleet.
        reason
            Why, for the audit log and for whoever asks why nothing is stopped.
        now_ms
            The time in ms since 1970 UTC.

        Raises
        ------
        ForbiddenError, ConflictError, AlertStoreError
            It is not allowed, there are too many patterns, or it cannot be stored now.
        """
        needed = Scope.ADMIN if acting else Scope.WRITE
        if not who.may(needed):
            raise ForbiddenError(f"this needs a token with the scope {needed.name.lower()}")
        if not _covers(who, pattern):
            raise ForbiddenError("this token is bound to pipelines: it may switch off these alone")
        known = {each.pattern for each in self.switch.off}
        if not acting and pattern not in known and len(known) >= PATTERNS_MAX:
            raise ConflictError(f"acting is off for {PATTERNS_MAX:,} patterns, which is the most")
        entry = AuditEntry(now_ms, who.name, f"acting {'on' if acting else 'off'}: {reason}", f"acting:{pattern}")
        await self._store.turn(pattern, None if acting else Off(pattern, who.name, reason, now_ms), entry)


def _covers(who: Principal, pattern: str) -> bool:
    """Whether somebody may see all pipelines of a pattern: one of theirs as it is, or a name without wildcards."""
    return not who.pipelines or pattern in who.pipelines or (who.sees(pattern) and not _WILDCARDS.search(pattern))
