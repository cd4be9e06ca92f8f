"""A rolling upgrade from the last release: nothing is lost, and nothing is announced in two ways.

Two workers of the last release serve a fleet. Each is stopped and started again with this code, its folder and its
instance id, while events keep coming. Some names of the fleet hold characters that ids escape now; the last release
joined names as they are. The upgrade takes place once, and each test looks at one property of what the topics hold.
"""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from kafka.admin import KafkaAdminClient

from stream_app import wire
from stream_app.core.detector import Detector, Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import PRUNE, Cause, Example, Verdict
from stream_app.kafka.clients.topics import Names
from stream_app.simulator import Fleet, FleetOptions
from tests.broker.announced import OLD_CHANGES, Announced, Subject, Topics, open_after, read_topics, subject_of, values
from tests.broker.broker import Broker
from tests.broker.cluster import PATIENCE, THIS_CODE, Cluster, Process, replay, state
from tests.broker.release import Release, unpack
from tests.broker.scenarios import trickle

WORKERS = 2
#: So large that flags are frequent.
BUDGET = 0.6
#: How many of the fleet's events come before the upgrade, while it goes on, and in all.
BEFORE, MEANWHILE, ALL = 8_000, 1_500, 12_000
#: How many events come at once before the upgrade.
STEP = 1_000
#: How many runs of each pipeline are in training during the upgrade.
IN_TRAINING = 8


def renamed(event: dict[str, Any]) -> dict[str, Any]:
    """The event with slashes in the names of every third pipeline, and a colon in the ids of its trainers."""
    name, execution = event["pipeline"], event["execution"]
    if int(name[-4:]) % 3:
        return event
    if execution["type"] == "Trainer":
        execution = {**execution, "id": execution["id"].replace("/", ":")}
    return {**event, "pipeline": f"team/ml~ops/{name}", "execution": execution}


def is_escaped(subject: Subject) -> bool:
    """Whether the last release gives the subject's graphlet another id."""
    return "~" in subject.graphlet


@dataclass(frozen=True)
class Arrivals:
    """The events of a fleet: before, during and after the upgrade."""

    before: list[bytes]
    meanwhile: list[bytes]
    after: list[bytes]

    @property
    def all(self) -> list[bytes]:
        return [*self.before, *self.meanwhile, *self.after]


def arrivals() -> Arrivals:
    """Days of a fleet. The last runs before the upgrade are held up in training until it is over."""
    fleet = Fleet(FleetOptions(pipelines=20, days=8, seed=3))
    events = [renamed(event) for event in islice(fleet.events(), ALL)]
    runs: dict[str, dict[str, None]] = {}
    for event in events[:BEFORE]:
        runs.setdefault(event["pipeline"], {})[event.get("run", "")] = None
    last = {(pipeline, run) for pipeline, started in runs.items() for run in list(started)[-IN_TRAINING:]}
    before, held = [], []
    in_training = set()
    for event in events[:BEFORE]:
        place = event["pipeline"], event.get("run", "")
        (held if place in in_training else before).append(event)
        if place in last and event["execution"]["type"] == "Trainer":
            in_training.add(place)
    rest = events[BEFORE : BEFORE + MEANWHILE], [*held, *events[BEFORE + MEANWHILE :]]
    return Arrivals(*([orjson.dumps(event) for event in part] for part in (before, *rest)))


@dataclass(frozen=True)
class Upgrade:
    """An upgrade that is over."""

    release: Release
    arrivals: Arrivals
    #: What was announced by old workers alone, and in the end.
    before: Topics
    after: Topics
    #: Graphlets and ledgers in the end.
    state: dict[str, Any]


def old_worker(cluster: Cluster, release: Release, number: int) -> Process:
    """A worker of the release, as its command starts it."""
    settings = cluster.folder / f"worker{number}.toml"
    settings.write_text(
        f'[kafka]\nbootstrap_servers = "{cluster.bootstrap}"\ngroup = "{cluster.names.group}"\n'
        f'sources = ["{cluster.names.sources[0]}"]\npartitions = {cluster.partitions}\nreplication = 1\n'
        f'folder = "{cluster.folder / f"worker{number}"}"\ninstance_id = "worker{number}"\nmetrics_port = 0\n'
        f"tick_seconds = 3600\n[detector]\nbudget = {BUDGET}\n"
    )
    program = ("-m", "stream_app", "worker", "--config")
    log = cluster.folder / f"worker{number}.log"
    return Process(settings, log, program, cluster.folder, release.python_path)


