"""What holds after every fault, as section "The matrix" of docs/reliability.md numbers it.

The expected state is recomputed by `tests.support.oracle`, which shares nothing with the detector; the words of
verdicts are those of a replay in one process.
"""

from __future__ import annotations

import asyncio
import json
import signal
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import orjson

from stream_app import wire
from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.operators import Operators
from stream_app.core.outputs import PRUNE, Example, Guard, Verdict
from stream_app.kafka.state.changelog import POSITION
from stream_app.sources import native
from tests.broker.chaos import figure
from tests.broker.cluster import Cluster, Process, replay
from tests.broker.scenarios import SOURCE_PARTITIONS, by_id
from tests.broker.test_relay import until
from tests.broker.worker_process import opinions
from tests.support.oracle import recompute

#: Classes of the ledger that the oracle has.
CLASSES = ("useful", "wasted", "pending", "unattributed", "unknown")
#: Differences that are shown.
SHOWN = 5


def expected_state(messages: Iterable[bytes]) -> dict[str, Any]:
    """Graphlets and ledgers of a set of events, computed from scratch."""
    events = [native.decode(message) for message in messages]
    return recompute(events, operators=Operators(), horizon_ms=Settings().horizon_ms)


async def check_state(cluster: Cluster, expected: dict[str, Any]) -> None:
    """I2 and I3: graphlets, outcomes and sums of the changelogs are the oracle's, and no pipeline is torn."""
    graphlets: dict[str, Any] = {}
    ledgers: dict[str, Any] = {}
    for rows in await cluster.rows_of_core():
        detector = Detector.load(Settings(), rows)
        found = graphlets_of(detector)
        assert not graphlets.keys() & found.keys(), "I3: a graphlet is in two partitions"
        assert not ledgers.keys() & detector.pipelines.keys(), "I3: a pipeline is in two partitions"
        graphlets |= found
        for name in detector.pipelines:
            sums = detector.ledger(name)
            ledgers[name] = {kind: n for kind in CLASSES if (n := getattr(sums, kind)) or kind != "unknown"}
    same("I2: the ledger of", ledgers, expected["ledger"])
    same("I3: graphlet", graphlets, expected["graphlets"])


def graphlets_of(detector: Detector) -> dict[str, Any]:
    """Graphlets with a trainer in the oracle's form."""
    names = ("pipeline", "run", "trainer", "up", "down", "side", "outcome", "cause", "cost")
    return {
        graphlet["graphlet"]: {name: graphlet[name] for name in names} | {"time": graphlet["time_ms"]}
        for graphlet in detector.graphlets()
        if graphlet["trainer"] is not None
    }


