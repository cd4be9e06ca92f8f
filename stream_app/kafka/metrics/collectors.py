"""Exports the metrics of workers and notifiers: what they count as they work, and what they measure now and then."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from stream_app.kafka.metrics.counts import Counts, GroupCounts, exported
from stream_app.kafka.metrics.histogram import Histogram
from stream_app.metrics.catalogue import LEVELS
from stream_app.metrics.registry import Snapshot, gauge


class CountsCollector(Collector):
    """Exports counts as they stand at a scrape.

    Parameters
    ----------
    counts
        What is exported.
    """

    def __init__(self, counts: GroupCounts) -> None:
        self._counts = counts
        self._exported = exported(counts)

    def collect(self) -> Iterator[Metric]:
        """Yield all counters and histograms."""
        for field, metric in self._exported.items():
            value = getattr(self._counts, field)
            if isinstance(value, Histogram):
                yield value.family(metric.full_name, metric.help, metric.unit)
            elif isinstance(value, dict):
                yield metric.family(((label,), count) for label, count in list(value.items()))
            else:
                yield metric.family([((), value)])


class LineCounter(logging.Handler):
    """Counts log messages by level; a level between two counts as the lower one.

    Parameters
    ----------
    lines
        Level in lower case -> messages; it is updated.
    """

    def __init__(self, lines: dict[str, int]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Count a message."""
        self._lines[LEVELS[min(record.levelno // 10 - 2, len(LEVELS) - 1)]] += 1


class GroupMetrics:
    """Gauges of a process of a consumer group, and the collector of its counts.

    Parameters
    ----------
    registry
        Where they are registered.
    counts
        What the process counts.
    """

    def __init__(self, registry: CollectorRegistry, counts: GroupCounts) -> None:
        registry.register(CountsCollector(counts))
        self.lag = gauge(registry, "consumer_lag_records")
        self.assigned = gauge(registry, "consumer_assigned_partitions")
        self.ready = gauge(registry, "ready")
        self.fetch_time = gauge(registry, "last_fetch_timestamp_seconds")
        self.commit_time = gauge(registry, "last_commit_timestamp_seconds")
        self.restoring = gauge(registry, "table_recovery_in_progress")
        self.remaining = gauge(registry, "table_recovery_remaining_records")
        self.keys = gauge(registry, "table_keys")
        self.bytes = gauge(registry, "table_size_bytes")

    def set_lags(self, lags: Mapping[tuple[str, int], int | None], owned: Iterable[int]) -> None:
        """Set the lag of each partition, and the number of partitions owned.

        Parameters
        ----------
        lags
            Topic and number of each partition that is read -> records not applied yet; None: not known. Partitions
            that are not among these, and those whose lag is not known, have no series.
        owned
            Numbers of the partitions with state that the process owns.
        """
        self.lag.clear()
        for (topic, number), lag in lags.items():
            if lag is not None:
                self.lag.labels(topic, str(number)).set(lag)
        self.assigned.set(len(list(owned)))


class WorkerMetrics(GroupMetrics):
    """Gauges of a worker, and the collector of its counts.

    Parameters
    ----------
    registry, counts
        As of `GroupMetrics`.
    """

    def __init__(self, registry: CollectorRegistry, counts: Counts) -> None:
        super().__init__(registry, counts)
        self.log_time = gauge(registry, "last_event_timestamp_seconds")
        self.tick_time = gauge(registry, "last_tick_timestamp_seconds")
        self.flags = gauge(registry, "flags_open")
        self.examples = gauge(registry, "examples_position")
        self.examples_missing = gauge(registry, "examples_missing")
        self._identity = Snapshot(registry, "model_identity_info")
        self.checkpoint_time = gauge(registry, "model_checkpoint_timestamp_seconds")
        self.checkpoint_size = gauge(registry, "model_checkpoint_size_bytes")

    def set_identity(self, identity: str) -> None:
        """Set what the model is made of.

        Parameters
        ----------
        identity
            See `Checkpoint.identity`.
        """
        self._identity.clear("model_identity_info")
        self._identity.set("model_identity_info", 1, identity)
