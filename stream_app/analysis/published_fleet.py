"""A fleet as several processes have published it, each the pipelines of its partitions."""

from __future__ import annotations

from stream_app.analysis.fleet_answer import (
    FRESH_SECONDS,
    FleetAnswer,
    FleetAnswers,
    FleetState,
    FleetUnavailableError,
)
from stream_app.analysis.fleet_record import FleetRecord, decode


class PublishedFleet:
    """The latest record of each pipeline, and answers that are made of them.

    Attributes
    ----------
    is_complete
        Whether all has been added that was published before; until then nothing is answered.
    """

    def __init__(self) -> None:
        self.is_complete = False
        self._problem = ""
        self._records: dict[str, FleetRecord] = {}
        self._answers = FleetAnswers(self.state)

    def tell_problem(self, text: str) -> None:
        """Takes why nothing can be added at the moment; "" when it is over."""
        self._problem = text

    def answer(self, max_age: float = FRESH_SECONDS) -> FleetAnswer:
        """The figures; see `FleetAnswers.answer`.

        Parameters
        ----------
        max_age
            Seconds for which figures are kept at least.

        Returns
        -------
        FleetAnswer
            The figures.

        Raises
        ------
        FleetUnavailableError
            Not all has been added yet.
        """
        if not self.is_complete:
            raise FleetUnavailableError(self._problem or "what workers have published has not all been read yet")
        return self._answers.answer(max_age)

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
