"""The stores that can be followed, as passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from stream_app.core.events import Event
from stream_app.follow.follower import Begin
from stream_app.sources import mlflow

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from stream_app.sources import mlmd


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

    def begin(saved: bytes | None) -> tuple[Iterator[Event], Callable[[], bytes]]:
        cursor = mlmd.Cursor.from_json(saved) if saved is not None else mlmd.Cursor()

        def events() -> Iterator[Event]:
            with mlmd.Store(url) as store:
                yield from mlmd.follow(store, cursor, rules)

        return events(), cursor.to_json

    return begin


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
