"""The stores that can be followed, as passes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stream_app.core.events import Event
from stream_app.errors import OptionsError
from stream_app.follow.follower import Begin
from stream_app.sources import mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from stream_app.sources import mlmd


#: Times that a check of a store took, before it is checked again.
_PAUSE_FACTOR = 100


def mlmd_passes(url: str, rules: mlmd.Rules) -> Begin:
    """Passes over a store of ML Metadata, which is opened for each.

    Parameters
    ----------
    url
        A SQLite file, or a URL of SQLAlchemy.
    rules
        How its rows are read.
    """
    from stream_app.sources import mlmd

    checks = _Checks()
    #: The cursor after the last pass over a store that was found whole; what came after it may be from a damaged one.
    trusted: bytes | None = None
    was_checked = is_open = False

    def begin(saved: bytes | None) -> tuple[Iterator[Event], Callable[[], bytes]]:
        cursor = mlmd.Cursor()

        def events() -> Iterator[Event]:
            nonlocal cursor, trusted, was_checked, is_open
            if was_checked:
                trusted = saved
            try:
                with mlmd.Store(url) as store:
                    start = trusted if checks.problem else saved
                    was_checked = checks.run(store)
                    cursor = mlmd.Cursor.from_json(start) if start is not None else mlmd.Cursor()
                    yield from mlmd.follow(store, cursor, rules)
            except OptionsError as error:
                if not is_open:
                    raise
                # It was a store a moment ago: it is being replaced, or has been damaged.
                raise mlmd.StoreUnavailable(str(error)) from None
            is_open = True

        return events(), lambda: cursor.to_json()

    return begin


class _Checks:
    """Checks of a store for damage: at the first pass, and after changes, in at most 1 % of the time."""

    def __init__(self) -> None:
        #: What the last check found.
        self.problem = ""
        self._stamp: tuple[int, ...] | None = None
        self._due = -math.inf

    def run(self, store: mlmd.Store) -> bool:
        """Checks a store if it is due; returns whether it was checked.

        Raises
        ------
        StoreUnavailable
            It is damaged, or was when it had not changed yet.
        """
        from stream_app.sources import mlmd

        stamp = store.stamp()
        if stamp == self._stamp or time.monotonic() < self._due:
            if self.problem:
                raise mlmd.StoreUnavailable(self.problem)
            return False
        began = time.monotonic()
        try:
            store.check()
        except mlmd.StoreUnavailable as error:
            self.problem, self._stamp = str(error), stamp
            raise
        self.problem, self._stamp = "", stamp
        self._due = time.monotonic() + _PAUSE_FACTOR * (time.monotonic() - began)
        return True


def mlflow_passes(client: MlflowClient, rules: mlflow.Rules) -> Begin:
    """Passes over a tracking server and its registry.

    Parameters
    ----------
    client
        A client of both.
    rules
        How runs and models are read.
    """

    def begin(saved: bytes | None) -> tuple[Iterator[Event], Callable[[], bytes]]:
        cursor = mlflow.Cursor.from_json(saved) if saved is not None else mlflow.Cursor()
        return mlflow.follow(client, cursor, time.time_ns() // 1_000_000, rules), cursor.to_json

    return begin
