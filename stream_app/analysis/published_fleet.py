"""A fleet as several processes have published it, each the pipelines of its partitions."""

from __future__ import annotations

from stream_app.analysis.fleet_answer import FleetState
from stream_app.analysis.fleet_record import FleetRecord, decode


class PublishedFleet:
    """The latest record of each pipeline."""

    def __init__(self) -> None:
        self._records: dict[str, FleetRecord] = {}

    def add(self, written: bytes) -> None:
        """Takes in a record.

        Parameters
        ----------
        written
            The record. One of a lower rank than that which is known is late, and changes nothing: its writer had lost
            the partition and did not know. Of two of the same rank the later one counts, with other prices or owners.

        Raises
        ------
        UnreadableRecordError
            It cannot be read; nothing has changed.
        """
        record = decode(written)
        name = record.known.snapshot.name
        before = self._records.get(name)
        if before is None or record.origin.rank >= before.origin.rank:
            self._records[name] = record

    def state(self) -> FleetState:
        """What is known now. Another thread may add records meanwhile.

        Returns
        -------
        FleetState
            Of the pipelines of all partitions. There is no currency while records differ in it, as they do for a while
            after it was changed.
        """
        records = dict(self._records)
        as_of: dict[int, int] = {}
        for record in records.values():
            origin = record.origin
            as_of[origin.partition] = max(as_of.get(origin.partition, 0), origin.as_of_ms)
        currencies = {record.currency for record in records.values()}
        return FleetState(
            {name: record.known for name, record in records.items()},
            currencies.pop() if len(currencies) == 1 else None,
            min(as_of.values(), default=None),
            {name: record.omitted for name, record in records.items() if record.omitted},
        )