async def all_committed(cluster: Cluster) -> None:
    """Wait until the workers have applied all events; says nothing of how they store them."""
    async with asyncio.timeout(PATIENCE):
        while not await cluster.committed(cluster.names.events, cluster.partitions):
            assert all(worker.running for worker in cluster.workers), cluster.logs()
            await asyncio.sleep(0.3)


async def upgraded_under_load(cluster: Cluster, release: Release, events: Arrivals) -> Upgrade:
    """Serve the events, and upgrade the workers on the way."""
    for worker in cluster.workers:
        worker.start()
    for first in range(0, len(events.before), STEP):
        # The model learns from a topic of its own: given all at once, the events may be over before it flags any.
        await trickle(cluster, events.before[first : first + STEP], seconds=0)
        await all_committed(cluster)
    before = await read_topics(cluster)
    cluster.make_topics()
    load = asyncio.create_task(trickle(cluster, events.meanwhile, seconds=12))
    for worker in cluster.workers:
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait) == 0
        worker.python_path = THIS_CODE
        worker.start()
        await asyncio.to_thread(worker.said, "are open")
    await load
    await trickle(cluster, events.after, seconds=0)
    await all_committed(cluster)
    after, rows = await read_topics(cluster), await cluster.rows_of_core()
    return Upgrade(release, events, before, after, state(Detector.load(Settings(), part) for part in rows))


