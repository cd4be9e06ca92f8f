"""What settings say of stores and tracking servers, as their readers take it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stream_app.cli.flags import how_to_get, need, operators_of
from stream_app.errors import OptionsError
from stream_app.sources.strict_json import shown

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from stream_app.options import Options
    from stream_app.replay.reading import Stores
    from stream_app.sources import mlflow, mlmd
    from stream_app.web.webhooks import WebhookSettings

#: Seconds that MLflow's client waits for an answer and how often it repeats a request; its own defaults come to many
#: minutes, in which nobody is told anything.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
#: Characters of the shortest secret that is taken.
_SECRET_LENGTH = 8


def mlmd_rules_of(options: Options) -> mlmd.Rules:
    """How a store of ML Metadata is read, as the options have it."""
    from stream_app.sources.mlmd import Rules

    return Rules(operators=operators_of(options), **options.mlmd.model_dump(exclude_none=True))


def stores_of(options: Options) -> Stores:
    """How a store of ML Metadata in a file is replayed, as the options have it."""

    def messages(path: str) -> Iterator[bytes]:
        try:
            from stream_app.sources import mlmd
        except ImportError:
            raise OptionsError(f"{path}: reading a database needs more packages: {how_to_get('mlmd')}") from None
        return mlmd.messages(path, mlmd_rules_of(options))

    return messages


def mlflow_rules_of(options: Options) -> mlflow.Rules:
    """How MLflow is read, as the options have it."""
    from stream_app.sources.mlflow import Rules

    return Rules(operators=operators_of(options), **options.mlflow.model_dump(exclude_none=True))


def mlflow_client(uri: str) -> MlflowClient:
    """A client of a tracking server and its registry.

    Raises OptionsError when MLflow is not installed or this is no address of a server.
    """
    address = urlsplit(uri)
    if "@" in address.netloc:
        raise OptionsError("user and password in an address end up in logs: set MLFLOW_TRACKING_USERNAME and _PASSWORD")
    if address.scheme not in ("http", "https") or not address.hostname:
        raise OptionsError(f"not the address of a tracking server, such as http://localhost:5000: {shown(uri)}")
    need("mlflow", "mlflow")
    for name, value in _PATIENCE.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    return MlflowClient(uri, uri)


def webhooks_of(options: Options) -> WebhookSettings | None:
    """How webhooks of MLflow are taken, as the options have it; None: not at all.

    Raises OptionsError.
    """
    from stream_app.options import read_secret
    from stream_app.sources.mlflow import origins
    from stream_app.web.webhooks import WebhookSettings

    chosen = options.serve
    name = "serve.mlflow_webhook_secret"
    secret = read_secret(chosen.mlflow_webhook_secret, chosen.mlflow_webhook_secret_file, name)
    if secret is None:
        return None
    if len(secret) < _SECRET_LENGTH:
        raise OptionsError(f"{name}: too short; expected {_SECRET_LENGTH} characters or more")
    rules = mlflow_rules_of(options)
    uri = chosen.mlflow_tracking_uri
    return WebhookSettings(secret, rules, None if uri is None else origins(mlflow_client(uri), rules))
