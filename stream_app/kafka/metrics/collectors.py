"""The worker's own metrics: what it counts as it works, and what it measures now and then."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from stream_app.kafka.metrics.counts import LEVELS, Counts
from stream_app.kafka.metrics.histogram import Tally

_COUNTERS = {
    "ticks": ("ticks", "Ticks given to the detector."),
    "skipped": ("events_skipped", "Records read again whose effect was there already."),
    "late": ("events_late", "Events dropped because they touch only what was evicted."),
    "forwarded": ("events_forwarded", "Records moved to the partition of their pipeline."),
    "passed_over": ("events_passed_over", "Records that are right but tell of no execution."),
    "raised": ("flags_opened", "Flags raised."),
    "commits": ("changelog_commits", "Groups of changed rows written to changelogs."),
    "rows": ("changelog_rows", "Rows written to changelogs."),
    "rebalances": ("rebalances", "Assignments of partitions that were completed."),
    "restored": ("partitions_restored", "Partitions restored from their changelogs."),
    "examples_skipped": ("examples_skipped", "Records of the examples log that are no example, and were not learned."),
    "checkpoints_dropped": ("model_checkpoints_dropped", "Checkpoints of the model that were not believed."),
    "checkpoint_failures": ("model_checkpoint_failures", "Checkpoints of the model that could not be written."),
}
_LABELLED = {
    "sources": ("source_records", "topic", "Records of source topics that were read."),
    "states": ("events_processed", "state", "Events given to the detector, by the state they tell."),
    "reasons": ("events_dead_lettered", "reason", "Records that were no events, by the kind of reason."),
    "flags": ("flags_closed", "how", "Flags withdrawn by a later verdict, or ended by what became of the graphlet."),
    "lines": ("log_messages", "level", "Lines logged, by level."),
}
_HISTOGRAMS = {
    "step": ("event_processing_duration_seconds", "Of an event, from its bytes to what came of it."),
    "delay": ("event_time_lag_seconds", "From an event's time to its record's log time."),
    "latency": ("event_latency_seconds", "From a record's log time to the sending of what it led to."),
    "flag_latency": ("flag_latency_seconds", "From a record's log time to the sending of a verdict to prune."),
    "rebalance": ("rebalance_duration_seconds", "From the start of a rebalance to reading on, restoring included."),
    "restore": ("state_restore_duration_seconds", "Of restoring a partition from its changelog."),
    "commit": ("offset_commit_duration_seconds", "Of a commit of offsets to Kafka."),
    "loop": ("event_loop_lag_seconds", "How late the event loop was, once a second."),
}


class CountsCollector(Collector):
    """Exports `Counts` as they stand; counting costs the worker an addition."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        for field_, (name, text) in _COUNTERS.items():
            yield CounterMetricFamily(f"stream_app_{name}", text, value=getattr(self._counts, field_))
        for field_, (name, label, text) in _LABELLED.items():
            family = CounterMetricFamily(f"stream_app_{name}", text, labels=[label])
            for value, count in list(getattr(self._counts, field_).items()):
                family.add_metric([value], count)
            yield family
        for field_, (name, text) in _HISTOGRAMS.items():
            tally: Tally = getattr(self._counts, field_)
            yield tally.family(f"stream_app_{name}", text)


class LineCounter(logging.Handler):
    """Counts what is logged; a level that has no name of its own counts as the one below it."""

    def __init__(self, lines: dict[str, int]) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines[LEVELS[min(record.levelno // 10 - 2, len(LEVELS) - 1)]] += 1


class WorkerMetrics:
    """Gauges of a worker.

    Parameters: `registry` is where they and the collector of `counts` are registered.
    """

    def __init__(self, registry: CollectorRegistry, counts: Counts) -> None:
        registry.register(CountsCollector(counts))

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(f"stream_app_{name}", text, labels, registry=registry)

        self.lag = gauge("consumer_lag_records", "Records not applied yet.", "topic", "partition")
        self.assigned = gauge("consumer_assigned_partitions", "Partitions of the events topic held.")
        self.ready = gauge("ready", "1 when the worker serves, as /readyz says.")
        self.log_time = gauge("last_event_timestamp_seconds", "Log time of the record applied last.")
        self.tick_time = gauge(
            "last_tick_timestamp_seconds", "Log time of the tick applied last: ticks pass through Kafka."
        )
        self.restoring = gauge("state_restoring", "1 while partitions are taken over.")
        self.remaining = gauge("state_restore_remaining_records", "Records of a changelog still to be read.")
        self.rows = gauge("state_rows", "Rows in local copies, as RocksDB estimates.")
        self.bytes = gauge("state_size_bytes", "Bytes of local copies, in files and in memory.")
        self.flags = gauge("flags_open", "Flags raised, and neither withdrawn nor resolved.")
        self.examples = gauge("examples_position", "Offset in the examples log up to which the model is folded.")
        self.checkpoint_time = gauge("model_checkpoint_timestamp_seconds", "When the last checkpoint was written.")
        self.checkpoint_size = gauge("model_checkpoint_size_bytes", "Bytes of the last checkpoint.")

    def set_lags(self, lags: Mapping[tuple[str, int], int | None], held: Iterable[int]) -> None:
        """Set the lag of each topic partition that is read, and how many of the events topic are held.

        Those that are read no longer are no longer told.
        """
        self.lag.clear()
        for (topic, number), lag in lags.items():
            if lag is not None:
                self.lag.labels(topic, str(number)).set(lag)
        self.assigned.set(len(list(held)))
