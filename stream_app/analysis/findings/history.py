"""The graphlets of one pipeline that are kept, as rules and simulated acts look at them."""

from __future__ import annotations

from collections.abc import Collection
from functools import cached_property

from stream_app.analysis.fleet.execution_facts import graphlets_of
from stream_app.analysis.fleet.graphlet_facts import GraphletFacts
from stream_app.analysis.fleet.order import Spent
from stream_app.analysis.fleet.pipeline_analysis import PipelineAnalysis
from stream_app.core.events import COMPLETE
from stream_app.core.operators import DEPLOY
from stream_app.core.outputs import PUSHED
from stream_app.core.state.entities import Execution
from stream_app.core.units import DAY_MS

#: The time for which rates of compute are given.
MONTH_MS = 30 * DAY_MS


class History:
    """The kept graphlets of a pipeline, in the order of their starts.

    Parameters
    ----------
    analysis
        The analysis of the pipeline, up to date.

    Attributes
    ----------
    pipeline
        The name of the pipeline.
    graphlets
        Their facts.
    now_ms
        The pipeline's clock, in ms since 1970 UTC.
    """

    def __init__(self, analysis: PipelineAnalysis) -> None:
        self._analysis = analysis
        self._state = analysis.pipeline
        self.pipeline = self._state.name
        self.graphlets = [facts for facts in analysis.order if facts.trainer in self._state.graphlets]
        self.now_ms = self._state.clock.now_ms

    @cached_property
    def trained(self) -> frozenset[str]:
        """The trainers that gave a model."""
        kept = self._state.graphlets
        return frozenset(
            facts.trainer
            for facts in self.graphlets
            if facts.outcome == PUSHED or kept[facts.trainer].trainer.end_state == COMPLETE
        )

    @cached_property
    def runs(self) -> list[list[GraphletFacts]]:
        """The graphlets by run, in the order of the first in each; one without a run is alone."""
        found: dict[tuple[str | None, str], list[GraphletFacts]] = {}
        for facts in self.graphlets:
            key = (None, facts.trainer) if facts.run is None else (facts.run, "")
            found.setdefault(key, []).append(facts)
        return list(found.values())

    @cached_property
    def reports_deploys(self) -> bool:
        """Whether any execution that is kept is of group deploy."""
        return any(execution.group == DEPLOY for execution in self._state.executions.values())

    def reads_versions(self, facts: GraphletFacts) -> bool:
        """Whether a graphlet has inputs, and each names one version of its data.

        Parameters
        ----------
        facts
            Of the graphlet.
        """
        artifacts = self._state.artifacts
        return bool(facts.inputs) and all(
            name in artifacts and artifacts[name].unversioned is None for name in facts.inputs
        )

    def cost_of(self, graphlets: Collection[GraphletFacts]) -> Spent:
        """What graphlets cost: the sum of their shares.

        Parameters
        ----------
        graphlets
            Some that are kept.
        """
        shares = [self._share(facts) for facts in graphlets]
        return Spent(sum(each.node_ms for each in shares), sum(each.micros for each in shares))

    def saved_without(self, skipped: Collection[str]) -> Spent:
        """What would not have been spent without some trainings.

        Parameters
        ----------
        skipped
            Their trainers.

        Returns
        -------
        Spent
            The compute of executions that belong to no other graphlet: a span that another training reads as well
            would have been read anyway.
        """
        belonging: dict[Execution, int] = {}
        for trainer in skipped:
            graphlet = self._state.graphlets[trainer]
            for execution in (graphlet.trainer, *graphlet.members):
                belonging[execution] = belonging.get(execution, 0) + 1
        known = self._analysis.executions
        costs = [known[each.id] for each, graphlets in belonging.items() if graphlets == graphlets_of(each)]
        return Spent(sum(each.node_ms for each in costs), sum(each.micros for each in costs))

    def month(self, node_ms: int) -> int:
        """Compute over the time seen, as the compute of 30 days at that rate.

        Parameters
        ----------
        node_ms
            Compute in node-ms.
        """
        return node_ms * MONTH_MS // self._seen_ms

    @cached_property
    def _seen_ms(self) -> int:
        """From the first start to the last report; a day at least, since less says nothing of a month."""
        last_ms = max(facts.last_ms for facts in self.graphlets)
        return max(DAY_MS, last_ms - self.graphlets[0].start_ms)

    @cached_property
    def _shares(self) -> dict[str, Spent]:
        return {}

    def _share(self, facts: GraphletFacts) -> Spent:
        found = self._shares.get(facts.trainer)
        if found is None:
            found = self._shares[facts.trainer] = self._analysis.share_of(facts)
        return found
