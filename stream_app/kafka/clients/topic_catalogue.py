"""The topics of a deployment, with the settings that each must have."""

from __future__ import annotations

from dataclasses import replace

from stream_app.core.units import DAY_MS, HOUR_MS
from stream_app.kafka.clients.topics import MAX_MESSAGE_BYTES, Names, Topic

_LARGE = {"max.message.bytes": str(MAX_MESSAGE_BYTES)}
_KEEP = {"cleanup.policy": "delete"}
_EVENTS = {"retention.ms": str(7 * DAY_MS), "message.timestamp.type": "LogAppendTime"}
_CHANGELOG = {
    "cleanup.policy": "compact",
    "min.compaction.lag.ms": str(HOUR_MS),  # rows that a zombie overwrote must still be there to be read
    "message.timestamp.type": "LogAppendTime",  # or the lag is over at once for a worker whose clock is behind
    "delete.retention.ms": str(7 * DAY_MS),
    "min.cleanable.dirty.ratio": "0.3",
    "segment.bytes": str(64 << 20),
}


def catalogue(names: Names, partitions: int, replication: int) -> list[Topic]:
    """All topics of a deployment; parameters as of `worker_topics`."""
    return [
        *worker_topics(names, partitions, replication),
        directory_topic(names, replication),
        *(each for each in notifier_topics(names, partitions, replication) if each.name != names.alerts),
    ]


def worker_topics(names: Names, partitions: int, replication: int) -> list[Topic]:
    """The topics of workers.

    Parameters
    ----------
    names
        Their names.
    partitions
        Of the topic whose partitions have state, and its changelog. It bounds the number of processes and cannot be
        changed later: pipelines would move to other partitions than their state.
    replication
        Replicas of each topic; from 3 on, two must be in sync.
    """
    durable = _durable(replication)
    topics = [
        Topic(names.events, partitions, {**_KEEP, **durable, **_LARGE, **_EVENTS}),
        Topic(names.changelog, partitions, {**_CHANGELOG, **durable, **_LARGE}),
        Topic(names.verdicts, None, {"cleanup.policy": "compact", **durable}),
        Topic(names.examples, 1, {**_KEEP, **durable, **_LARGE, "retention.ms": "-1"}),
        Topic(names.graphlets, None, {"cleanup.policy": "compact", **durable, **_LARGE}),
        Topic(names.analysis, None, {**_CHANGELOG, **durable, **_LARGE}),
        _alerts(names, replication),
        Topic(names.dead_letters, None, {**_KEEP, **durable, **_LARGE, "retention.ms": str(30 * DAY_MS)}),
    ]
    sources = [Topic(source, None) for source in names.sources]
    return [*sources, *(replace(topic, copies=replication) for topic in topics)]


def directory_topic(names: Names, replication: int) -> Topic:
    """The topic in which workers tell who has which partition; parameters as of `worker_topics`, which work without."""
    config = {"cleanup.policy": "compact", "segment.ms": str(DAY_MS), **_durable(replication)}
    return Topic(names.directory, 1, config, replication)


def notifier_topics(names: Names, partitions: int, replication: int) -> list[Topic]:
    """The topics of notifiers; parameters as of `worker_topics`."""
    durable = _durable(replication)
    topics = [
        _alerts(names, replication),
        Topic(names.subscriptions, 1, {**_CHANGELOG, **durable}),
        Topic(names.deliveries, partitions, {**_KEEP, **durable, **_LARGE, **_EVENTS}),
        Topic(names.deliveries_changelog, partitions, {**_CHANGELOG, **durable, **_LARGE}),
        Topic(names.alert_log, 1, {**_KEEP, **durable, **_LARGE, "retention.ms": str(35 * DAY_MS)}),
    ]
    return [replace(topic, copies=replication) for topic in topics]


def _alerts(names: Names, replication: int) -> Topic:
    return Topic(names.alerts, None, {**_KEEP, **_durable(replication), "retention.ms": str(7 * DAY_MS)})


def _durable(replication: int) -> dict[str, str]:
    return {"min.insync.replicas": "2" if replication >= 3 else "1"}
