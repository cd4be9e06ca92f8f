"""What a follower sends is redacted already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from stream_app.core.events import Event
from stream_app.follow.cursor_file import CursorFile
from stream_app.follow.follower import Follower, Message
from stream_app.sources import Redaction
from tests.sources.test_redaction import EVENT, NAMES, PERSON


class Outlet:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, messages: Sequence[Message]) -> None:
        """Keeps it."""
        self.sent += messages


def test_no_value_leaves_the_store(tmp_path: Path) -> None:
    """Neither to Kafka nor to the service, nor into the cursor file."""

    def begin(_: bytes | None) -> tuple[Iterator[Event], object]:
        return iter([EVENT]), lambda: b"1"

    outlet, file = Outlet(), CursorFile(tmp_path / "cursor", {"kind": "mlmd"})
    sent = Follower(begin, outlet, file, Redaction(NAMES), retries=False).one_pass()  # type: ignore[arg-type]

    ((message, pipeline),) = outlet.sent
    assert (sent, pipeline) == (1, "ads")
    assert b"auc" in message
    assert PERSON.encode() not in message + (tmp_path / "cursor").read_bytes()
