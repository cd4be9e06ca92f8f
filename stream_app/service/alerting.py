"""The alerts of an embedded detector: takes its flag records, keeps subscriptions in a file, and sends messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import Future

import orjson

from stream_app.alerts.act_service import ActService
from stream_app.alerts.clocks import Clocks
from stream_app.alerts.feed import FlagFeed
from stream_app.alerts.flag_acts import WriteEvents
from stream_app.alerts.guard import AddressGuard
from stream_app.alerts.kill_switch import KillSwitch
from stream_app.alerts.link_uses import StoredUses
from stream_app.alerts.links import LINKS, ActLinks, LinkKey
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.owner_subscriptions import OwnerSubscriptions
from stream_app.alerts.ownership import default_subscription
from stream_app.alerts.quiet import StoredQuiets
from stream_app.alerts.records import AlertRecord, record_from_dict
from stream_app.alerts.saved import AlertStoreError, Changes
from stream_app.alerts.settings import AlertSettings
from stream_app.alerts.sinks.hooks.making import Stopping
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.making import SinkMaker
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.slack_bots import SlackBots
from stream_app.alerts.stopping import StopCheck
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscription_service import SubscriptionService
from stream_app.alerts.texts import Texts
from stream_app.alerts.warner import WarningSender
from stream_app.service.flag_outbox import FlagOutbox
from stream_app.service.stored_switch import StoredSwitch

log = logging.getLogger(__name__)

#: Seconds between two tries while the store cannot be written, and between two deletions of what is old.
_AGAIN_SECONDS, _DELETE_SECONDS = 1.0, 3_600.0


class Alerts:
    """Subscriptions, and the notifier that sends their messages; see `run`.

    Parameters
    ----------
    store
        Keeps them.
    outbox
        The flag records of the detector.
    settings
        The settings.
    on_attempt, on_changes, on_record, on_warning
        Called for metrics: as `Notifier` does, with changes that were saved, with each record that is stored, and as
        `WarningSender` does.
    clocks
        The clocks.

    Raises
    ------
    OptionsError
        The secrets in the store were encrypted with another key.
    StateError
        The store cannot be read.
    """

    def __init__(
        self,
        store: AlertStore,
        outbox: FlagOutbox,
        settings: AlertSettings | None = None,
        on_attempt: Callable[[str, Result, float], None] = lambda *_: None,
        on_changes: Callable[[Changes], None] = lambda _: None,
        on_record: Callable[[AlertRecord], None] = lambda _: None,
        on_warning: Callable[[str], None] = lambda _: None,
        clocks: Clocks | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        chosen = settings or AlertSettings()
        self._on_changes, self._on_record = on_changes, on_record
        self._clocks = clocks or Clocks()
        self._http = HttpClient(AddressGuard(chosen.allowed_networks))
        buttons = chosen.slack_signing_secret is not None
        sinks = self._sinks = SinkMaker(
            self._http, chosen.mail, now=lambda: self._clocks.now_ms() / 1000.0, buttons=buttons
        )
        self._link_key = LinkKey(store.vault.derived(LINKS))
        links = ActLinks(self._link_key, chosen.public_url, self._clocks.now_ms)
        texts = self._texts = Texts(chosen.money_of, chosen.currency, chosen.link, links.of)
        send_warning = WarningSender(
            sinks, lambda owner: default_subscription(owner, chosen.contacts, chosen.slack_token), on_warning
        )
        self.notifier = Notifier(self._save, sinks, texts, chosen.price_of, self._clocks, on_attempt, send_warning)
        self._quiets = StoredQuiets(store, self._clocks.now_ms)
        self.notifier.quiet_of = self._quiets.of
        self.notifier.load(store.subscriptions(), store.rows())
        self.subscriptions = SubscriptionService(self.notifier, store, texts, chosen.price_of, sinks.check)
        self.kill_switch = KillSwitch(StoredSwitch(store, chosen.off_file))
        self.feed = FlagFeed(store)
        self.slack_signing_secret = chosen.slack_signing_secret
        self.slack_bots = SlackBots(self.notifier, self._http)
        self._owners = OwnerSubscriptions(chosen, store.deleted)
        self._cursor = store.cursor()
        self._wake = asyncio.Event()
        self._reason = ""
        #: Has an error when nothing is stored or sent any more, and the process should exit.
        self.failed: Future[None] = Future()

    @property
    def unavailable_reason(self) -> str:
        """Why records cannot be stored or messages sent now; "" when they can."""
        return self._reason or self.notifier.unavailable_reason

    def acts(self, write: WriteEvents) -> ActService:
        """What lets people act on flags.

        Parameters
        ----------
        write
            Stores the events of acts.
        """
        now_ms = self._clocks.now_ms
        return ActService(
            self.notifier, self._store, write, self._link_key, StoredUses(self._store, now_ms), self._quiets, now_ms
        )

    def let_stop(self, check: StopCheck, write: WriteEvents) -> None:
        """Lets hooks stop runs.

        Parameters
        ----------
        check
            Whether a run may be stopped.
        write
            Stores the events of runs that were stopped.
        """
        self._sinks.stopping = Stopping(check, write, self._texts.link_of)

    async def run(self) -> None:
        """Stores records and sends messages until cancelled; attempts under way are then finished."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; the next process takes the records
                loop.call_soon_threadsafe(self._wake.set)

        self._outbox.on_records = wake
        try:
            async with self._http, asyncio.TaskGroup() as group:
                group.create_task(self.notifier.run())
                group.create_task(self._take_records())
                group.create_task(self._delete_old())
        except Exception as error:
            self._reason = f"alerts cannot continue: {type(error).__name__}"
            log.error("alerts cannot continue; flags are kept until the next start")
            self.failed.set_exception(error)
        finally:
            self._outbox.on_records = lambda: None

    async def _take_records(self) -> None:
        """Stores the records of the outbox, and hands those that are stored to the notifier and to listeners."""
        while True:
            self._wake.clear()
            try:
                while await self._store_records():
                    pass
                await self._accept_records()
            except AlertStoreError as error:
                if str(error) != self._reason:
                    log.error("%s", error)
                self._reason = str(error)
            else:
                self._reason = ""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_SECONDS if self._reason else None):
                    await self._wake.wait()

    async def _store_records(self) -> bool:
        """Stores some records; returns whether there were any."""
        waiting = self._outbox.first()
        if not waiting:
            return False
        read = [(each.logged_ms, record_from_dict(orjson.loads(each.record))) for each in waiting]
        await asyncio.to_thread(self._store.append_logged, read)
        self._outbox.done(waiting[-1].number)
        for _, record in read:
            self._on_record(record)
        return True

    async def _accept_records(self) -> None:
        while found := await asyncio.to_thread(self._store.flags_after, self._cursor):
            for number, logged_ms, record in found:
                made = None
                if not self.subscriptions.forgetting.has(record.owner):
                    made = self._owners.due(record, self.notifier.registered, self._clocks.now_ms())
                if made is not None:
                    self.notifier.put(made)
                    self.notifier.audit(self._owners.audit(made))
                self.notifier.accept(record, logged_ms, number)
                self._cursor = number
            self.feed.announce()

    async def _delete_old(self) -> None:
        while True:
            with contextlib.suppress(AlertStoreError):  # whatever else is written reports it
                await asyncio.to_thread(self._store.delete_old, self._clocks.now_ms())
            await asyncio.sleep(_DELETE_SECONDS)

    async def _save(self, changes: Changes) -> None:
        # The notifier does not have these changes any more: when it is cancelled they are saved all the same.
        saving = asyncio.create_task(asyncio.to_thread(self._store.save, changes))
        try:
            await asyncio.shield(saving)
        except asyncio.CancelledError:
            await asyncio.wait([saving])
            raise
        self._on_changes(changes)
