"""Records that are not what their topic is for: somebody else has written them."""

from __future__ import annotations

import logging

from stream_app.kafka.metrics.counts import NotifierCounts
from stream_app.kafka.records import Record

log = logging.getLogger(__name__)


def ignore(record: Record, why: object, counts: NotifierCounts) -> None:
    """Counts a record that is ignored; the first one of each topic is logged.

    Parameters
    ----------
    record
        The record.
    why
        Why it is ignored.
    counts
        Where it is counted.
    """
    counts.malformed += 1
    if record.topic not in counts.malformed_topics:
        counts.malformed_topics.add(record.topic)
        log.error(
            "%s[%d] at offset %d is ignored, and others like it: %s",
            record.topic,
            record.partition,
            record.offset,
            why,
        )
