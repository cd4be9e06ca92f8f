"""The model of a worker: restored from its checkpoint, kept up with the examples log, and kept in a checkpoint."""

from __future__ import annotations

import asyncio
import time

from aiokafka import TopicPartition

from stream_app.core.learning.learner import Learner
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.model.checkpoint import Checkpoint
from stream_app.kafka.model.examples_log import ExamplesLog
from stream_app.kafka.state.changelog import LogReader

#: Seconds between two checkpoints, and at least so many times as long as packing one takes: it halts the worker.
PAUSE_SECONDS = 30.0
_PAUSE_FACTOR = 100


class Learning:
    """A learner and what feeds it.

    Parameters: `learner` has folded the log up to the checkpoint's offset; `follows` is whether it learns what comes.
    """

    def __init__(
        self, connection: Connection, topic: str, checkpoint: Checkpoint, learner: Learner, follows: bool
    ) -> None:
        self.learner = learner
        self._follows = follows
        self.checkpoint = checkpoint
        self.log = ExamplesLog(connection, topic, learner.learn, checkpoint.offset)

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the log at the start is folded, if it is to be."""
        return not self._follows or self.log.caught_up.is_set()

    async def run(self) -> None:
        """Fold the log until cancelled, and keep checkpoints; return at once if the learner is to stay as it is."""
        if not self._follows:
            return
        keeping = asyncio.create_task(self._keep())
        try:
            await self.log.run()
        finally:
            keeping.cancel()

    async def wait(self) -> None:
        """Return when `caught_up`."""
        if self._follows:
            await self.log.caught_up.wait()

    async def _keep(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            await asyncio.sleep(pause)
            if self._learned:
                began = time.monotonic()
                packed = self.checkpoint.pack(self.learner, self.log.position)
                pause = max(PAUSE_SECONDS, _PAUSE_FACTOR * (time.monotonic() - began))
                await asyncio.to_thread(self.checkpoint.store, packed)

    def keep(self) -> None:
        """Write a checkpoint if anything was learned since the last."""
        if self._learned:
            self.checkpoint.write(self.learner, self.log.position)

    @property
    def _learned(self) -> bool:
        return self.log.position > self.checkpoint.offset


async def restore(
    connection: Connection, topic: str, checkpoint: Checkpoint, empty: Learner, *, follows: bool
) -> Learning:
    """The learner of the checkpoint, if there is one to be believed; otherwise the empty one.

    Raises KafkaError, or OptionsError when the learner is to stay as it is and the checkpoint cannot be believed.
    """
    async with LogReader(connection.client(), TopicPartition(topic, 0)) as log:
        end = await log.end()
    found = checkpoint.read(end, cache=follows)
    return Learning(connection, topic, checkpoint, empty if found is None else found.learner, follows)
