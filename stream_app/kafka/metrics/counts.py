"""What a worker or a notifier counts as it works; counting costs an addition."""

# ruff: noqa: RUF009  (the functions called below make fields, not values)

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from stream_app.kafka.metrics.histogram import Histogram
from stream_app.metrics.catalogue import CATALOGUE
from stream_app.metrics.metric import Metric

_METRIC = "metric"


def _count(name: str) -> Any:
    """A field that is exported as this counter."""
    return field(default=0, metadata={_METRIC: CATALOGUE[name]})


def _count_by_label(name: str) -> Any:
    """A field that is exported as this counter: value of its one label -> count, zero for each value that is known."""
    metric = CATALOGUE[name]
    (label,) = metric.labels
    return field(default_factory=lambda: dict.fromkeys(label.values, 0), metadata={_METRIC: metric})


def _histogram(name: str) -> Any:
    """A field that is exported as this histogram."""
    metric = CATALOGUE[name]
    return field(default_factory=lambda: Histogram(*metric.buckets), metadata={_METRIC: metric})


@dataclass
class GroupCounts:
    """What a process of a consumer group has done since it started; the catalogue of metrics describes each field."""

    sources: dict[str, int] = _count_by_label("events_consumed_total")
    lost: dict[str, int] = _count_by_label("records_lost_total")
    rebalances: int = _count("rebalances_total")
    rebalance: Histogram = _histogram("rebalance_duration_seconds")
    #: When offsets were committed last, in seconds since 1970; 0 before.
    committed: float = 0.0
    commit: Histogram = _histogram("offset_commit_duration_seconds")
    commits: int = _count("changelog_commits_total")
    rows: int = _count("changelog_rows_total")
    restore: Histogram = _histogram("table_recovery_duration_seconds")
    copies_damaged: int = _count("local_copies_damaged_total")
    loop: Histogram = _histogram("event_loop_lag_seconds")
    lines: dict[str, int] = _count_by_label("log_messages_total")


@dataclass
class Counts(GroupCounts):
    """What a worker has done since it started."""

    ignored: int = _count("events_ignored_total")
    parts_dropped: int = _count("event_parts_dropped_total")
    reasons: dict[str, int] = _count_by_label("events_dead_lettered_total")
    forwarded: int = _count("events_forwarded_total")
    states: dict[str, int] = _count_by_label("events_processed_total")
    duplicates: int = _count("events_duplicate_total")
    late: int = _count("events_late_total")
    ticks: int = _count("ticks_total")
    ticks_ignored: dict[str, int] = _count_by_label("ticks_ignored_total")
    #: Log time of the last tick, ms since 1970 UTC.
    tick_ms: int = 0
    step: Histogram = _histogram("event_processing_duration_seconds")
    delay: Histogram = _histogram("event_time_lag_seconds")
    latency: Histogram = _histogram("event_latency_seconds")
    raised: int = _count("flags_opened_total")
    flags: dict[str, int] = _count_by_label("flags_closed_total")
    flag_latency: Histogram = _histogram("flag_latency_seconds")
    examples_skipped: int = _count("examples_skipped_total")
    checkpoints_dropped: int = _count("model_checkpoints_dropped_total")
    checkpoint_failures: int = _count("model_checkpoint_failures_total")

    @property
    def events(self) -> int:
        """Events applied by the detector."""
        return sum(self.states.values())


@dataclass
class NotifierCounts(GroupCounts):
    """What a notifier has done since it started."""

    malformed: int = _count("alert_records_malformed_total")
    #: The topics with such records.
    malformed_topics: set[str] = field(default_factory=set)


def exported(counts: GroupCounts) -> dict[str, Metric]:
    """The fields that are exported -> the metrics as which they are.

    Parameters
    ----------
    counts
        The counts.
    """
    return {each.name: each.metadata[_METRIC] for each in fields(counts) if each.metadata}
