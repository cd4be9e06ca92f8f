"""The kill switch of an embedded detector: kept in the store of alerts, so that it survives a restart."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import orjson

from stream_app.acting.switch import FLEET, Off, OffFile, Switch
from stream_app.alerts.saved import AlertStoreError, AuditEntry, Changes
from stream_app.alerts.store import AlertStore
from stream_app.errors import StateError

log = logging.getLogger(__name__)


class StoredSwitch:
    """The kill switch in a store; see `stream_app.alerts.kill_switch.SwitchStore`.

    Parameters
    ----------
    store
        The store.
    off_file
        A file whose presence switches acting off; None: there is none.
    """

    def __init__(self, store: AlertStore, off_file: Path | None = None) -> None:
        self._store = store
        self.switch = Switch(_read(store), OffFile(off_file) if off_file is not None else None)
        self._turn = asyncio.Lock()

    async def turn(self, pattern: str, off: Off | None, entry: AuditEntry) -> None:
        """Switches pipelines off at once, or on again once that is stored.

        Parameters
        ----------
        pattern
            The pipelines.
        off
            Who switches them off; None: on again.
        entry
            The entry of the audit log.

        Raises
        ------
        AlertStoreError
            It cannot be stored now; what was switched off is off until this process ends.
        """
        async with self._turn:
            if off is not None:
                self.switch.set(pattern, off)
            kept = [each.to_dict() for each in self.switch.off if off is not None or each.pattern != pattern]
            try:
                await asyncio.to_thread(self._store.save, Changes(switch=orjson.dumps(kept).decode(), audit=[entry]))
            except AlertStoreError as error:
                is_off = off is not None
                raise AlertStoreError(
                    f"acting is off, but not after a restart: {error}" if is_off else str(error)
                ) from None
            self.switch.set(pattern, off)
        log.warning("%s: %s, by %s", entry.subject, entry.what, entry.who)


def _read(store: AlertStore) -> list[Off]:
    """What is stored; what cannot be read is off for the fleet, until somebody switches that on."""
    try:
        entries = orjson.loads(store.switch() or "[]")
        if not isinstance(entries, list):
            raise StateError("it is no list")
        return [Off.from_dict(each) for each in entries]
    except (AlertStoreError, StateError, orjson.JSONDecodeError) as error:
        log.error("the kill switch cannot be read, and counts as off: %s", error)
        return [Off(FLEET, "stream-app", "the kill switch could not be read at the start", 0)]
