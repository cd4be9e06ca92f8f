"""Options from a TOML file, `STREAM_APP_*` variables and flags, as one checked value (`load`)."""

from __future__ import annotations

from stream_app.options.alerts import AlertOptions, read_tokens
from stream_app.options.detector import DEFAULT_BUDGETS, DetectorOptions
from stream_app.options.loading import Options, load, read_secret
from stream_app.options.owners import OwnersOptions, read_owners
from stream_app.options.services import KafkaOptions, QueriesOptions, ServeOptions
from stream_app.options.sources import MlflowOptions, MlmdOptions
from stream_app.options.values import Group

__all__ = [
    "DEFAULT_BUDGETS",
    "AlertOptions",
    "DetectorOptions",
    "Group",
    "KafkaOptions",
    "MlflowOptions",
    "MlmdOptions",
    "Options",
    "OwnersOptions",
    "QueriesOptions",
    "ServeOptions",
    "load",
    "read_owners",
    "read_secret",
    "read_tokens",
]
