"""Whether the run of a flag may be stopped now, beside workers.

What people have decided is in the topic of events before they get their answer. So what was in the partition of the
pipeline when it is asked must be committed by the workers, which send verdicts and flag records before they commit;
then these are read to their ends, as the kill switch is. Whatever does not happen in time is a reason not to stop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import closing

import orjson
from kafka import TopicPartition
from kafka.admin import OffsetSpec

from stream_app import wire
from stream_app.acting.gate import Gate
from stream_app.acting.reasons import NotNow
from stream_app.alerts.flags import FlagRecord
from stream_app.alerts.records import record_from_dict
from stream_app.errors import StateError
from stream_app.kafka.alerting.switch_log import SwitchLog
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.placement import partition_of_key
from stream_app.kafka.clients.topics import Names, find
from stream_app.kafka.clients.whole_topic import WholeTopic
from stream_app.kafka.records import Record
from stream_app.service.stop_check import check_run, words_of
from stream_app.service.verdict_index import VerdictIndex

log = logging.getLogger(__name__)

#: Verdicts and flags that are kept: the latest.
VERDICTS_MAX, FLAGS_MAX = 200_000, 200_000
#: Seconds that a check may take: workers commit every few seconds. Seconds between two looks at what they have.
CHECK_SECONDS, _LOOK_SECONDS = 30.0, 0.5


class GroupStopCheck:
    """Asks the workers' topics; see `stream_app.alerts.stopping.StopCheck`.

    It begins to read when it is asked first, and goes on while its context lasts.

    Parameters
    ----------
    connection
        How to reach Kafka.
    names
        The topics.
    switch
        The kill switch of the group.
    gate
        The gate, which has the same switch.
    """

    def __init__(self, connection: Connection, names: Names, switch: SwitchLog, gate: Gate) -> None:
        self._connection = connection
        self._names = names
        self._switch = switch
        self._gate = gate
        self._verdicts = VerdictIndex(limit=VERDICTS_MAX)
        #: The last record of each flag, in the order in which they came.
        self._flags: dict[str, FlagRecord] = {}
        self._topics = (
            WholeTopic(connection, names.verdicts, self._take_verdicts),
            WholeTopic(connection, names.alerts, self._take_alerts),
        )
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> GroupStopCheck:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def refusal(self, record: FlagRecord) -> str:
        """Why the run of a flag must not be stopped now.

        Parameters
        ----------
        record
            A record of the flag.

        Returns
        -------
        str
            In words; "" where it may be stopped.
        """
        return await words_of(self._check, record, self._gate, CHECK_SECONDS)

    async def _check(self, record: FlagRecord) -> NotNow | None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read())
        await self._applied(record.pipeline)
        ends = asyncio.create_task(self._read_to_ends())
        try:
            await asyncio.wait([ends, self._reading], return_when=asyncio.FIRST_COMPLETED)
            await (ends if ends.done() else self._reading)  # which raises why nothing is read any more
        finally:
            ends.cancel()
        latest = self._flags.get(record.flag)
        is_open = latest is not None and not latest.is_end and latest.revision >= record.revision
        return check_run(record, self._verdicts, self._gate, is_open=is_open)

    async def _read(self) -> None:
        async with asyncio.TaskGroup() as group:
            for topic in self._topics:
                group.create_task(topic.run())

    async def _read_to_ends(self) -> None:
        await asyncio.gather(*(each.read_to_end() for each in (*self._topics, self._switch)))

    async def _applied(self, pipeline: str) -> None:
        """Returns when the workers have committed what is in the partition of a pipeline now."""
        at, end = await asyncio.to_thread(self._end_of_events, pipeline)
        while await asyncio.to_thread(self._committed, at) < end:
            await asyncio.sleep(_LOOK_SECONDS)

    def _end_of_events(self, pipeline: str) -> tuple[TopicPartition, int]:
        topic = self._names.events
        with closing(self._connection.admin()) as admin:
            partitions = find(admin, [topic])[topic].partitions
            at = TopicPartition(topic, partition_of_key(pipeline.encode(errors="replace"), partitions))
            return at, int(admin.list_partition_offsets({at: OffsetSpec.LATEST})[at].offset)

    def _committed(self, at: TopicPartition) -> int:
        with closing(self._connection.admin()) as admin:
            known = admin.list_group_offsets([self._names.group])[self._names.group]
            return int(getattr(known.get(at), "offset", -1))

    def _take_verdicts(self, records: Sequence[Record]) -> None:
        for record in records:
            if record.value is not None:
                try:
                    self._verdicts.add(wire.upgrade(orjson.loads(record.value)), record.timestamp)
                except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
                    log.warning("the record at offset %d of %s is no verdict", record.offset, record.topic)

    def _take_alerts(self, records: Sequence[Record]) -> None:
        for record in records:
            try:
                found = record_from_dict(orjson.loads(record.value or b"")["data"])
            except (KeyError, TypeError, AttributeError, ValueError, StateError):
                continue  # whoever tells subscribers logs and counts it
            if isinstance(found, FlagRecord):
                before = self._flags.pop(found.flag, found)
                self._flags[found.flag] = max(before, found, key=lambda each: each.revision)
                if len(self._flags) > FLAGS_MAX:
                    del self._flags[next(iter(self._flags))]
