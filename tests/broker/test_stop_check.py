"""The last question before a stop, beside workers: what a person has decided holds, also while the workers are away."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from pathlib import Path

import pytest

from stream_app.acting.gate import Gate
from stream_app.alerts.access import EVERYBODY
from stream_app.alerts.flags import Change
from stream_app.alerts.kill_switch import KillSwitch
from stream_app.core import acts
from stream_app.core.acts import ActOn
from stream_app.kafka.alerting import stop_check
from stream_app.kafka.alerting.stop_check import GroupStopCheck
from stream_app.kafka.alerting.switch_log import GroupSwitch
from stream_app.kafka.clients.act_writer import ActWriter
from stream_app.kafka.clients.connection import Connection
from tests.alerts.records import record
from tests.broker.broker import Broker
from tests.broker.cluster import PATIENCE
from tests.broker.notifying import Notifying, notifying

ENFORCE = '[detector]\nmode = "enforce"\n'


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def ask(group: Notifying, monkeypatch: pytest.MonkeyPatch) -> None:
    connection = Connection(group.bootstrap)
    switch = GroupSwitch(connection, group.names)
    following = asyncio.create_task(switch.run())
    write = ActWriter(connection, group.names)
    mine, other = (
        replace(record(1, Change.RAISED, f"{pipeline}/run:r"), pipeline=pipeline, run="r", mode="enforce")
        for pipeline in ("mine", "other")
    )
    async with GroupStopCheck(connection, group.names, switch, Gate(switch.switch)) as check:
        try:
            assert "is not open" in await check.refusal(mine)
            await asyncio.to_thread(group.flag, "mine")
            await asyncio.to_thread(group.flag, "other")
            async with asyncio.timeout(PATIENCE):
                while await check.refusal(mine) or await check.refusal(other):
                    pass  # flags are raised while their events are applied

            await KillSwitch(switch).turn(EVERYBODY, acting=False, pattern="mine", reason="x", now_ms=now_ms())
            assert "acting is off for mine" in await check.refusal(mine)
            await KillSwitch(switch).turn(EVERYBODY, acting=True, pattern="mine", reason="x", now_ms=now_ms())
            assert await check.refusal(mine) == ""

            await write([acts.keep(ActOn("mine", "r"), "ann", "a demo", now_ms())])
            assert "is not open any more" in await check.refusal(mine)
            assert await check.refusal(other) == ""

            group.workers[0].kill()
            await write([acts.keep(ActOn("other", "r"), "ann", "a demo", now_ms())])
            monkeypatch.setattr(stop_check, "CHECK_SECONDS", 2.0)
            assert "was not known within 2 s" in await check.refusal(other)
        finally:
            following.cancel()
            write.close()
            with contextlib.suppress(asyncio.CancelledError):
                await following


def test_what_is_decided_holds_from_the_answer_on(
    broker: Broker, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the kill switch, after `keep`, of another pipeline, and where no worker has applied what was decided."""
    with notifying(broker.bootstrap, tmp_path, prefix) as group:
        with (tmp_path / "settings.toml").open("a") as settings:
            settings.write(ENFORCE)
        group.worker()
        group.all_ready()
        monkeypatch.setattr(stop_check, "CHECK_SECONDS", PATIENCE)
        asyncio.run(ask(group, monkeypatch))
