"""One task for each topic partition: batches of a partition one after the other, partitions side by side.

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

#: Batches waiting in a lane; when it is full, reading waits.
DEPTH = 1

Work = Callable[[TP, Batch, Callable[[], bool]], Awaitable[None]]


class Lanes:
    """Does `work` on the batches of an app's agent and acknowledges them.

    Parameters: `work` is given a topic partition, a batch, and a function that tells whether the partition is still
    this worker's and work should go on. What it raises ends the app.
    """

    def __init__(self, app: faust.App, work: Work) -> None:
        self._app = app
        self._work = work
        self._queues: dict[TP, asyncio.Queue[EventT[Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def put(self, event: EventT[Any]) -> None:
        """Hand over a batch; waits while its lane is full."""
        tp = event.message.tp
        queue = self._queues.get(tp)
        if queue is None:
            queue = self._queues[tp] = asyncio.Queue(DEPTH)
            self._tasks.add(asyncio.create_task(self._lane(tp, queue)))
        await queue.put(event)

    async def _lane(self, tp: TP, queue: asyncio.Queue[EventT[Any]]) -> None:
        while True:
            event = await queue.get()
            try:
                await self._work(tp, cast(Batch, event.value), partial(self._owned, event))
            except Exception as error:
                await self._app.crash(error)
                return
            event.ack()

    def _owned(self, event: EventT[Any]) -> bool:
        """Whether no rebalance and no stop has come since the batch was fetched."""
        current: bool = event.message.generation_id == self._app.consumer_generation_id
        return current and self._app.flow_control.is_active()

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