def same(what: str, found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Two mappings are equal; the first differences are shown."""
    differing = sorted(key for key in found.keys() | expected.keys() if found.get(key) != expected.get(key))
    lines = [f"{what} {key}: {found.get(key)}, expected {expected.get(key)}" for key in differing[:SHOWN]]
    assert not differing, f"{len(differing)} differ\n" + "\n".join(lines)


async def check_dead_letters(cluster: Cluster, bad: Sequence[bytes]) -> None:
    """I1: what was no event is in the dead letters, and nothing else is (events are in the state, by I3)."""
    letters = {record.value for record in await cluster.read(cluster.names.dead_letters, SOURCE_PARTITIONS)}
    assert letters == set(bad), (
        f"I1: {len(set(bad) - letters)} dead letters are missing, {len(letters - set(bad))} wrong"
    )


async def check_words(cluster: Cluster, messages: Iterable[bytes], model: Learner) -> dict[str, int]:
    """I1 and I2: every verdict and example of a replay was sent, in its words, and nothing else.

    Returns: how many verdicts and alerts were sent, how often one was sent again, and how many flags a word withdrew.
    """
    outputs = replay(messages, model)[1]
    verdicts = await cluster.read(cluster.names.verdicts, SOURCE_PARTITIONS)
    examples = await cluster.read(cluster.names.examples, 1)
    found, labels = by_id(verdicts), by_id(examples)
    same("I1: verdict", found, {o.id: wire.verdict_to_dict(o) for o in outputs if isinstance(o, Verdict)})
    same("I1: example", labels, {o.id: wire.example_to_dict(o) for o in outputs if isinstance(o, Example)})
    sent = len(verdicts) + len(examples)
    kept = sum(verdict["withdrawn"] == Guard.KEEP for verdict in found.values())
    again = sent - len(found) - len(labels)
    return {"sent": sent, "sent_again": again, "kept": kept, "flags": await check_flags(cluster)}


async def check_flags(cluster: Cluster) -> int:
    """I4 and I5: revisions rise, flags open and close in turn, and each has its alert. Returns the number of flags."""
    revisions: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for verdict in by_id(await cluster.read(cluster.names.verdicts, SOURCE_PARTITIONS)).values():
        revisions[verdict["graphlet"]].append(verdict)
    opened = set()
    for graphlet, said in revisions.items():
        numbers = [verdict["revision"] for verdict in said]
        assert numbers == list(range(1, len(said) + 1)), f"I4: {graphlet} has the revisions {numbers}"
        flagged = [False, *(verdict["decision"] == PRUNE for verdict in said)]
        opened |= {said[n]["id"] for n in range(len(said)) if flagged[n + 1] and not flagged[n]}
    told = await check_alerts(cluster)
    missing = opened - told
    assert not missing, f"I5: no alert for {sorted(missing)[:SHOWN]}"
    return len(opened)


async def check_alerts(cluster: Cluster) -> set[str]:
    """I4: the records of a flag have rising revisions and legal changes. Returns the ids of the verdicts they tell."""
    alerts = by_id(await cluster.read(cluster.names.alerts, SOURCE_PARTITIONS))
    changes: dict[str, list[str]] = defaultdict(list)
    told = set()
    for alert in alerts.values():
        data = alert["data"]
        if "flag" not in data:
            continue  # of a finding
        changes[data["flag"]].append(data["change"])
        assert data["revision"] == len(changes[data["flag"]]), (
            f"I4: {data['id']} is record {len(changes[data['flag']])}"
        )
        told |= {each["verdict"] for each in data["graphlets"]}
    for flag, order in changes.items():
        assert legal(order), f"I4: {flag} had the changes {order}"
    return told


#: Change of a flag -> what may follow it.
AFTER = {
    "": {"raised"},
    "raised": {"revised", "withdrawn", "resolved"},
    "revised": {"revised", "withdrawn", "resolved"},
    "withdrawn": {"raised"},
    "resolved": {"raised", "resolved"},
}


def legal(changes: Sequence[str]) -> bool:
    """Whether each change may follow the one before it."""
    return all(change in AFTER[before] for before, change in pairwise(["", *changes]))


async def check_offsets(cluster: Cluster) -> None:
    """I6: the group has committed no event that the state has not."""
    committed = cluster.admin.list_group_offsets(cluster.names.group)[cluster.names.group]
    for partition, rows in (await cluster.rows()).items():
        stored = rows.get(POSITION)
        position = orjson.loads(stored)["offset"] if stored else 0
        for at, entry in committed.items():
            if (at.topic, at.partition) == (cluster.names.events, partition):
                assert entry.offset <= position, f"I6: {entry.offset} committed in {partition}, state at {position}"


async def check_model(cluster: Cluster) -> int:
    """I9: the workers that run end on SIGTERM, each with the fold of the log as its model. Returns its examples."""
    learner = Learner()
    running = [worker for worker in cluster.workers if worker.running]
    log = (await cluster.ends(cluster.names.examples, 1)).popitem()[1]
    for worker in running:
        await asyncio.to_thread(until, lambda worker=worker: figure(worker, "stream_app_examples_position") == log)
    for record in await cluster.read(cluster.names.examples, 1):
        learner.learn(wire.example_from_dict(orjson.loads(record.value)))
    expected = json.loads(json.dumps(opinions(learner)))
    for worker in running:
        assert end(worker) == 0, f"a worker ended with an error\n{worker.log.read_text()[-3000:]}"
        said = json.loads(worker.settings.with_suffix(".model").read_text())
        assert said == expected, f"I9: {worker.log.stem} has another model than the fold of {learner.records} examples"
    return learner.records


def end(worker: Process) -> int:
    """Stop a worker as an orchestrator does; its status."""
    worker.signal(signal.SIGTERM)
    return worker.wait(60)
