"""Records that somebody else wrote into topics of notifiers."""

from __future__ import annotations

import logging

import pytest

from stream_app.kafka.alerting.malformed import ignore
from stream_app.kafka.metrics.counts import NotifierCounts
from tests.support.kafka_records import record


def test_the_first_of_each_topic_is_logged_and_all_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    """One of a topic says nothing of another topic, where the cause is another one."""
    counts = NotifierCounts()
    for topic, offset in (("alerts", 3), ("alerts", 4), ("deliveries", 7), ("alerts", 5), ("deliveries", 8)):
        ignore(record(offset, topic=topic, partition=2), "it is none", counts)

    assert counts.malformed == 5
    assert [each.message for each in caplog.records if each.levelno == logging.ERROR] == [
        "alerts[2] at offset 3 is ignored, and others like it: it is none",
        "deliveries[2] at offset 7 is ignored, and others like it: it is none",
    ]
