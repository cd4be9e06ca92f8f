"""Options of the long-running services: Kafka and its workers, and the HTTP service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field, SecretStr

from stream_app.options.values import FROZEN, TABLE, TopicName


class KafkaOptions(BaseModel):
    """The Kafka cluster, the login, the names of topics, and the settings of a worker.

    The parts of a login are checked when a connection is made from them; see `kafka.clients.connection`.
    """

    model_config = FROZEN

    #: `host:port`, several separated by commas.
    bootstrap_servers: str = "localhost:9092"
    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    #: Certificate authorities to trust instead of the system's, as a PEM file.
    ca_file: Path | None = None
    #: The client's certificate and its key as PEM files, where brokers ask for one.
    certificate_file: Path | None = None
    key_file: Path | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str | None = Field(default=None, min_length=1)
    #: The password, as it is or in a file, which may end in a line break; at most one of the two is set.
    password: SecretStr | None = None
    password_file: Path | None = None
    #: Topics to read events from, beside the topic of events.
    sources: Annotated[tuple[TopicName, ...], *TABLE] = ("provenance",)
    #: The consumer group, and the first part of the names of all other topics.
    group: TopicName = "stream-app"
    #: Partitions of new topics, which is the most workers that can share the work; fixed for the topic of events.
    partitions: int = Field(default=12, ge=1, le=1_000)
    #: Copies of each topic.
    replication: int = Field(default=3, ge=1, le=100)
    #: Where a worker keeps local copies of its state; each worker needs a folder of its own.
    folder: Path = Path("stream-app-state")
    #: The worker's static membership: it keeps its partitions over a restart shorter than the session.
    instance_id: TopicName | None = None
    #: Seconds after which a worker that does not answer loses its partitions.
    session_seconds: float = Field(default=10.0, ge=1, le=1_800)
    #: Seconds between two ticks, which move the clocks of pipelines without events.
    tick_seconds: float = Field(default=60.0, ge=0.1, le=86_400)
    #: Seconds without an answer of Kafka after which a worker is not ready.
    stale_seconds: float = Field(default=60.0, ge=1, le=86_400)
    #: Whether workers learn; if not, the model stays that of the checkpoint in `folder`.
    learning: bool = True
    #: The key that signs the local checkpoint of the model; at most one of the two. Without one the worker makes a key.
    checkpoint_key: SecretStr | None = None
    checkpoint_key_file: Path | None = None
    #: The address at which a worker serves metrics and probes; port 0 takes a free port.
    metrics_host: str = Field(default="127.0.0.1", min_length=1)
    metrics_port: int = Field(default=9464, ge=0, le=65_535)


class ServeOptions(BaseModel):
    """The options of the HTTP service."""

    model_config = FROZEN

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=8484, ge=0, le=65535)
    #: The bearer token that callers must send; if not set, everybody who can reach the port has access.
    token: SecretStr | None = Field(default=None, min_length=8)
    #: Requests per second from one address, and with the token; 0 is no limit.
    address_rate: float = Field(default=1_000.0, ge=0, le=1_000_000)
    token_rate: float = Field(default=2_000.0, ge=0, le=1_000_000)
    #: Whether each request is logged.
    access_log: bool = False
    #: Days for which events are kept after they were applied.
    keep_days: float = Field(default=30.0, gt=0, le=3650)
    #: The secret with which MLflow signs its webhooks, one of the two; without it webhooks are refused.
    mlflow_webhook_secret: SecretStr | None = None
    mlflow_webhook_secret_file: Path | None = None
    #: The MLflow server that gives the run of a webhook's model; without it `mlflow.registered_models` decides.
    mlflow_tracking_uri: str | None = Field(default=None, min_length=1)


class QueriesOptions(BaseModel):
    """Questions of `serve` to workers about graphlets and lineage."""

    model_config = FROZEN

    #: The address at which a worker answers, and its port; 0 takes a free one.
    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=0, ge=0, le=65_535)
    #: The host, or `host:port`, at which others reach it; if not set, `host` where only its own machine reaches it,
    #: else the name of its machine.
    address: str | None = Field(
        default=None, pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?$", max_length=300
    )
    #: What workers ask for, and `serve` shows, the same for all: as it is or in a file; at most one of the two is set.
    token: SecretStr | None = None
    token_file: Path | None = None
