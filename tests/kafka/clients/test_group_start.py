"""A group that has never read a topic begins at its end, and one that has goes on where it was."""

from __future__ import annotations

from typing import Any

import pytest
from kafka import TopicPartition
from kafka.errors import NoError, UnknownMemberIdError
from kafka.structs import OffsetAndMetadata

from stream_app.kafka.clients.group_start import begin_at_end


class Admin:
    """Knows the offsets of a group, and the ends of a topic."""

    def __init__(self, known: dict[TopicPartition, int], error: type[Exception] = NoError) -> None:
        self.offsets = {at: OffsetAndMetadata(offset, "", None) for at, offset in known.items()}
        self.error = error
        self.altered: dict[TopicPartition, int] = {}

    def list_group_offsets(self, groups: list[str]) -> dict[str, Any]:
        return dict.fromkeys(groups, self.offsets)

    def list_partition_offsets(self, asked: dict[TopicPartition, Any]) -> dict[TopicPartition, Any]:
        return {at: OffsetAndMetadata(100 + at.partition, "", None) for at in asked}

    def alter_group_offsets(self, _: str, offsets: dict[TopicPartition, Any]) -> dict[TopicPartition, type[Exception]]:
        if self.error is NoError:
            self.altered = {at: each.offset for at, each in offsets.items()}
        return dict.fromkeys(offsets, self.error)


@pytest.mark.parametrize(
    "known", [{}, {TopicPartition("other", 0): 7}, {TopicPartition("alerts", 0): -1}], ids=["none", "other", "unset"]
)
def test_a_new_group_begins_at_the_end(known: dict[TopicPartition, int]) -> None:
    """Of every partition, whatever it has read of other topics."""
    admin = Admin(known)
    begin_at_end(admin, "group", "alerts", 2)  # type: ignore[arg-type]

    assert admin.altered == {TopicPartition("alerts", 0): 100, TopicPartition("alerts", 1): 101}


@pytest.mark.parametrize("offset", [0, 7])
def test_a_group_that_has_begun_goes_on(offset: int) -> None:
    """Also one that has read nothing yet."""
    admin = Admin({TopicPartition("alerts", 1): offset})
    begin_at_end(admin, "group", "alerts", 2)  # type: ignore[arg-type]

    assert admin.altered == {}


def test_of_two_that_begin_at_the_same_moment_one_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    """That is no error: the other one has done it."""
    caplog.set_level("INFO")
    begin_at_end(Admin({}, UnknownMemberIdError), "group", "alerts", 2)  # type: ignore[arg-type]

    assert [each.message for each in caplog.records] == ["the group group has begun already: UnknownMemberIdError"]
