"""The verdicts that an embedded detector has issued: their index, and what is stored of them."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from stream_app import wire
from stream_app.core.outputs import Verdict
from stream_app.errors import StateError
from stream_app.service.event_log import Changes, StoredVerdict
from stream_app.service.verdict_index import VerdictIndex


class IssuedVerdicts:
    """Indexes verdicts, and adds what changes to the changes that are saved.

    Parameters
    ----------
    stored
        The verdicts of the saved state.
    changes
        Takes verdicts of earlier releases in the form that they have now.

    Raises
    ------
    StateError
        A verdict cannot be read.
    """

    def __init__(self, stored: Iterable[StoredVerdict], changes: Changes) -> None:
        self.index = VerdictIndex()
        #: The number of the last verdict issued.
        self._issued = 0
        try:
            # An earlier release did not number them; their times tell the order of events only.
            read = [(each, orjson.loads(each.record)) for each in stored]
            for each, record in sorted(read, key=lambda pair: (pair[0].number, pair[1]["time"])):
                verdict = wire.upgrade(record)
                self.index.add(verdict, each.issued_ms)
                self._issued = max(self._issued, each.number)
                if verdict is not record:
                    changes.verdicts[record["graphlet"]] = None
                    changes.verdicts[verdict["graphlet"]] = each._replace(record=orjson.dumps(verdict))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise StateError(f"a verdict cannot be read: {error!r}") from None

    def issue(self, verdict: Verdict, log_ms: int, changes: Changes) -> None:
        """Adds a verdict.

        Parameters
        ----------
        verdict
            The verdict.
        log_ms
            When its event was accepted, in ms since 1970 UTC.
        changes
            Takes it.
        """
        record = wire.verdict_to_dict(verdict)
        self._issued += 1
        self.index.add(record, log_ms)
        changes.verdicts[verdict.graphlet] = StoredVerdict(orjson.dumps(record), self._issued, log_ms)

    def drop(self, graphlet: str, changes: Changes) -> None:
        """Drops the verdict on a graphlet; without one nothing happens."""
        if self.index.drop(graphlet):
            changes.verdicts[graphlet] = None

    def drop_before(self, time_ms: int, changes: Changes) -> None:
        """Drops verdicts that were issued before a time in ms since 1970 UTC."""
        for graphlet in self.index.before(time_ms):
            self.drop(graphlet, changes)
