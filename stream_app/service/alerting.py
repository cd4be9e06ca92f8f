"""The alerts of an embedded detector: takes its flag records, keeps subscriptions in a file, and sends messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from stream_app.alerts.clocks import Clocks
from stream_app.alerts.desk import SUBSCRIPTIONS_MAX, Desk
from stream_app.alerts.feed import FlagFeed
from stream_app.alerts.flags import FlagRecord, record_from_dict
from stream_app.alerts.guard import AddressGuard
from stream_app.alerts.matching import PriceOf
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.ownership import default_subscription, subscription_id
from stream_app.alerts.registered import register
from stream_app.alerts.secrets import Vault
from stream_app.alerts.sinks.email import MailServer
from stream_app.alerts.sinks.http import HttpClient
from stream_app.alerts.sinks.making import SinkMaker
from stream_app.alerts.sinks.sink import Result
from stream_app.alerts.store import AlertStore, AlertStoreError, AuditEntry, Changes
from stream_app.alerts.subscriptions import SubscriptionError
from stream_app.alerts.texts import Texts
from stream_app.alerts.warner import WarningSender
from stream_app.errors import OptionsError
from stream_app.owners import Owners
from stream_app.runtime.files import make_file, make_folder, replace_file, tighten
from stream_app.service.flag_outbox import FlagOutbox

log = logging.getLogger(__name__)

#: Seconds between two tries while the store cannot be written, and between two deletions of what is old.
_AGAIN_SECONDS, _DELETE_SECONDS = 1.0, 3_600.0
#: Who subscribes owners, in the audit log.
_OWNERSHIP = "owners file"


@dataclass(frozen=True)
class AlertSettings:
    """Settings of alerts."""

    #: The key that encrypts secrets; None: one is made beside the store.
    key: bytes | None = field(default=None, repr=False)
    #: How e-mails are sent; None: they are not.
    mail: MailServer | None = None
    #: Networks that sinks may be in although they are not public.
    allowed_networks: tuple[str, ...] = ()
    #: Returns the price of a node-hour; the currency, and the address of a flag's page.
    price_of: PriceOf = lambda _: None
    currency: str = "USD"
    link: str = ""
    #: Whoever is subscribed to the flags of their own runs; None: nobody is.
    owners: Owners | None = None
    #: How owners are reached whose subscription fails.
    contacts: Owners = field(default_factory=Owners)
    #: The token of a bot of Slack for these.
    slack_token: str | None = field(default=None, repr=False)


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
        on_record: Callable[[FlagRecord], None] = lambda _: None,
        on_warning: Callable[[str], None] = lambda _: None,
        clocks: Clocks | None = None,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._settings = chosen = settings or AlertSettings()
        self._on_changes, self._on_record = on_changes, on_record
        self._clocks = clocks or Clocks()
        self._http = HttpClient(AddressGuard(chosen.allowed_networks))
        sinks = SinkMaker(self._http, chosen.mail, now=lambda: self._clocks.now_ms() / 1000.0)
        texts = Texts(self._money_of, chosen.currency, chosen.link)
        send_warning = WarningSender(
            sinks, lambda owner: default_subscription(owner, chosen.contacts, chosen.slack_token), on_warning
        )
        self.notifier = Notifier(self._save, sinks, texts, chosen.price_of, self._clocks, on_attempt, send_warning)
        self.notifier.load(store.subscriptions(), store.rows())
        self.desk = Desk(self.notifier, store, texts, chosen.price_of, sinks.check)
        self.feed = FlagFeed(store)
        #: Subscriptions of owners that are there, or were deleted.
        self._owned = store.deleted() | self.notifier.registered.keys()
        self._cursor = store.cursor()
        self._wake = asyncio.Event()
        self._reason = ""
        #: Has an error when nothing is stored or sent any more, and the process should exit.
        self.failed: Future[None] = Future()

    @property
    def unavailable_reason(self) -> str:
        """Why records cannot be stored or messages sent now; "" when they can."""
        return self._reason or self.notifier.unavailable_reason

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
                if self._settings.owners is not None and record.owner and not self.desk.forgetting.has(record.owner):
                    self._subscribe_owner(record.owner, self._settings.owners)
                self.notifier.accept(record, logged_ms, number)
                self._cursor = number
            self.feed.announce()

    def _subscribe_owner(self, owner: str, owners: Owners) -> None:
        """Subscribes an owner whose first flag this is, and who has not deleted that subscription."""
        name = subscription_id(owner)
        if name in self._owned or len(self.notifier.registered) >= SUBSCRIPTIONS_MAX:
            return
        self._owned.add(name)
        made = default_subscription(owner, owners, self._settings.slack_token)
        if made is None:
            log.warning("an owner has no address that can be written to: %r; see [[owners]]", owner[:200])
            return
        now_ms = self._clocks.now_ms()
        try:
            self.notifier.put(register(made, now_ms))
        except SubscriptionError as error:
            log.warning("owner %r cannot be subscribed: %s", owner[:200], error)
            return
        self.notifier.audit(AuditEntry(now_ms, _OWNERSHIP, "create", name))

    async def _delete_old(self) -> None:
        while True:
            with contextlib.suppress(AlertStoreError):  # whatever else is written reports it
                await asyncio.to_thread(self._store.delete_old, self._clocks.now_ms())
            await asyncio.sleep(_DELETE_SECONDS)

    async def _save(self, changes: Changes) -> None:
        await asyncio.to_thread(self._store.save, changes)
        self._on_changes(changes)

    def _money_of(self, record: FlagRecord, node_seconds: float) -> float | None:
        price = self._settings.price_of(record)
        return node_seconds / 3600.0 * price if price is not None else None


def open_store(folder: Path, key: bytes | None = None) -> AlertStore:
    """Opens the store of alerts in a folder.

    Parameters
    ----------
    folder
        The folder; store and key are made for this user alone.
    key
        The key that encrypts secrets; None: that of the folder, made where there is none.

    Returns
    -------
    AlertStore

    Raises
    ------
    OptionsError
        It cannot be opened.
    """
    path = folder / "alerts.sqlite"
    try:
        make_folder(folder)
        if key is None:
            key = _own_key(folder / "alerts.key")
        make_file(path)  # SQLite gives new files beside it the same rights
        for end in ("-wal", "-shm"):
            tighten(path.with_name(path.name + end))
    except OSError as error:
        raise OptionsError(f"{path}: cannot be opened: {error.strerror}") from None
    return AlertStore(path, Vault(key))


def _own_key(path: Path) -> bytes:
    if not path.exists():
        replace_file(path, secrets.token_urlsafe(32).encode() + b"\n")
    tighten(path)
    return path.read_bytes()
