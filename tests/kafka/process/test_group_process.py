"""How a process of a consumer group ends when what it does in the background fails."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from stream_app.errors import OptionsError, StateError
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.flow import notifier_flow
from stream_app.kafka.clients.topics import Found, Names
from stream_app.kafka.process.group_process import GroupProcess
from stream_app.kafka.process.notifier import NotifierSettings
from stream_app.kafka.process.notifier_monitor import NotifierMonitor


class Failing(GroupProcess):
    """A process whose only work fails; there is no Kafka."""

    def __init__(self, folder: Path, error: Exception) -> None:
        flow = notifier_flow(Names())
        settings = NotifierSettings(Connection("127.0.0.1:1"), Names(), b"a key of 16 bytes", folder, port=0)
        monitor = NotifierMonitor(flow)
        super().__init__(settings, flow, monitor, monitor.counts)
        self._error = error

    async def _find_topics(self) -> dict[str, Found]:
        return {}

    def check_topics(self, _: KafkaAdminClient) -> dict[str, Found]:
        raise AssertionError

    async def serve(self, _: Mapping[str, Found]) -> None:
        async def work() -> None:
            raise self._error

        self.start(work())
        await self.first(asyncio.Event().wait())


def test_a_setting_that_turns_out_to_be_wrong_is_told_as_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The command says it in its one line and ends with exit code 2, as for a setting that is wrong at the start."""
    with pytest.raises(OptionsError, match=r"alerts\.key: it differs"):
        asyncio.run(Failing(tmp_path, OptionsError("alerts.key: it differs")).run())

    assert "cannot continue" not in caplog.text


def test_another_failure_is_logged_and_ends_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With exit code 1: a restart may help."""
    assert asyncio.run(Failing(tmp_path, StateError("it is damaged")).run()) == 1

    assert "cannot continue: it is damaged" in caplog.text
