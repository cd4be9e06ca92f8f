"""The model of a worker on a real broker: whatever became of workers, it is the fold of the examples log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
from itertools import accumulate
from pathlib import Path

import orjson
import pytest
from kafka import TopicPartition

from stream_app import wire
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import PRUNE, Example, Verdict
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.topics import find
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model.checkpoint import Checkpoint
from stream_app.kafka.model.examples_log import ExamplesLog, LostExamplesError
from stream_app.kafka.model.learning import Learning, restore
from stream_app.simulator import Fleet, FleetOptions
from tests.broker.cluster import Cluster, Process, replay
from tests.broker.scenarios import check_outputs, keyed
from tests.broker.worker_process import opinions


def checkpoint_of(cluster: Cluster, folder: Path, counts: Counts | None = None) -> Checkpoint:
    """The checkpoint of a worker with that folder."""
    found = find(cluster.admin, [cluster.names.examples])[cluster.names.examples]
    return Checkpoint(folder, None, found.topic_id, Settings(), counts or Counts())


async def folded(cluster: Cluster) -> Learner:
    """The fold of the whole log, from its beginning."""
    learner = Learner()
    for record in await cluster.read(cluster.names.examples, 1):
        learner.learn(wire.example_from_dict(orjson.loads(record.value)))
    return learner


def said_of(fleet: list[bytes]) -> list[bytes]:
    """The examples that a fleet gives, as they are sent."""
    _, outputs = replay(fleet, Learner())
    return [orjson.dumps(wire.example_to_dict(output)) for output in outputs if isinstance(output, Example)]


async def life(cluster: Cluster, checkpoint: Checkpoint) -> Learning:
    """A worker's model from its restart until it has caught up; then it dies at once."""
    connection = Connection(cluster.bootstrap)
    learning = await restore(connection, cluster.names.examples, checkpoint, Learner(), follows=True)
    running = asyncio.create_task(learning.run())
    await learning.wait()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return learning


def test_lives_and_deaths_leave_no_trace_in_the_model(cluster: Cluster, fleet: list[bytes], tmp_path: Path) -> None:
    """Eight lives, three of which leave a checkpoint, over a log with doubles: each has the fold of the whole log."""
    chance = random.Random(4)
    examples = said_of(fleet)
    log = [(None, b"k", example) for example in examples for _ in range(chance.choice((1, 1, 2)))] + [
        (None, b"k", example) for example in examples[20:80]
    ]
    parts = [log[start : start + 60] for start in range(0, 480, 60)]
    ends, begun, counts = list(accumulate(map(len, parts))), [], Counts()

    async def body() -> None:
        for number, part in enumerate(parts):
            await cluster.produce(cluster.names.examples, part)
            checkpoint = checkpoint_of(cluster, tmp_path, counts)
            learning = await life(cluster, checkpoint)
            begun.append(checkpoint.offset)
            if number in (1, 2, 5):
                learning.save()
            assert opinions(learning.learner) == opinions(await folded(cluster))
            assert learning.log.position == ends[number]

    asyncio.run(body())
    assert begun == [0, 0, ends[1], ends[2], ends[2], ends[2], ends[5], ends[5]]
    assert counts.checkpoints_dropped == 0