@pytest.fixture(scope="module")
def upgrade(broker: Broker, admin: KafkaAdminClient, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    folder, prefix = tmp_path_factory.mktemp("upgrade"), f"t{uuid.uuid4().hex[:10]}"
    release = unpack(folder / "release")
    cluster = Cluster(broker.bootstrap, admin, folder, Names(prefix, (f"{prefix}-source",)))
    cluster.workers = [old_worker(cluster, release, number) for number in range(WORKERS)]
    release.run(folder, "-m", "stream_app", "topics", "apply", "--config", str(cluster.workers[0].settings))
    try:
        yield asyncio.run(upgraded_under_load(cluster, release, arrivals()))
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def replayed(upgrade: Upgrade) -> tuple[Detector, Topics]:
    """The same events through this code in one go, and what it announces, with a model that learns nothing."""
    detector, outputs = replay(upgrade.arrivals.all, Learner())
    verdicts = [wire.verdict_to_dict(output) for output in outputs if isinstance(output, Verdict)]
    examples = [wire.example_to_dict(output) for output in outputs if isinstance(output, Example)]
    kept = [[Announced(value["graphlet"], value, 0) for value in topic] for topic in (verdicts, examples)]
    return detector, Topics(*kept, alerts=[])


# What the scenario must hold, or the tests below prove nothing


def test_the_last_release_runs_its_own_code(upgrade: Upgrade, tmp_path: Path) -> None:
    """Its package and its version are those of its wheel, not of this checkout."""
    asked = "import stream_app as s, importlib.metadata as m; d = m.distribution('stream-app')"
    told = upgrade.release.run(tmp_path, "-c", f"{asked}; print(s.__file__, d.locate_file(''), d.version)")

    folder = upgrade.release.folder
    assert told.split() == [str(folder / "stream_app" / "__init__.py"), str(folder), "0.1.0"]


def test_the_upgrade_falls_between_labels_and_their_corrections(upgrade: Upgrade) -> None:
    """Old workers announced labels that new ones corrected, some of graphlets whose ids differ."""
    old, new = upgrade.before.examples_by_revision().keys(), upgrade.after.examples_by_revision().keys()
    corrected = {subject for subject, revision in new - old if revision > 1 and (subject, revision - 1) in old}

    assert any(map(is_escaped, corrected))


def test_flags_are_open_during_the_upgrade(upgrade: Upgrade) -> None:
    """Old workers raised flags on graphlets whose ids differ, and new ones predict these graphlets again."""
    old, new = upgrade.before.verdicts_by_revision(), upgrade.after.verdicts_by_revision()
    flagged_again = {
        subject for subject, revision in new.keys() - old.keys() if new[subject, revision][0]["decision"] == PRUNE
    }
    were_open = frozenset[str]().union(*upgrade.before.open_flags().values())

    assert any(is_escaped(subject) and subject.graphlet in were_open for subject in flagged_again)


# What holds


def test_the_state_is_that_of_a_replay(upgrade: Upgrade, replayed: tuple[Detector, Topics]) -> None:
    """Graphlets, outcomes and ledgers."""
    assert upgrade.state == state([replayed[0]])


def test_every_label_is_announced(upgrade: Upgrade, replayed: tuple[Detector, Topics]) -> None:
    """Each outcome and each correction of a replay is in the examples log, and nothing else.

    The last release did not know refused pushes: what it announced of them stays as it was.
    """
    assert as_before(upgrade.after.labels()) == as_before(replayed[1].labels())


def as_before(labels: set[Hashable]) -> set[Hashable]:
    """Labels with the causes that the last release knew."""
    return {
        tuple(Cause.RUN_ENDED if part == Cause.REFUSED else part for part in cast(tuple[object, ...], label))
        for label in labels
    }


def test_every_stage_has_its_verdict(upgrade: Upgrade, replayed: tuple[Detector, Topics]) -> None:
    """Each stage of a replay has the verdict of the same revision, and there are no others."""
    assert upgrade.after.stages() == replayed[1].stages()


def test_what_the_last_release_announced_stays(upgrade: Upgrade) -> None:
    """Its verdicts, examples and alerts are all in the topics, with the same contents."""
    before, after = upgrade.before, upgrade.after
    for old, new in (
        (before.verdicts_by_revision(), after.verdicts_by_revision()),
        (before.examples_by_revision(), after.examples_by_revision()),
    ):
        assert all(content in new[place] for place, contents in old.items() for content in contents)
    assert set(before.alerts_in_order()) <= set(after.alerts_in_order())


def test_nothing_is_announced_in_two_ways(upgrade: Upgrade) -> None:
    """A revision of a verdict or of a label has one content, whoever sent it and however often."""
    for by_revision in (upgrade.after.verdicts_by_revision(), upgrade.after.examples_by_revision()):
        assert not {
            place: contents for place, contents in by_revision.items() if contents != contents[:1] * len(contents)
        }


def test_a_flag_that_is_open_is_not_raised_again(upgrade: Upgrade) -> None:
    """By this release, which has one flag for a run; the one before had one for each of its graphlets."""
    alerts = upgrade.after.alerts_in_order()
    again = [
        alert
        for number, alert in enumerate(alerts)
        if alert.change == "raised"
        and alert.id.partition(":")[0] not in OLD_CHANGES
        and alert.flag in open_after(alerts[:number])
    ]

    assert not again


def test_a_flag_ends_with_the_outcome(upgrade: Upgrade) -> None:
    """No flag is open of which every graphlet has an outcome, also where an old worker raised it."""
    labelled = {subject_of(value).graphlet for value in values(upgrade.after.examples)}

    alerts = upgrade.after.alerts_in_order()
    stuck = [flag for flag, graphlets in open_after(alerts).items() if graphlets <= labelled]
    assert not [alert for alert in alerts if alert.flag in stuck]


def test_labels_are_learned_once(upgrade: Upgrade) -> None:
    """The fold of the examples log has each label once; a correction replaces the label before it."""
    learner, last = Learner(), dict[Subject, dict[str, Any]]()
    for value in values(upgrade.after.examples):
        learner.learn(wire.example_from_dict(value))
        last[subject_of(value)] = value
    stages = Counter(
        stage["stage"] for value in last.values() if value["pushed"] is not None for stage in value["stages"]
    )

    assert learner.records == len(upgrade.after.examples_by_revision())
    assert {stage: quality.support for stage, quality in learner.metrics().items()} == stages


def test_each_subject_has_one_verdict_after_compaction(upgrade: Upgrade) -> None:
    """Its last one, under the id that this release gives its graphlet; old ids have tombstones."""
    last: dict[Subject, int] = {}
    for subject, revision in upgrade.after.verdicts_by_revision():
        last[subject] = max(revision, last.get(subject, 0))
    left = upgrade.after.compacted_verdicts()

    assert {key: value["revision"] for key, value in left.items()} == {s.graphlet: n for s, n in last.items()}
