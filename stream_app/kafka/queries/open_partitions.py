"""The open partitions of a worker, as they may be asked between two awaits of its event loop."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from stream_app.core.operators import Operators
from stream_app.core.state.pipeline import Pipeline
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.processing.partition import Partition


class OpenPartitions:
    """What a worker has open.

    Parameters
    ----------
    assignment
        Returns its partitions; None before any were assigned.
    partitions
        Partitions of all workers.
    operators
        Price the executions.
    """

    def __init__(
        self, assignment: Callable[[], Assignment[Partition] | None], partitions: int, operators: Operators
    ) -> None:
        self._assignment = assignment
        self.partitions = partitions
        self.operators = operators
        #: Tells this life of the worker from others.
        self.instance = secrets.token_hex(8)

    @property
    def restoring(self) -> bool:
        """Whether partitions are being opened, or must be restored."""
        assignment = self._assignment()
        if assignment is None or not assignment.complete:
            return True
        return any(each.needs_restore for each in assignment.partitions.values())

    def pipelines(self, number: int) -> Mapping[str, Pipeline] | None:
        """The pipelines of a partition by name; None where it is not open, or is ahead of what Kafka has."""
        assignment = self._assignment()
        partition = assignment.partitions.get(number) if assignment is not None else None
        return partition.detector.pipelines if partition is not None and not partition.needs_restore else None

    def opened(self) -> Mapping[int, Partition]:
        """The open partitions by number; one that is opened again is another object."""
        assignment = self._assignment()
        return dict(assignment.partitions) if assignment is not None else {}
