"""Follows a store of ML Metadata and yields its changes as events (docs/mlmd.md)."""

from __future__ import annotations

from stream_app.extras import missing_extra

try:
    from stream_app.sources.mlmd.cursor import Cursor
    from stream_app.sources.mlmd.follow import follow, messages
    from stream_app.sources.mlmd.rules import Rules
    from stream_app.sources.mlmd.store import Store, StoreUnavailable, is_store
except ModuleNotFoundError as error:
    raise missing_extra(error, "mlmd") from None

__all__ = ["Cursor", "Rules", "Store", "StoreUnavailable", "follow", "is_store", "messages"]
