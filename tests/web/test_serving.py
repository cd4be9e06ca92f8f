"""The service ends with what cannot go on, so that it is started anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.alerts.notifier import Notifier
from stream_app.service.detector_thread import Embedded
from stream_app.service.settings import EmbeddedSettings
from stream_app.web.serving import serve_embedded


async def _defect(_: Notifier) -> None:
    raise ZeroDivisionError("a defect")


def test_a_notifier_that_cannot_go_on_ends_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its error: a service that sends nothing would be taken for one that has nothing to send."""
    monkeypatch.setattr(Notifier, "run", _defect)
    urls: list[str] = []

    with pytest.raises(ExceptionGroup) as raised:
        serve_embedded(tmp_path / "log", EmbeddedSettings(), "127.0.0.1", 0, None, on_listening=urls.append)

    assert raised.group_contains(ZeroDivisionError)
    assert len(urls) == 1


def test_a_detector_that_cannot_go_on_ends_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its error too."""

    def defect(_: Embedded) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(Embedded, "_save", defect)

    with pytest.raises(ZeroDivisionError):
        serve_embedded(tmp_path / "log", EmbeddedSettings(), "127.0.0.1", 0, None)
