"""How tests delete topics."""

from __future__ import annotations

import time
from collections.abc import Sequence

from kafka.admin import KafkaAdminClient

from stream_app.kafka.clients.topics import find_seen


def delete_topics(admin: KafkaAdminClient, names: Sequence[str]) -> None:
    """Returns when the broker has learned of it; its controller answers before."""
    admin.delete_topics(list(names))
    end = time.monotonic() + 30
    while find_seen(admin, list(names)):
        assert time.monotonic() < end, f"{names} are still there"
