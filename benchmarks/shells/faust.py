"""Stock Faust: its own transport and RocksDB table, one event at a time, the core in an agent.

Settings are as they come, but for compression.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Any

import faust

from benchmarks.shells.meter import Meter, Task, apply


async def run(task: Task, meter: Meter) -> None:
    app = faust.App(
        task.group,
        broker=f"kafka://{task.bootstrap}",
        store="rocksdb://",
        datadir=task.folder,
        web_enabled=False,
        topic_replication_factor=1,
        topic_partitions=task.partitions,
        topic_disable_leader=True,
        producer_compression_type="zstd",
        consumer_auto_offset_reset="earliest",
        broker_max_poll_interval=600.0,
    )
    table = app.Table("rows", key_type=bytes, value_type=bytes, partitions=task.partitions)
    detector, finished = meter.core(), asyncio.Event()
    done = 0

    @app.agent(app.topic(task.topic, key_type=bytes, value_type=bytes, value_serializer="raw"))
    async def read(stream: Any) -> None:
        nonlocal done
        async for event in stream.events():
            apply(detector, event.value, round(event.message.timestamp * 1000))
            for key, value in detector.take_rows():
                meter.rows += 1
                if value is not None:
                    table[key] = value
                elif key in table:
                    del table[key]
            done += 1
            if done == task.events:
                finished.set()

    await app.start()
    await finished.wait()
    await app.producer.buffer.flush()
    await app.producer.flush()
    meter.end()
    os._exit(0)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(run(Task.given(), Meter()))
