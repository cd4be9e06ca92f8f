"""The model of a worker: restored from its checkpoint, updated from the examples log, and saved in checkpoints."""

from __future__ import annotations

import asyncio
import logging
import time

from aiokafka import TopicPartition

from stream_app.core.learning.learner import Learner
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.model.checkpoint import Checkpoint
from stream_app.kafka.model.examples_log import ExamplesLog
from stream_app.kafka.state.changelog import LogReader

logger = logging.getLogger(__name__)

#: Seconds between two checkpoints; at least so many times the time to pack one, during which the event loop stands.
PAUSE_SECONDS = 30.0
_PAUSE_FACTOR = 100


class Learning:
    """A learner that follows the examples log.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The examples topic.
    checkpoint
        Where the learner is saved.
    learner
        The learner.
    start
        The offset after the last example that it has learned.
    follows
        Whether it learns further examples.
    """

    def __init__(
        self, connection: Connection, topic: str, checkpoint: Checkpoint, learner: Learner, start: int, follows: bool
    ) -> None:
        self.learner = learner
        self._follows = follows
        self.checkpoint = checkpoint
        self.log = ExamplesLog(connection, topic, learner.learn, start)

    @property
    def caught_up(self) -> bool:
        """Whether everything that was in the log at the start has been learned, or the learner does not follow it."""
        return not self._follows or self.log.caught_up.is_set()

    async def run(self) -> None:
        """Follows the log and writes checkpoints until cancelled; returns at once if the learner does not follow it."""
        if not self._follows:
            return
        saving = asyncio.create_task(self._save_repeatedly())
        try:
            await self.log.run()
        finally:
            saving.cancel()

    async def wait(self) -> None:
        """Returns when `caught_up`."""
        if self._follows:
            await self.log.caught_up.wait()

    async def _save_repeatedly(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            await asyncio.sleep(pause)
            if self._learned:
                began = time.monotonic()
                packed = self.checkpoint.pack(self.learner, self.log.position)
                pause = max(PAUSE_SECONDS, _PAUSE_FACTOR * (time.monotonic() - began))
                await asyncio.to_thread(self.checkpoint.store, packed)

    def save(self) -> None:
        """Writes a checkpoint if anything was learned since the last one."""
        if self._learned:
            self.checkpoint.write(self.learner, self.log.position)

    @property
    def _learned(self) -> bool:
        return self.log.position > self.checkpoint.offset


async def restore(
    connection: Connection, topic: str, checkpoint: Checkpoint, empty: Learner, *, follows: bool
) -> Learning:
    """The learner of the checkpoint if that is valid, otherwise an empty one.

    A checkpoint that ends before the first example still in the log is not valid: a model is either of the whole log or
    of what remains of it, so that workers which lack examples have the same one. That it lacks them is logged.

    Parameters
    ----------
    connection
        How to reach Kafka.
    topic
        The examples topic.
    checkpoint
        Where the learner is saved.
    empty
        A learner without examples.
    follows
        Whether it is to learn further examples.

    Raises
    ------
    KafkaError
        The end of the log cannot be read.
    OptionsError
        The learner is not to follow the log, and the checkpoint is invalid.
    """
    async with LogReader(connection.client(), TopicPartition(topic, 0)) as log:
        begin, end = await log.begin(), await log.end()
    found = checkpoint.read(end, begin=begin, cache=follows)
    if found is None:
        checkpoint.first = begin
    if checkpoint.first and follows:
        logger.error(
            "the model lacks the examples at offsets 0 to %d of %s, which were deleted before it learned them: it is "
            "not that of workers which have learned them; stream_app_model_identity_info shows who has which",
            checkpoint.first - 1,
            topic,
        )
    learner, start = (empty, begin) if found is None else (found.learner, found.offset)
    return Learning(connection, topic, checkpoint, learner, start, follows)
