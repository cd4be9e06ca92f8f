"""From options to the objects that commands run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from stream_app.cli.flags import need
from stream_app.errors import OptionsError

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from stream_app.analysis.attribution import Attribution
    from stream_app.analysis.fleet.following import FleetSettings
    from stream_app.core.detector import Settings
    from stream_app.core.operators import Operators
    from stream_app.kafka.clients.connection import Connection
    from stream_app.kafka.clients.topics import Names
    from stream_app.kafka.process.worker import WorkerSettings
    from stream_app.options import KafkaOptions, Options
    from stream_app.sources import Redaction, Sources, mlflow, mlmd, openlineage_rules
    from stream_app.web.webhooks import WebhookSettings

#: Seconds that MLflow's client waits for a response, and how often it repeats a request; its own defaults amount to
#: many minutes without any message.
_MLFLOW_CLIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
#: Characters of the shortest secret that is accepted.
_SECRET_LENGTH = 8


def mlmd_rules_of(options: Options) -> mlmd.Rules:
    """How a store of ML Metadata is read."""
    from stream_app.sources.mlmd import Rules

    return Rules(operators=operators_of(options), **options.mlmd.model_dump(exclude_none=True))


def mlflow_rules_of(options: Options) -> mlflow.Rules:
    """How MLflow is read."""
    from stream_app.sources.mlflow import Rules

    return Rules(operators=operators_of(options), **options.mlflow.model_dump(exclude_none=True))


def mlflow_client(uri: str) -> MlflowClient:
    """A client of a tracking server and its registry.

    Parameters
    ----------
    uri
        The address of the server.

    Raises
    ------
    OptionsError
        MLflow is not installed, or it is not an address of a server.
    """
    from stream_app.sources.strict_json import shown

    _refuse_login(uri)
    address = urlsplit(uri)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise OptionsError(f"not the address of a tracking server, such as http://localhost:5000: {shown(uri)}")
    prepare_mlflow(uri)
    from mlflow import MlflowClient

    return MlflowClient(uri, uri)


def prepare_mlflow(uri: str) -> None:
    """Checks that MLflow can be used, and bounds how long its client waits.

    Parameters
    ----------
    uri
        What its client will open.

    Raises
    ------
    OptionsError
        MLflow is not installed, or the address of a server has a login.
    """
    if uri.startswith(("http://", "https://")):
        _refuse_login(uri)
        need("mlflow", "mlflow")
    else:
        need("mlflow", "mlflow", "alembic", "sqlalchemy")  # mlflow-skinny alone reads no database
    for name, value in _MLFLOW_CLIENT.items():
        os.environ.setdefault(name, value)


def _refuse_login(uri: str) -> None:
    if "@" in urlsplit(uri).netloc:
        raise OptionsError("user and password in an address end up in logs: set MLFLOW_TRACKING_USERNAME and _PASSWORD")


def webhooks_of(options: Options) -> WebhookSettings | None:
    """Settings of MLflow's webhook; None where it is not configured.

    Raises
    ------
    OptionsError
        The secret cannot be read or is too short.
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
    origin_of = None if uri is None else origins(mlflow_client(uri), rules)
    return WebhookSettings(secret, rules, origin_of, redaction_of(options))


#: Characters of the shortest key that is accepted.
_KEY_LENGTH = 16


def operators_of(options: Options) -> Operators:
    """The operators."""
    from stream_app.core.operators import Operators

    return Operators(groups=dict(options.operators.groups), nodes=dict(options.operators.nodes))


def settings_of(options: Options) -> Settings:
    """The settings of a detector."""
    from stream_app.core.decisions.policy import Policy
    from stream_app.core.detector import Settings
    from stream_app.core.units import DAY_MS, HOUR_MS
    from stream_app.options import read_owners

    chosen, owners = options.detector, read_owners(options.owners)
    return Settings(
        operators=operators_of(options),
        policy=Policy(
            mode=chosen.mode,
            budget=chosen.budget,
            salt=chosen.salt,
            ladders=tuple(each.rule() for each in chosen.ladders),
        ),
        horizon_ms=chosen.horizon_days * DAY_MS,
        retention_ms=chosen.retention_days * DAY_MS,
        lateness_ms=chosen.lateness_days * DAY_MS,
        lost_ms=round(chosen.lost_hours * HOUR_MS),
        owner_of=owners.find if owners.rules else None,
    )


