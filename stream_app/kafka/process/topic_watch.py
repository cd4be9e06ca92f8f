"""Watches the topics while a worker reads them: people delete topics, and make them anew under the same name.

Kafka's clients take a topic for the same as long as its name is. They would go on at the offset that they had reached,
which means nothing in the new topic, or wait for a topic that they have once found missing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from stream_app.errors import StateError, StreamAppError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topics import MOVE, Names, Seen, find_seen

log = logging.getLogger(__name__)

#: Seconds between two looks at the topics.
_CHECK_SECONDS = 2.0


class TopicWatch:
    """Reports missing topics, and lets topics that were made anew be read from their beginnings.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics.
    ids
        Topic -> its id when the worker began to use it; all topics are watched.
    partitions
        Of the topic of events and of its changelog.
    report
        Called with what is missing, or with "", each time the topics were looked at.
    begin_again
        Called with a source topic that was made anew.
    """

    def __init__(
        self,
        connection: Connection,
        names: Names,
        ids: Mapping[str, str],
        partitions: int,
        report: Callable[[str], None],
        begin_again: Callable[[str], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._names = names
        self._ids = dict(ids)
        self._partitions = partitions
        self._report = report
        self._begin_again = begin_again
        self._missing = ""
        self._admin: KafkaAdminClient | None = None

    async def run(self) -> None:
        """Looks at the topics until cancelled.

        Raises
        ------
        StateError
            A topic that state depends on was made anew, or was given more partitions.
        """
        try:
            while True:
                await asyncio.sleep(_CHECK_SECONDS)
                seen = await asyncio.to_thread(self._look)
                if seen is not None:
                    await self.compare(seen)
        finally:
            self._close()

    async def compare(self, seen: Mapping[str, Seen]) -> None:
        """Compares the topics that are there with those that the worker began to use.

        Parameters
        ----------
        seen
            The topics that exist, by name.

        Raises
        ------
        StateError
            As of `run`.
        """
        missing = ", ".join(name for name in self._ids if name not in seen)
        text = f"topics were deleted: {missing}: make them anew with `stream-app topics apply`" if missing else ""
        if missing and missing != self._missing:
            log.error("%s; reading goes on when they are there", text)
        self._missing = missing
        self._report(text)
        for name, (topic_id, partitions) in seen.items():
            if topic_id in ("", self._ids[name]):
                self._check_partitions(name, partitions)
                continue
            if name in self._names.sources:
                log.warning("topic %s was deleted and made anew: it is read from its beginning", name)
                await self._begin_again(name)
            elif name in (self._names.events, self._names.changelog, self._names.examples):
                raise StateError(f"topic {name} was deleted and made anew: the worker has to start again")
            self._ids[name] = topic_id

    def _check_partitions(self, name: str, partitions: int) -> None:
        if name in (self._names.events, self._names.changelog) and partitions > self._partitions:
            raise StateError(f"topic {name} has {partitions} partitions instead of {self._partitions}: {MOVE}")

    def _look(self) -> dict[str, Seen] | None:
        """The topics that exist; None while Kafka cannot be asked, which others report."""
        try:
            if self._admin is None:
                self._admin = self._connection.admin()
            return find_seen(self._admin, list(self._ids))
        except (KafkaError, StreamAppError):
            self._close()
            return None

    def _close(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None
