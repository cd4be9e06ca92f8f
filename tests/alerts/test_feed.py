"""Listeners get every record once, in order, at their own pace, and cost no memory while they are slow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from stream_app.alerts import feed as module
from stream_app.alerts.feed import PAGE, FlagFeed
from stream_app.alerts.secrets import Vault
from stream_app.alerts.store import AlertStore
from tests.alerts.records import NOW, record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    """A store with three records."""
    made = AlertStore(tmp_path / "alerts.sqlite", Vault(b"a key for the tests only"))
    made.append_flags([record(flag=f"p/run:r{number}") for number in range(3)], NOW)
    yield made
    made.close()


async def numbers(feed: FlagFeed, after: int | None, last: int) -> list[list[int]]:
    """The numbers of the pages of a listener, up to the one with a number."""
    found = []
    async with aclosing(feed.follow(after, 20)) as pages:
        async for page in pages:
            found.append([number for number, _ in page.records])
            if last in found[-1]:
                break
    return found


def test_a_listener_begins_where_it_was(store: AlertStore) -> None:
    """The first page is empty, so that an answer can begin."""
    assert asyncio.run(numbers(FlagFeed(store), 0, 3)) == [[], [1, 2, 3]]
    assert asyncio.run(numbers(FlagFeed(store), 2, 3)) == [[], [3]]


def test_a_number_beyond_the_last_one_is_of_a_log_that_is_gone(store: AlertStore) -> None:
    """The listener hears what is new, and does not wait until the numbers have come so far."""
    feed = FlagFeed(store)

    async def begin() -> int:
        async with aclosing(feed.follow(900, 20)) as pages:
            return (await anext(pages)).last

    assert asyncio.run(begin()) == 3


def test_a_listener_without_a_number_gets_what_is_new(store: AlertStore) -> None:
    """Announced while it waits."""
    feed = FlagFeed(store)

    async def body() -> list[list[int]]:
        listening = asyncio.create_task(numbers(feed, None, 4))
        async with asyncio.timeout(20):
            while not len(feed):
                await asyncio.sleep(0)
            store.append_flags([record(flag="p/run:new")], NOW)
            while not listening.done():
                feed.announce()
                await asyncio.sleep(0.001)
        return listening.result()

    pages = asyncio.run(body())
    assert pages[0] == []
    assert pages[-1][-1] == 4
    assert len(feed) == 0


def test_a_slow_listener_holds_one_page(store: AlertStore) -> None:
    """The rest is in the store until it is asked for."""
    store.append_flags([record(flag=f"q/run:r{number}") for number in range(3 * PAGE)], NOW)

    pages = asyncio.run(numbers(FlagFeed(store), 0, 3 + 3 * PAGE))

    assert max(map(len, pages)) == PAGE
    assert [number for page in pages for number in page] == list(range(1, 4 + 3 * PAGE))


def test_a_closed_feed_ends_its_listeners_and_takes_no_other(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the service can stop."""
    monkeypatch.setattr(module, "LISTENERS_MAX", 2)
    feed = FlagFeed(store)

    async def body() -> None:
        listening = [asyncio.create_task(numbers(feed, 3, 99)) for _ in range(2)]
        async with asyncio.timeout(20):
            while not feed.full:
                await asyncio.sleep(0)
            feed.close()
            await asyncio.gather(*listening)
        assert len(feed) == 0
        assert feed.full

    asyncio.run(body())
