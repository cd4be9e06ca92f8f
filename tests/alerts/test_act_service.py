"""Acts whose event cannot be stored: nothing is told as done, and whoever asks may ask again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from stream_app.alerts import act_service
from stream_app.alerts.access import EVERYBODY
from stream_app.alerts.act_service import ActService, LinkRefusedError, NotStoredError
from stream_app.alerts.flag_acts import ActError, Asked, FlagAct, subject_of
from stream_app.alerts.flags import Change
from stream_app.alerts.link_uses import StoredUses
from stream_app.alerts.links import ActLink, LinkKey
from stream_app.alerts.notifier import Notifier
from stream_app.alerts.quiet import StoredQuiets
from stream_app.alerts.registered import register
from stream_app.alerts.saved import AlertStoreError, Changes
from stream_app.alerts.secrets import Vault
from stream_app.alerts.store import AlertStore
from stream_app.alerts.subscribers import NotFoundError
from stream_app.alerts.subscriptions import make_subscription
from stream_app.core.acts import BY, KEEP, REASON, VALUE, ActOn, act_id
from stream_app.core.events import Event
from stream_app.core.ids import graphlet_id, run_graphlet_id
from stream_app.core.units import DAY_MS
from stream_app.errors import StreamAppError
from tests.alerts.records import NOW, record
from tests.alerts.test_notifier import Recorder

VAULT = Vault(b"a key for the tests only")
KEY = LinkKey(VAULT.derived(b"links"))
SUBSCRIPTION = {"id": "s", "name": "s", "owner": "ann", "sink": {"kind": "kafka", "topic": "t"}}


class Bench:
    """The service over a real store, and a log that takes events or does not."""

    def __init__(self, folder: Path) -> None:
        self.store = AlertStore(folder / "alerts.sqlite", VAULT)
        self.store.append_flags([record()], NOW)
        self.notifier = Notifier(self.save, lambda _: Recorder())
        self.notifier.put(register(make_subscription(SUBSCRIPTION), NOW))
        self.events: list[Event] = []
        self.faults: list[BaseException] = []
        self.saves = True
        self.now_ms = NOW
        clock = self.clock
        uses, quiets = StoredUses(self.store, clock), StoredQuiets(self.store, clock)
        self.acts = ActService(self.notifier, self.store, self.write, KEY, uses, quiets, clock)

    def clock(self) -> int:
        """The time."""
        return self.now_ms

    async def save(self, changes: Changes) -> None:
        """Saves into the store."""
        if not self.saves:
            raise AlertStoreError("the disk is full")
        self.store.save(changes)

    async def write(self, events: Sequence[Event]) -> None:
        """Stores events, or raises what is due."""
        if self.faults:
            raise self.faults.pop(0)
        self.events += events

    def follow(self, token: str) -> None:
        """Follows a link."""
        asyncio.run(self.acts.act_by_link(token, "it matters", lambda link: f"link of {link.subscription}"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench, closed at the end."""
    made = Bench(tmp_path)
    yield made
    made.store.close()


def token(act: FlagAct = FlagAct.KEEP, flag: str = "p/run:r1") -> str:
    """A link to the flag."""
    return KEY.token(ActLink(flag, act, "s", NOW + DAY_MS, "nonce"))


def test_an_act_is_an_event_that_says_who_and_why(bench: Bench) -> None:
    """And an entry of the audit log."""
    asyncio.run(bench.acts.act(EVERYBODY, "p/run:r1", Asked(FlagAct.KEEP, "the launch")))

    (event,) = bench.events
    assert (event.execution_id, event.pipeline, event.time_ms) == (act_id(KEEP, "run:r1"), "p", NOW)
    assert event.properties == {BY: "everybody", REASON: "the launch", VALUE: True}
    assert bench.store.audit(1)[0].what == "keep: the launch"


