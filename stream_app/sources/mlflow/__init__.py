"""Follows a tracking server of MLflow with its registry, reads whole stores, and decodes webhooks of the registry.

See docs/mlflow.md.
"""

from __future__ import annotations

from stream_app.sources.mlflow.cursor import Cursor
from stream_app.sources.mlflow.errors import TrackingUnavailable
from stream_app.sources.mlflow.follow import follow, origins
from stream_app.sources.mlflow.registry import Origin
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.mlflow.stores import is_store, messages
from stream_app.sources.mlflow.webhooks import Deliveries, RejectedWebhook, decode_webhook, verify

__all__ = [
    "Cursor",
    "Deliveries",
    "Origin",
    "RejectedWebhook",
    "Rules",
    "TrackingUnavailable",
    "decode_webhook",
    "follow",
    "is_store",
    "messages",
    "origins",
    "verify",
]
