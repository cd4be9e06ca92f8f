"""The Faust app: the topics it reads, its settings, and where its batches go."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import faust
from faust.types import TP
from faust.types.auth import CredentialsT
from mode import CrashingSupervisor

from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.flow import Flow
from stream_app.kafka.engine.assignment import Assignment
from stream_app.kafka.engine.partition_queues import PartitionQueues
from stream_app.kafka.engine.transport import BatchSchema, BatchTransport, Positions, ReportLost, StickyAssignor
from stream_app.kafka.records import Batch

#: Records in a batch.
BATCH_RECORDS = 2_000
#: Batches between the fetcher and the queues of the partitions.
BUFFERED_BATCHES = 4


def make_app(
    connection: Connection,
    flow: Flow,
    folder: Path,
    positions: Positions,
    report_lost: ReportLost,
    *,
    session_seconds: float,
    instance_id: str | None,
) -> faust.App:
    """A Faust app without agents.

    Parameters
    ----------
    connection
        How to reach Kafka.
    flow
        The topics and the consumer group.
    folder
        Faust's data directory.
    positions
        Returns the next offset to read of each partition.
    report_lost
        Given topic, partition, and the first and the end of the offsets that were gone before they were read.
    session_seconds
        The session timeout: a worker that does not answer for so long loses its partitions.
    instance_id
        Keeps the partitions of a worker over a restart (static membership); None: dynamic membership.
    """
    app = faust.App(
        flow.group,
        broker=";".join(f"kafka://{server}" for server in connection.servers),
        broker_credentials=credentials(connection),
        # Faust's own tables are not used, topics are created by `stream-app topics apply`, probes have a thread.
        store="memory://",
        datadir=str(folder),
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_enabled=False,
        # A batch is the unit of everything that is buffered.
        broker_max_poll_records=BATCH_RECORDS,
        stream_buffer_maxsize=BUFFERED_BATCHES,
        consumer_auto_offset_reset="earliest",
        # A topic that was missing when the group looked for it, or has more partitions, is found soon.
        consumer_metadata_max_age_ms=5_000,
        # With a short session a dead worker is found soon; commits are hints, so losing one costs little.
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=session_seconds / 5,
        broker_rebalance_timeout=60.0,
        broker_max_poll_interval=600.0,
        broker_commit_interval=1.0,
        broker_commit_every=1_000_000,
        consumer_group_instance_id=instance_id,
        # With StickyAssignor this makes no standbys; it makes Faust use the assignor.
        table_standby_replicas=1,
        PartitionAssignor=StickyAssignor,
        agent_supervisor=CrashingSupervisor,
    )
    app.transport = BatchTransport(app, positions, report_lost)
    return app


def add_agent(
    app: faust.App,
    flow: Flow,
    assignment: Assignment[Any],
    pass_on: Callable[[Batch, Callable[[], bool]], Awaitable[None]],
) -> PartitionQueues:
    """Adds the agent that distributes batches.

    Parameters
    ----------
    app
        From `make_app`.
    flow
        The topics.
    assignment
        Given the batches of the topic with state, once it has taken its partitions over.
    pass_on
        Given each batch of a source topic, and a function that returns whether the partition is still owned.

    Returns
    -------
    PartitionQueues
        The queues that the agent fills, to be stopped after the app.
    """

    async def work(tp: TP, batch: Batch, owned: Callable[[], bool]) -> None:
        if tp.topic == flow.keyed:
            await assignment.apply(tp.partition, batch, owned)
        else:
            await pass_on(batch, owned)

    queues = PartitionQueues(app, work)

    async def read(stream: Any) -> None:
        async for event in stream.noack().events():
            await queues.put(event)

    async def take(*_: Any, **__: Any) -> None:
        await assignment.take()

    app.agent(app.topic(*flow.sources, flow.keyed, schema=BatchSchema()))(read)
    app.on_rebalance_complete.connect(take, weak=False)
    return queues


def credentials(connection: Connection) -> CredentialsT | None:
    """The login in Faust's form; None where there is neither a login nor TLS."""
    context = connection.tls()
    if connection.sasl:
        return faust.SASLCredentials(
            username=connection.username,
            password=connection.password,
            mechanism=connection.mechanism,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
