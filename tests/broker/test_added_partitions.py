"""Partitions that somebody adds to the topic of events."""

from __future__ import annotations

from tests.broker.cluster import Cluster


def test_a_worker_ends_at_once_and_says_why(cluster: Cluster) -> None:
    """Records in the new partitions would not be read, and others not find the state of their pipelines."""
    worker = cluster.worker()
    worker.said("are open")
    cluster.admin.create_partitions({cluster.names.events: cluster.partitions + 1})

    assert worker.wait(60) == 1
    log = worker.log.read_text()
    assert (
        f"topic {cluster.names.events} has {cluster.partitions + 1} partitions instead of {cluster.partitions}" in log
    )
    assert "set kafka.partitions" not in log
