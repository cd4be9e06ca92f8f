"""Who owns each pipeline and what its compute costs, followed event by event."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.analysis.rates import Price, PricedLedgers, Rates, text_of
from stream_app.core.events import Event
from stream_app.core.state.ledger import Ledger
from stream_app.core.state.pipeline import Pipeline
from stream_app.owners import OwnerRule, Owners

#: The property of an execution that names the owner.
_OWNER = "owner"


class Attribution:
    """Owners and prices. What events tell of an owner holds before the list of owners.

    Parameters
    ----------
    rates
        The rate card; by default without prices.
    owners
        The list of owners; by default empty.
    """

    def __init__(self, rates: Rates | None = None, owners: Owners | None = None) -> None:
        self.rates = rates or Rates()
        self._owners = owners or Owners()
        self._ledgers = PricedLedgers(self.rates)
        self._names = (_OWNER, *sorted(self._owners.label_names - {_OWNER}))
        #: Pipeline -> property -> its latest event time and value.
        self._properties: dict[str, dict[str, tuple[int, str]]] = {}

    def follow(self, event: Event, pipeline: Pipeline) -> None:
        """Notes an event.

        Parameters
        ----------
        event
            The event.
        pipeline
            Its pipeline, after the event was applied.
        """
        self._ledgers.follow(pipeline, event.execution_id)
        for name in self._names:
            if name in event.properties:
                known = self._properties.setdefault(event.pipeline, {})
                latest = (event.time_ms, text_of(event.properties[name]))
                known[name] = max(known.get(name, latest), latest)

    def learn(self, pipeline: str, labels: Mapping[str, tuple[int, str]]) -> None:
        """Takes in what the analysis of a fleet keeps of a pipeline's properties: nothing new to who follows events.

        Parameters
        ----------
        pipeline
            Its name.
        labels
            `PipelineAnalysis.labels`.
        """

    def owner(self, pipeline: str) -> str:
        """The owner of a pipeline: the latest that an event named, else that of the list, else ""."""
        labels = {name: value for name, (_, value) in self._properties.get(pipeline, {}).items()}
        return labels.get(_OWNER) or self._owners.find(pipeline, labels)

    def contact(self, owner: str) -> OwnerRule | None:
        """Team and address of an owner; None when the list does not have them."""
        return self._owners.contact(owner)

    def ledgers(self, pipeline: Pipeline) -> Mapping[Price, Ledger]:
        """See `PricedLedgers.of`."""
        return self._ledgers.of(pipeline)

    def ledgers_by_week(self, pipeline: Pipeline) -> Mapping[int, Mapping[Price, Ledger]]:
        """See `PricedLedgers.by_week`."""
        return self._ledgers.by_week(pipeline)
