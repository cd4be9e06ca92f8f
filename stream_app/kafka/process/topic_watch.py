"""Watches the topics that a process uses: people delete topics, and make them anew under the same name.

Kafka's clients take a topic for the same as long as its name is. They would go on at the offset that they had reached,
which means nothing in the new topic, or wait for a topic that they have once found missing.

They also wait without a word while Kafka does not take what is written, or refuses the login.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from stream_app.errors import StateError, StreamAppError
from stream_app.kafka.clients.connection import Connection, RefusedError
from stream_app.kafka.clients.flow import Flow
from stream_app.kafka.clients.in_sync import find_unwritable
from stream_app.kafka.clients.topics import MOVE, Seen, find_seen

log = logging.getLogger(__name__)

#: Seconds between two looks at the topics.
_CHECK_SECONDS = 2.0


class _Condition:
    """Something that is wrong for a while; logged when it begins and when it is over."""

    def __init__(self, process: str, over: str) -> None:
        self._process = process
        self._over = over
        self._text = ""

    def tell(self, text: str) -> None:
        if text and not self._text:
            log.error("%s; the %s waits, and is not ready", text, self._process)
        elif self._text and not text:
            log.info(self._over)
        self._text = text


class TopicWatch:
    """Reports missing topics, and lets topics that were made anew be read from their beginnings.

    It also reports topics that do not take what is written, and a refused login.

    Parameters
    ----------
    connection
        How to reach Kafka.
    flow
        The topics.
    ids
        Topic -> its id when the process began to use it; all topics are watched.
    partitions
        Of the topic whose partitions have state, and of its changelog.
    report
        Called with what is wrong, or with "", each time the topics were looked at.
    begin_again
        Called with a source topic that was made anew.
    """

    def __init__(
        self,
        connection: Connection,
        flow: Flow,
        ids: Mapping[str, str],
        partitions: int,
        report: Callable[[str], None],
        begin_again: Callable[[str], Awaitable[None]],
    ) -> None:
        self._connection = connection
        self._flow = flow
        self._ids = dict(ids)
        self._partitions = partitions
        self._report = report
        self._begin_again = begin_again
        self._missing = ""
        self._unwritable = _Condition(flow.process, "Kafka takes what is written again")
        self._refused = _Condition(flow.process, "Kafka takes the connection again")
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
                try:
                    found = await asyncio.to_thread(self._look)
                except RefusedError as error:
                    self.refuse(str(error))
                    continue
                if found is not None:
                    self._refused.tell("")
                    await self.compare(*found)
        finally:
            self._close()

    def refuse(self, text: str) -> None:
        """Reports that Kafka refuses the connection, which running clients do not say: they connect again and again.

        Parameters
        ----------
        text
            Why.
        """
        self._refused.tell(text)
        self._report(text)

    async def compare(self, seen: Mapping[str, Seen], unwritable: str = "") -> None:
        """Compares the topics that are there with those that the process began to use.

        Parameters
        ----------
        seen
            The topics that exist, by name.
        unwritable
            What does not take records at the moment, as of `find_unwritable`.

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
        waits = f"Kafka does not take what is written: {unwritable}" if unwritable else ""
        self._unwritable.tell(waits)
        self._report("; ".join(each for each in (text, waits) if each))
        for name, (topic_id, partitions) in seen.items():
            if topic_id in ("", self._ids[name]):
                self._check_partitions(name, partitions)
                continue
            if name in self._flow.sources:
                log.warning("topic %s was deleted and made anew: it is read from its beginning", name)
                await self._begin_again(name)
            elif name in (self._flow.keyed, self._flow.changelog, *self._flow.logs):
                raise StateError(f"topic {name} was deleted and made anew: the {self._flow.process} has to start again")
            self._ids[name] = topic_id

    def _check_partitions(self, name: str, partitions: int) -> None:
        if name in (self._flow.keyed, self._flow.changelog) and partitions > self._partitions:
            raise StateError(f"topic {name} has {partitions} partitions instead of {self._partitions}: {MOVE}")

    def _look(self) -> tuple[dict[str, Seen], str] | None:
        """The topics that exist, and what cannot be written; None while Kafka cannot be asked, which others report."""
        try:
            if self._admin is None:
                self._admin = self._connection.admin()
            written = [self._flow.keyed, self._flow.changelog, *self._flow.outputs]
            seen = find_seen(self._admin, list(self._ids))
            return seen, find_unwritable(self._admin, written, self._flow.group)
        except RefusedError:
            raise
        except (KafkaError, StreamAppError):
            self._close()
            return None

    def _close(self) -> None:
        if self._admin is not None:
            self._admin.close()
            self._admin = None
