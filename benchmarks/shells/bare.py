"""The limit: aiokafka, orjson and the core in one loop, state in a dict, rows sent in batches and hardly waited for.

It guarantees nothing: no fencing, no outbox, no local copy, no partition of its own state.
"""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from benchmarks.shells.meter import Meter, Task, apply
from stream_app.core.detector import Detector
from stream_app.kafka.clients.producer import BATCH_BYTES
from stream_app.kafka.clients.topics import MAX_MESSAGE_BYTES

#: As many as the worker takes at once.
RECORDS = 2_000


async def run(task: Task, meter: Meter) -> None:
    detector, state = meter.core(), dict[bytes, bytes]()
    consumer = AIOKafkaConsumer(
        task.topic, bootstrap_servers=task.bootstrap, group_id=task.group, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=task.bootstrap,
        compression_type="zstd",
        max_batch_size=BATCH_BYTES,
        max_request_size=MAX_MESSAGE_BYTES,
    )
    await consumer.start()
    await producer.start()
    done, sent = 0, list[asyncio.Future[object]]()
    while done < task.events:
        for tp, records in (await consumer.getmany(timeout_ms=500, max_records=RECORDS)).items():
            for record in records:
                apply(detector, record.value, record.timestamp)
            done += len(records)
            sent.append(await save(detector, state, producer, f"{task.group}-state-changelog", tp.partition, meter))
    await asyncio.gather(*sent)
    meter.end()
    await consumer.stop()
    await producer.stop()


async def save(
    detector: Detector, state: dict[bytes, bytes], producer: AIOKafkaProducer, topic: str, partition: int, meter: Meter
) -> asyncio.Future[object]:
    """Put the changed rows into the dict and on their way to Kafka."""
    batch = producer.create_batch()
    rows = detector.take_rows()
    meter.rows += len(rows)
    for key, value in rows:
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value
        if batch.append(key=key, value=value, timestamp=None) is None:
            await producer.send_batch(batch, topic, partition=partition)
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    sent: asyncio.Future[object] = await producer.send_batch(batch, topic, partition=partition)
    return sent


if __name__ == "__main__":
    asyncio.run(run(Task.given(), Meter()))
