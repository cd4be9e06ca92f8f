"""What Kafka does not take at the moment, from what it says about topics."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.kafka.clients.in_sync import OFFSETS, find_unwritable


class Admin:
    """Knows topics: their partitions as (leader, replicas in sync), and how many must be in sync, if it tells."""

    def __init__(self, **topics: tuple[str | None, list[tuple[int, int]]]) -> None:
        self.topics = topics

    def describe_topics(self, names: list[str]) -> list[dict[str, Any]]:
        def partitions(name: str) -> list[dict[str, Any]]:
            known = self.topics.get(name, (None, []))[1]
            return [
                {"partition_index": number, "leader_id": leader, "isr_nodes": list(range(in_sync))}
                for number, (leader, in_sync) in enumerate(known)
            ]

        return [{"name": name, "partitions": partitions(name)} for name in names]

    def describe_configs(self, resources: list[Any], config_filter: str) -> dict[str, Any]:
        assert config_filter == "all"

        def config(name: str) -> dict[str, Any]:
            needed = self.topics[name][0]
            return {} if needed is None else {"min.insync.replicas": {"value": needed}}

        return {"topic": {resource.name: config(resource.name) for resource in resources}}


def test_topics_with_fewer_replicas_than_they_need_are_named() -> None:
    """With the numbers, and in which partitions; topics that do not exist, or may not be asked about, are left out."""
    admin = Admin(
        good=("2", [(1, 3), (1, 2)]),
        few=("2", [(1, 1), (1, 2), (1, 1)]),
        lost=("1", [(-1, 1)]),
        all=("2", [(1, 1)]),
        hidden=(None, [(1, 1)]),
    )

    assert find_unwritable(admin, ["good", "hidden", "none"]) == ""  # type: ignore[arg-type]
    assert find_unwritable(admin, ["good", "few"]) == (  # type: ignore[arg-type]
        "few[0, 2] needs 2 replicas in sync (min.insync.replicas) and has 1"
    )
    assert find_unwritable(admin, ["good", "few", "lost", "all"]) == (  # type: ignore[arg-type]
        "no broker leads lost; few[0, 2], all need 2 replicas in sync (min.insync.replicas) and have 1"
    )


@pytest.mark.parametrize(("group", "home"), [("hello", 22), ("", 0), ("stream-app", 24), ("ü€😀" * 9, 19)])
def test_of_the_offsets_only_the_partition_of_the_group_counts(group: str, home: int) -> None:
    """The one at Java's `Math.abs("hello".hashCode()) % 50`, where its coordinator is."""

    def said(weak: int) -> str:
        partitions = [(1, 1 if number == weak else 2) for number in range(50)]
        return find_unwritable(Admin(**{OFFSETS: ("2", partitions)}), [], group)  # type: ignore[arg-type]

    assert said(home) == f"{OFFSETS}[{home}] needs 2 replicas in sync (min.insync.replicas) and has 1"
    assert said((home + 1) % 50) == ""
