"""The process of the sidecar: what it takes, keeps, delivers and answers, until it is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from stream_app.errors import OptionsError
from stream_app.runtime.signals import ending
from stream_app.sidecar.answers import Answers, Ask
from stream_app.sidecar.forwarding import Forwarder, Target, TargetUnavailableError
from stream_app.sidecar.intake import Intake
from stream_app.sidecar.measures import Measures
from stream_app.sidecar.spool import SPOOL_BYTES, Message, Spool
from stream_app.sidecar.spool_thread import SpoolThread
from stream_app.sidecar.stop_log import StopLog
from stream_app.sidecar.tailing import Tail

log = logging.getLogger(__name__)

#: Where it listens: on loopback alone, for the containers of its pod or the programs of its machine.
HOST, PORT = "127.0.0.1", 8486
#: Seconds that it goes on delivering once it is told to end, by default.
DRAIN_SECONDS = 20.0
#: Seconds between two times that the spool is measured.
_MEASURE_SECONDS = 15.0


@dataclass(frozen=True)
class SidecarSettings:
    """Settings of a sidecar.

    Attributes
    ----------
    folder
        Of the spool.
    spool_bytes
        Bytes that the spool may have on disk.
    files
        Files that are followed for events.
    run_log
        Where it is told why a run should stop; None: on standard error.
    port
        Where it listens on loopback; 0 takes a free one.
    drain_seconds
        Seconds that it goes on delivering once it is told to end.
    """

    folder: Path
    spool_bytes: int = SPOOL_BYTES
    files: Sequence[Path] = ()
    run_log: Path | None = None
    port: int = PORT
    drain_seconds: float = DRAIN_SECONDS


#: Makes, within the running event loop, where events are delivered to, and what is asked whether a run should stop.
Connect = Callable[[], tuple[Target, Ask | None]]


class Sidecar:
    """A sidecar.

    Parameters
    ----------
    settings
        Its settings.
    connect
        As of `Connect`.
    on_listening
        Called with its address.
    """

    def __init__(
        self, settings: SidecarSettings, connect: Connect, on_listening: Callable[[str], None] = lambda _: None
    ) -> None:
        self._settings = settings
        self._connect = connect
        self._on_listening = on_listening
        self._measures = Measures()

    async def run(self) -> bool:
        """Runs until SIGTERM or SIGINT, and delivers for a while what is left.

        Returns
        -------
        bool
            Whether SIGINT ended it.

        Raises
        ------
        OptionsError
            The port is taken, the folder is used by another sidecar, or the address of the service is none.
        """
        ended = ending()
        target, ask = self._connect()
        try:
            self._spool = SpoolThread(Spool(self._settings.folder, self._settings.spool_bytes))
            try:
                interrupted = await self._serve(target, ask, ended)
            finally:
                await self._spool.close()
        finally:
            await target.close()
        return interrupted

    async def _serve(self, target: Target, ask: Ask | None, ended: asyncio.Future[signal.Signals]) -> bool:
        settings, measures = self._settings, self._measures
        self._forwarder = Forwarder(self._spool, target, measures.delivered, measures.unreachable)
        answers = Answers(ask, self._stop)
        self._stop_log = StopLog(settings.run_log)
        tails = [Tail(path, self._spool, self._read) for path in settings.files]
        async with _listening(
            Intake(self._store, answers, measures.registry, lambda: self._spool.fault).app(), settings.port
        ) as url:
            self._on_listening(url)
            work = [self._forwarder.run(), answers.run(), self._measured(), *(tail.run() for tail in tails)]
            tasks = [asyncio.ensure_future(each) for each in work]
            either: list[asyncio.Future[Any]] = [ended, *tasks]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            failed = [each for each in results if isinstance(each, Exception)]
            if failed:
                raise failed[0]
            for tail in tails:
                await tail.finish()
        await self._drain()
        return ended.result() == signal.SIGINT

    async def _drain(self) -> None:
        """Delivers what is left, as long as there is time."""
        reason = "there was no more time"
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                while await self._forwarder.deliver():
                    pass
        except TimeoutError:
            pass
        except TargetUnavailableError as error:
            reason = str(error)
        left = await self._spool.count()
        if left and self._spool.fault:
            log.error("%d events are not delivered, and those in memory are lost: %s", left, reason)
        elif left:
            log.warning("%d events are not delivered, and wait in %s: %s", left, self._settings.folder, reason)

    async def _store(self, messages: Sequence[Message]) -> int:
        kept = await self._spool.put(messages)
        self._measures.stored(kept, len(messages) - kept)
        if kept < len(messages):
            log.error("%d events are dropped: the spool takes no more (%s)", len(messages) - kept, self._spool.fault)
        self._forwarder.wake()
        return kept

    def _read(self, stored: int, bad: int) -> None:
        self._measures.stored(stored, 0)
        self._measures.delivered(0, bad)
        self._forwarder.wake()

    def _stop(self, question: Mapping[str, str], answer: Mapping[str, Any]) -> None:
        self._stop_log.stop(question, answer)
        self._measures.stops.inc()

    async def _measured(self) -> None:
        while True:
            self._measures.waiting(await self._spool.count(), await self._spool.size())
            await asyncio.sleep(_MEASURE_SECONDS)


@contextlib.asynccontextmanager
async def _listening(app: web.Application, port: int) -> AsyncIterator[str]:
    """Serves an application on loopback, and yields its address."""
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=2.0, keepalive_timeout=60.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            raise OptionsError(f"cannot listen on {HOST}:{port}: {error.strerror or error}") from None
        bound = runner.addresses[0][1]
        yield f"http://{HOST}:{bound}"
    finally:
        await runner.cleanup()