def attribution_of(options: Options) -> Attribution:
    """Owners and prices.

    Raises
    ------
    OptionsError
        The file of owners cannot be read, or an entry is wrong.
    """
    from stream_app.analysis.attribution import Attribution
    from stream_app.analysis.rates import Rates
    from stream_app.options import read_owners

    return Attribution(Rates(**options.rates.model_dump()), read_owners(options.owners))


def fleet_of(options: Options) -> FleetSettings:
    """What the analysis of a fleet is told.

    Raises
    ------
    OptionsError
        As of `attribution_of`.
    """
    from stream_app.analysis.fleet.following import FleetSettings
    from stream_app.options import read_owners

    return FleetSettings(dict(options.operators.nodes), attribution_of(options).rates, read_owners(options.owners))


def sources_of(options: Options) -> Sources:
    """The decoders of messages."""
    from stream_app.sources import make_sources
    from stream_app.times import zone_of

    return make_sources(openlineage_rules_of(options), zone_of(options.openlineage.time_zone), redaction_of(options))


def redaction_of(options: Options) -> Redaction:
    """What is not kept of messages."""
    from stream_app.sources import Redaction

    return Redaction(options.sources.redact)


def openlineage_rules_of(options: Options) -> openlineage_rules.Rules:
    """How names of OpenLineage are read."""
    from stream_app.sources.openlineage_rules import DatasetRule, JobRule, Rules

    chosen = options.openlineage
    return Rules(
        [JobRule(**rule.model_dump()) for rule in chosen.jobs],
        [DatasetRule(**rule.model_dump()) for rule in chosen.datasets],
    )


def connection_of(options: KafkaOptions) -> Connection:
    """How to reach Kafka.

    Raises
    ------
    OptionsError
        The options do not fit together, or the password cannot be read, or others can write to the key.
    """
    from stream_app.kafka.clients.connection import Connection
    from stream_app.options import read_secret
    from stream_app.runtime.files import check_secret_file

    key_file = options.key_file or options.certificate_file
    if key_file is not None and key_file.exists():
        check_secret_file(key_file)
    return Connection(
        bootstrap_servers=options.bootstrap_servers,
        protocol=options.protocol,
        ca_file=options.ca_file,
        certificate_file=options.certificate_file,
        key_file=options.key_file,
        mechanism=options.mechanism,
        username=options.username,
        password=read_secret(options.password, options.password_file, "kafka.password"),
    )


def checkpoint_key_of(options: KafkaOptions) -> bytes | None:
    """The key that signs checkpoints of the model; None: the worker generates one.

    Raises
    ------
    OptionsError
        The key cannot be read, or is too short to protect anything.
    """
    from stream_app.options import read_secret

    key = read_secret(options.checkpoint_key, options.checkpoint_key_file, "kafka.checkpoint_key")
    if key is not None and len(key) < _KEY_LENGTH:
        raise OptionsError(f"kafka.checkpoint_key: too short; expected {_KEY_LENGTH} characters or more")
    return None if key is None else key.encode()


def names_of(options: KafkaOptions) -> Names:
    """The names of the topics."""
    from stream_app.kafka.clients.topics import Names

    return Names(options.group, options.sources)


def flag_age_of(options: Options) -> int:
    """How far the event time of a verdict may be in the past for a flag to be raised, in ms."""
    from stream_app.core.units import HOUR_MS

    return round(options.alerts.max_age_hours * HOUR_MS)


def worker_settings(options: Options) -> WorkerSettings:
    """The settings of a worker.

    Raises
    ------
    OptionsError
        An option is wrong.
    """
    from stream_app.kafka.process.worker import WorkerSettings

    chosen = options.kafka
    return WorkerSettings(
        connection_of(chosen),
        names_of(chosen),
        chosen.folder,
        partitions=chosen.partitions,
        replication=chosen.replication,
        instance_id=chosen.instance_id,
        session_seconds=chosen.session_seconds,
        tick_seconds=chosen.tick_seconds,
        stale_seconds=chosen.stale_seconds,
        flag_age_ms=flag_age_of(options),
        learning=chosen.learning,
        detector=settings_of(options),
        checkpoint_key=checkpoint_key_of(chosen),
        sources=sources_of(options),
        fleet=fleet_of(options),
        host=chosen.metrics_host,
        port=chosen.metrics_port,
    )
