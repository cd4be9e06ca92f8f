"""What workers have announced, read from their topics: verdicts, examples and alerts, by subject.

A subject is a trainer, or a run whose trainer is not known yet. It is named by its parts, never by the id of its
graphlet, so that records of different releases can be compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from stream_app.alerts.flags import flag_id
from stream_app.core.ids import graphlet_id, run_graphlet_id
from tests.broker.cluster import Cluster


class Subject(NamedTuple):
    """A trainer of a pipeline; or, with `trainer` None, a run."""

    pipeline: str
    trainer: str | None
    run: str | None

    @property
    def graphlet(self) -> str:
        """The id of its graphlet in this release."""
        if self.trainer is not None:
            return graphlet_id(self.pipeline, self.trainer)
        return run_graphlet_id(self.pipeline, self.run or "")


class Announced(NamedTuple):
    """A record: its key, its value (None: a tombstone), and when it was sent."""

    key: str
    value: dict[str, Any] | None
    sent_ms: int


def subject_of(value: dict[str, Any]) -> Subject:
    """Of a verdict or an example."""
    trainer = value["trainer"]
    return Subject(value["pipeline"], trainer, value["run"] if trainer is None else None)


def content_of(value: dict[str, Any]) -> dict[str, Any]:
    """A verdict or an example without the ids that are made of names."""
    return {name: value[name] for name in value if name not in ("id", "graphlet")}


class Alert(NamedTuple):
    """A change of a flag, as this release or the one before announced it."""

    #: The id that the flag has in this release: that of the run, or of a trainer outside of any run.
    flag: str
    change: str
    #: The graphlets that it is about, by this release's ids.
    graphlets: frozenset[str]
    #: The id of the record.
    id: str


#: What the release before called the changes of its flags, which it had one of for each graphlet.
OLD_CHANGES = {"flagged": "raised", "withdrawn": "withdrawn", "resolved": "resolved"}


@dataclass(frozen=True)
class Topics:
    """The records of the three topics, partition by partition, in their order."""

    verdicts: list[Announced]
    examples: list[Announced]
    alerts: list[Announced]

    def verdicts_by_revision(self) -> dict[tuple[Subject, int], list[dict[str, Any]]]:
        """The contents of each revision of each subject's verdict, as often as it was sent."""
        return grouped((subject_of(v), v["revision"], v) for v in values(self.verdicts))

    def examples_by_revision(self) -> dict[tuple[Subject, int], list[dict[str, Any]]]:
        """The contents of each label of each subject, as often as it was sent."""
        return grouped((subject_of(v), v["label_revision"], v) for v in values(self.examples))

    def labels(self) -> set[Hashable]:
        """What became of each subject, by every label it had."""
        return {
            (*subject_of(v), v["label_revision"], v["pushed"], v["cause"], v["time"]) for v in values(self.examples)
        }

    def stages(self) -> set[Hashable]:
        """The stage behind each verdict."""
        return {(*subject_of(v), v["revision"], v["stage"], v["validator"], v["time"]) for v in values(self.verdicts)}

    def alerts_in_order(self) -> list[Alert]:
        """The alerts in the order in which they were sent, without those sent again.

        Only the order of one flag's counts. All are sent by the owner of its pipeline, one after the other.
        """
        subjects = {v["graphlet"]: v for v in [*values(self.verdicts), *values(self.examples)]}
        found = []
        for _, value, _ in sorted(self.alerts, key=lambda record: record.sent_ms):
            if value is None or value["type"].startswith("stream_app.finding."):
                continue
            _, kind, change = value["type"].split(".")
            if kind == "flag":
                graphlets = frozenset(each["graphlet"] for each in value["data"]["graphlets"])
                found.append(Alert(value["subject"], change, graphlets, value["id"]))
            else:
                about = subjects[value["subject"]]
                graphlet = subject_of(about).graphlet
                flag = flag_id(about["pipeline"], about["run"], graphlet)
                found.append(Alert(flag, OLD_CHANGES[change], frozenset([graphlet]), value["id"]))
        return list(dict.fromkeys(found))

    def open_flags(self) -> dict[str, frozenset[str]]:
        """The flags that are open, each with the graphlets for which it is."""
        return open_after(self.alerts_in_order())

    def compacted_verdicts(self) -> dict[str, dict[str, Any]]:
        """What compaction leaves of the verdicts: the last value of each key that no tombstone has ended."""
        last = {key: value for key, value, _ in self.verdicts}
        return {key: value for key, value in last.items() if value is not None}


def open_after(alerts: Iterable[Alert]) -> dict[str, frozenset[str]]:
    """The flags that are open after some alerts, each with the graphlets for which it is."""
    found: dict[str, frozenset[str]] = {}
    for alert in alerts:
        before = found.get(alert.flag, frozenset())
        if alert.change in ("raised", "revised"):
            found[alert.flag] = before | alert.graphlets
        elif alert.id.partition(":")[0] in OLD_CHANGES:  # of one graphlet
            found[alert.flag] = before - alert.graphlets
        else:
            found[alert.flag] = frozenset()
    return {flag: graphlets for flag, graphlets in found.items() if graphlets}


def values(records: Iterable[Announced]) -> list[dict[str, Any]]:
    """The values of records that are no tombstones."""
    return [record.value for record in records if record.value is not None]


def grouped(
    records: Iterable[tuple[Subject, int, dict[str, Any]]],
) -> dict[tuple[Subject, int], list[dict[str, Any]]]:
    found: dict[tuple[Subject, int], list[dict[str, Any]]] = defaultdict(list)
    for subject, revision, value in records:
        found[subject, revision].append(content_of(value))
    return dict(found)


async def read_topics(cluster: Cluster) -> Topics:
    """What the workers of a cluster have announced by now; all its topics have the partitions of the events."""

    async def read(topic: str, partitions: int) -> list[Announced]:
        return [
            Announced(record.key.decode(), orjson.loads(record.value) if record.value else None, record.timestamp)
            for record in await cluster.read(topic, partitions)
        ]

    names = cluster.names
    verdicts = await read(names.verdicts, cluster.partitions)
    return Topics(verdicts, await read(names.examples, 1), await read(names.alerts, cluster.partitions))
