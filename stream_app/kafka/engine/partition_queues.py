"""A queue and a task for each topic partition: its batches are processed in order, partitions concurrently.

While one partition waits for Kafka, another computes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import faust
from faust.types import TP, EventT

from stream_app.kafka.records import Batch

#: Batches waiting in a queue; when it is full, reading waits.
DEPTH = 1

Work = Callable[[TP, Batch, Callable[[], bool]], Awaitable[None]]


class PartitionQueues:
    """Processes the batches of an app's agent and acknowledges them.

    Parameters
    ----------
    app
        The Faust app; an error of `work` crashes it.
    work
        Called with a topic partition, a batch, and a function that returns whether the partition still belongs to this
        worker.
    """

    def __init__(self, app: faust.App, work: Work) -> None:
        self._app = app
        self._work = work
        self._queues: dict[TP, asyncio.Queue[EventT[Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, event: EventT[Any]) -> None:
        """Adds a batch; waits while the queue of its partition is full."""
        tp = event.message.tp
        queue = self._queues.get(tp)
        if queue is None:
            queue = self._queues[tp] = asyncio.Queue(DEPTH)
            self._tasks.add(asyncio.create_task(self._process(tp, queue)))
        await queue.put(event)

    async def _process(self, tp: TP, queue: asyncio.Queue[EventT[Any]]) -> None:
        while True:
            event = await queue.get()
            try:
                await self._work(tp, cast(Batch, event.value), partial(self._owned, event))
            except Exception as error:
                await self._app.crash(error)
                return
            event.ack()

    def _owned(self, event: EventT[Any]) -> bool:
        """Whether no rebalance and no stop has begun since the batch was fetched."""
        current: bool = event.message.generation_id == self._app.consumer_generation_id
        return current and self._app.flow_control.is_active()

    def stop(self) -> None:
        """Cancels the tasks, wherever they are."""
        for task in self._tasks:
            task.cancel()
