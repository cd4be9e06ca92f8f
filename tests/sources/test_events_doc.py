"""What docs/events.md shows is what happens."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from stream_app.errors import MalformedEvent
from stream_app.sources.native import decode

TEXT = (Path(__file__).parents[2] / "docs" / "events.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", _blocks("json"))
def test_shown_events_decode(block: str) -> None:
    """Each event on the page is one."""
    assert decode(block.encode()).pipeline == "ads-ranking"


@pytest.mark.parametrize(("message", "reason"), re.findall(r"^\| `([{[].*?)` \| `(.*)` \|$", TEXT, re.MULTILINE))
def test_shown_reasons_are_given(message: str, reason: str) -> None:
    """Each row of the table is word for word what the sender of that message finds."""
    with pytest.raises(MalformedEvent) as caught:
        decode(message.encode())

    assert str(caught.value) == reason


def test_the_producer_sends_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of Python, run as they stand, send one valid event under its pipeline's key."""
    sent: list[tuple[str, bytes, bytes]] = []
    producer = SimpleNamespace(send=lambda topic, value, key: sent.append((topic, value, key)), flush=lambda: None)
    monkeypatch.setitem(sys.modules, "kafka", SimpleNamespace(KafkaProducer=lambda **_: producer))
    [block] = _blocks("python")

    exec(block, {})

    [(topic, value, key)] = sent
    assert topic == "stream-app-events"
    assert decode(value).pipeline.encode() == key