def test_workers_that_lack_examples_have_one_model_and_say_so(
    cluster: Cluster, fleet: list[bytes], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A log that should never be cut is: an old checkpoint, an older one, none, and one that covers the gap."""
    few = said_of(fleet[:3_000])[:10]
    topic = cluster.names.examples

    async def body() -> None:
        await cluster.produce(topic, [(None, b"k", example) for example in few[:2]])
        (await life(cluster, checkpoint_of(cluster, tmp_path / "older"))).save()
        await cluster.produce(topic, [(None, b"k", example) for example in few[2:4]])
        (await life(cluster, checkpoint_of(cluster, tmp_path / "old"))).save()
        await cluster.produce(topic, [(None, b"k", example) for example in few[4:8]])
        whole = await life(cluster, checkpoint_of(cluster, tmp_path / "covers"))
        whole.save()
        await cluster.produce(topic, [(None, b"k", example) for example in few[8:]])
        cluster.admin.delete_records({TopicPartition(topic, 0): 6})
        counts = Counts()
        lacking = [
            await life(cluster, checkpoint_of(cluster, tmp_path / name, counts)) for name in ("older", "old", "none")
        ]
        told = [line for line in caplog.messages if line.startswith("the model lacks")]
        covers = await life(cluster, checkpoint_of(cluster, tmp_path / "covers", counts))

        assert len({json.dumps(opinions(learning.learner)) for learning in lacking}) == 1
        assert {(learning.log.position, learning.learner.records) for learning in lacking} == {(10, 4)}
        assert {learning.checkpoint.first for learning in lacking} == {6}
        assert len(told) == 3
        assert f"lacks the examples at offsets 0 to 5 of {topic}" in told[0]
        assert counts.checkpoints_dropped == 2
        assert (covers.learner.records, covers.checkpoint.first) == (10, 0)
        assert covers.checkpoint.identity == whole.checkpoint.identity
        assert {learning.checkpoint.identity for learning in lacking} & {covers.checkpoint.identity} == set()
        assert len({learning.checkpoint.identity for learning in lacking}) == 1

        lacking[0].save()
        again = await life(cluster, checkpoint_of(cluster, tmp_path / "older"))
        assert again.checkpoint.identity == lacking[0].checkpoint.identity
        assert len([line for line in caplog.messages if line.startswith("the model lacks")]) == 4

    asyncio.run(body())


def test_examples_deleted_ahead_of_a_worker_end_it(cluster: Cluster, fleet: list[bytes]) -> None:
    """It says which, and learns from what remains when it starts again."""
    few = said_of(fleet[:3_000])[:10]

    async def body() -> None:
        await cluster.produce(cluster.names.examples, [(None, b"k", example) for example in few])
        cluster.admin.delete_records({TopicPartition(cluster.names.examples, 0): 6})
        behind = ExamplesLog(Connection(cluster.bootstrap), cluster.names.examples, Learner().learn, start=2)
        with pytest.raises(LostExamplesError, match=r"offsets 2 to 5 of .*-examples were deleted"):
            await behind.run()

    asyncio.run(body())


def test_every_worker_has_the_same_model(cluster: Cluster, fleet: list[bytes]) -> None:
    """The same probabilities, bit for bit, after a kill, and after a restart from a checkpoint."""
    cluster.learning = True

    def model(worker: Process) -> object:
        return json.loads(worker.settings.with_suffix(".model").read_text())

    async def body() -> None:
        first, second = cluster.worker(), cluster.worker()
        await cluster.produce(cluster.names.events, keyed(fleet))
        await cluster.settle()
        first.kill()
        first.start()
        await asyncio.to_thread(first.said, "are open")
        await cluster.settle()
        await asyncio.sleep(2)
        for worker in (first, second):
            worker.signal(signal.SIGTERM)
        assert [worker.wait(20) for worker in (first, second)] == [0, 0]
        alone = await folded(cluster)
        expected = json.loads(json.dumps(opinions(alone)))
        assert model(first) == model(second) == expected
        first.start()
        await asyncio.to_thread(first.said, f"model restored from its checkpoint: {alone.records} examples")
        await asyncio.to_thread(first.said, "are open")
        first.signal(signal.SIGTERM)
        assert first.wait(20) == 0

        assert model(first) == expected
        assert alone.records > 100

    asyncio.run(body())


def test_with_a_given_model_verdicts_are_those_of_replay(cluster: Cluster, fleet: list[bytes]) -> None:
    """Three workers, the same checkpoint for each, and no learning: word for word, flags among them."""
    trained = trained_model()

    async def body() -> None:
        for number in range(3):
            checkpoint_of(cluster, cluster.folder / f"worker{number}").write(trained, offset=0)
            cluster.worker()
        await cluster.produce(cluster.names.events, keyed(fleet))
        await cluster.settle()
        await check_outputs(cluster, fleet, trained)

    asyncio.run(body())
    _, outputs = replay(fleet, trained)
    assert any(isinstance(output, Verdict) and output.decision == PRUNE for output in outputs)


def trained_model() -> Learner:
    """A model that has learned enough of another fleet to flag."""
    learner = Learner()
    other = [orjson.dumps(event) for event in Fleet(FleetOptions(pipelines=9, days=12, seed=8)).events()]
    for output in replay(other, learner)[1]:
        if isinstance(output, Example):
            learner.learn(output)
    return learner