@pytest.mark.parametrize("fault", [StreamAppError("the disk is full"), TimeoutError(), asyncio.CancelledError()])
def test_a_link_whose_act_is_not_stored_may_be_used_again(bench: Bench, fault: BaseException) -> None:
    """Once."""
    bench.faults = [fault]

    with pytest.raises((NotStoredError, asyncio.CancelledError)):
        bench.follow(token())
    assert (bench.events, bench.store.audit(1)) == ([], [])
    bench.follow(token())
    assert len(bench.events) == 1
    with pytest.raises(LinkRefusedError, match="used before"):
        bench.follow(token())


def test_a_log_that_hangs_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """For long."""
    monkeypatch.setattr(act_service, "SECONDS", 0.01)

    async def hang(_: Sequence[Event]) -> None:
        await asyncio.Event().wait()

    bench.acts._write = hang
    with pytest.raises(NotStoredError, match="in time"):
        asyncio.run(bench.acts.act(EVERYBODY, "p/run:r1", Asked(FlagAct.KEEP, "x")))


def test_an_act_that_is_stored_is_done_although_it_cannot_be_audited_now(bench: Bench) -> None:
    """The event says who acted; the entry follows when it can be written."""
    bench.saves = False
    asyncio.run(bench.acts.act(EVERYBODY, "p/run:r1", Asked(FlagAct.KEEP, "x")))
    bench.saves = True
    asyncio.run(bench.notifier.saved())

    assert len(bench.events) == 1
    assert bench.store.audit(1)[0].what == "keep: x"


def test_a_link_is_not_followed_where_its_use_cannot_be_stored(bench: Bench) -> None:
    """Another process, or this one after a restart, would follow it again."""
    bench.store.change(lambda db: db.execute("DROP TABLE used_links"))

    with pytest.raises(AlertStoreError):
        bench.follow(token())
    assert not bench.events


def test_used_links_are_forgotten_once_they_have_expired(bench: Bench) -> None:
    """They are refused by their date then."""
    bench.follow(token())
    bench.now_ms = NOW + 2 * DAY_MS

    with pytest.raises(LinkRefusedError, match="expired"):
        bench.follow(token())
    assert asyncio.run(bench.acts._uses.claim("other", NOW + 9 * DAY_MS))
    assert not asyncio.run(bench.acts._uses.used("nonce"))


def test_what_has_ended_between_the_page_and_the_form_is_not_acted_on(bench: Bench) -> None:
    """The link is not used up by that."""
    asyncio.run(bench.acts.follow(token()))
    bench.store.append_flags([record(2, Change.RESOLVED)], NOW)

    with pytest.raises(LinkRefusedError, match="not open any more: not pushed"):
        bench.follow(token())
    assert not bench.events
    assert not asyncio.run(bench.acts._uses.used("nonce"))


def test_a_deleted_subscription_takes_its_links_along(bench: Bench) -> None:
    """Whoever it was sent to has nothing to say any more."""
    bench.notifier.remove("s")

    with pytest.raises(LinkRefusedError, match="was deleted"):
        bench.follow(token())


def test_a_prolongation_that_would_be_too_long_is_refused(bench: Bench) -> None:
    """From when the run may be stopped on, too."""
    with pytest.raises(ActError, match="14 days"):
        asyncio.run(bench.acts.act(EVERYBODY, "p/run:r1", Asked(FlagAct.PROLONG, "x", added_ms=15 * DAY_MS)))
    with pytest.raises(NotFoundError):
        asyncio.run(bench.acts.act(EVERYBODY, "p/run:none", Asked(FlagAct.KEEP, "x")))
    assert not bench.events


def test_an_act_is_about_the_run_or_the_training_of_a_flag() -> None:
    """Whatever either is called."""
    odd = "a/b:c~d\u00e9"
    of_run = record(flag=run_graphlet_id(odd, odd), pipeline=odd, run=odd)
    alone = record(flag=graphlet_id(odd, odd), pipeline=odd, run=None)

    assert subject_of(of_run) == ActOn(odd, run=odd)
    assert subject_of(alone) == ActOn(odd, trainer=odd)
