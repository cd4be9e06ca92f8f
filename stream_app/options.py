"""Options: one TOML file, then `STREAM_APP_*` variables, then flags, each overriding the one before.

An option is `section.key`; its variable is `STREAM_APP_SECTION_KEY`, which holds JSON where the option is a table. An
unknown key is an error. Nothing else in the project reads the environment, and no module below the commands uses
`Options`: they take plain values.
"""

from __future__ import annotations

import difflib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict

from stream_app.errors import OptionsError
from stream_app.sources.openlineage_rules import DatasetRule, JobRule
from stream_app.sources.strict_json import shown

_PREFIX = "STREAM_APP_"
_FROZEN = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

#: The share of would-be pushes that may be flagged, by mode.
DEFAULT_BUDGETS = {"observe": 0.05, "enforce": 0.01}


def _decoded(value: object) -> object:
    """Decodes a table or a list from a variable, which holds it as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        raise ValueError("should be JSON") from None


_Table = (NoDecode, BeforeValidator(_decoded))

Group = Literal["ingest", "analysis", "preprocess", "tune", "train", "validate", "deploy", "run", "custom"]


class OperatorOptions(BaseModel):
    """The meaning of execution types, beside the default operators."""

    model_config = _FROZEN

    #: Execution type to operator group; extends and overrides the defaults.
    groups: Annotated[dict[str, Group], *_Table] = Field(default_factory=dict)
    #: Execution type to its number of nodes, for executions whose sender reports no cost.
    nodes: Annotated[dict[str, Annotated[float, Field(gt=0)]], *_Table] = Field(default_factory=dict)


class DetectorOptions(BaseModel):
    """How the detector decides and how long it remembers."""

    model_config = _FROZEN

    mode: Literal["observe", "enforce"] = "observe"
    #: The share of would-be pushes that may be flagged; if not set, 0.05 in `observe`, 0.01 in `enforce`.
    budget: float = Field(default_factory=lambda checked: DEFAULT_BUDGETS[checked.get("mode", "observe")], gt=0, lt=1)
    #: The salt of the hash that draws the holdout; another salt draws other runs.
    salt: str = Field(default="stream-app", min_length=1)
    #: Days of event time, beside the lateness, for which executions and graphlets that no event touches are kept.
    retention_days: int = Field(default=30, ge=1, le=3650)
    #: Days that an event may be behind its pipeline's clock.
    lateness_days: int = Field(default=7, ge=0, le=365)
    #: Days after a trainer's start at which a graphlet without an outcome has expired.
    horizon_days: int = Field(default=14, ge=1, le=365)

    @model_validator(mode="after")
    def _check_horizon(self) -> DetectorOptions:
        if self.horizon_days > self.retention_days:
            raise ValueError("horizon_days should be at most retention_days")
        return self


class RateOptions(BaseModel):
    """The rate card: the price of compute."""

    model_config = _FROZEN

    #: Price of a node-hour; without it, compute is reported in node-hours only.
    node_hour: float | None = Field(default=None, ge=0)
    #: The currency's code of ISO 4217.
    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")


class MlmdOptions(BaseModel):
    """The meaning of names in a store of ML Metadata; defaults are those of `sources.mlmd.Rules`."""

    model_config = _FROZEN

    pipeline: str | None = Field(default=None, min_length=1)
    pipeline_contexts: Annotated[tuple[str, ...] | None, *_Table] = None
    run_contexts: Annotated[tuple[str, ...] | None, *_Table] = None
    node_contexts: Annotated[tuple[str, ...] | None, *_Table] = None
    type_properties: Annotated[dict[str, str] | None, *_Table] = None
    run_properties: Annotated[dict[str, str] | None, *_Table] = None
    pushed_types: Annotated[tuple[str, ...] | None, *_Table] = None
    properties: Annotated[dict[str, str] | None, *_Table] = None
    known_at_start: Annotated[tuple[str, ...] | None, *_Table] = None


class MlflowOptions(BaseModel):
    """The meaning of names in MLflow; defaults are those of `sources.mlflow.Rules`."""

    model_config = _FROZEN

    experiments: Annotated[tuple[str, ...] | None, *_Table] = None
    pipelines: Annotated[dict[str, str] | None, *_Table] = None
    registered_models: Annotated[dict[str, str] | None, *_Table] = None
    type_tag: str | None = Field(default=None, min_length=1)
    default_type: str | None = Field(default=None, min_length=1)
    pushed_aliases: Annotated[tuple[str, ...] | None, *_Table] = None
    pushed_stages: Annotated[tuple[str, ...] | None, *_Table] = None
    pushed_tags: Annotated[tuple[str, ...] | None, *_Table] = None
    properties: Annotated[dict[str, str] | None, *_Table] = None
    known_at_start: Annotated[tuple[str, ...] | None, *_Table] = None


class JobRuleOptions(BaseModel):
    """A rule for jobs of OpenLineage; see `sources.openlineage_rules`."""

    model_config = _FROZEN

    namespace: str | None = None
    name: str | None = None
    job_type: str | None = None
    pipeline: Annotated[str, Field(min_length=1)] | None = None
    group: Group | None = None

    @model_validator(mode="after")
    def _is_a_rule(self) -> JobRuleOptions:
        JobRule(**self.model_dump())
        return self


class DatasetRuleOptions(BaseModel):
    """A rule for datasets of OpenLineage; see `sources.openlineage_rules`."""

    model_config = _FROZEN

    type: str = Field(min_length=1, max_length=1024)
    namespace: str | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _is_a_rule(self) -> DatasetRuleOptions:
        DatasetRule(**self.model_dump())
        return self


class OpenLineageOptions(BaseModel):
    """How names of OpenLineage are read, before the defaults; the first rule that holds decides."""

    model_config = _FROZEN

    jobs: Annotated[tuple[JobRuleOptions, ...], *_Table] = ()
    datasets: Annotated[tuple[DatasetRuleOptions, ...], *_Table] = ()


TopicName = Annotated[str, Field(pattern="^[A-Za-z0-9._-]{1,200}$")]


class KafkaOptions(BaseModel):
    """The Kafka cluster, the login, the names of topics, and the settings of a worker.

    The parts of a login are checked when a connection is made from them; see `kafka.clients.connection`.
    """

    model_config = _FROZEN

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
    sources: Annotated[tuple[TopicName, ...], *_Table] = ("provenance",)
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

    model_config = _FROZEN

    host: str = Field(default="127.0.0.1", min_length=1)
    port: int = Field(default=5000, ge=0, le=65535)
    #: The bearer token that callers must send; if not set, everybody who can reach the port has access.
    token: SecretStr | None = Field(default=None, min_length=8)
    #: Days for which events are kept after they were applied.
    keep_days: float = Field(default=30.0, gt=0, le=3650)
    #: The secret with which MLflow signs its webhooks, one of the two; without it webhooks are refused.
    mlflow_webhook_secret: SecretStr | None = None
    mlflow_webhook_secret_file: Path | None = None
    #: The MLflow server that gives the run of a webhook's model; without it `mlflow.registered_models` decides.
    mlflow_tracking_uri: str | None = Field(default=None, min_length=1)


class Options(BaseModel):
    """All options. The constructor takes defaults and its arguments only; `load` reads file and environment."""

    model_config = _FROZEN

    operators: OperatorOptions = OperatorOptions()
    detector: DetectorOptions = DetectorOptions()
    rates: RateOptions = RateOptions()
    mlmd: MlmdOptions = MlmdOptions()
    mlflow: MlflowOptions = MlflowOptions()
    openlineage: OpenLineageOptions = OpenLineageOptions()
    serve: ServeOptions = ServeOptions()
    kafka: KafkaOptions = KafkaOptions()


class _Variables(Options, BaseSettings):
    """The same options as variables name them."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, env_nested_delimiter="_", env_nested_max_split=1)


def load(path: Path | None = None, flags: Mapping[str, object] | None = None) -> Options:
    """Reads the options of a file, the environment, and flags.

    Parameters
    ----------
    path
        The TOML file, or None.
    flags
        Options by name, such as `{"detector.mode": "enforce"}`; an option with the value None is not set.

    Returns
    -------
    Options
        The options, checked.

    Raises
    ------
    OptionsError
        With one line that names the place, the key and what is expected there.
    """
    values: dict[str, dict[str, Any]] = {}
    places: dict[str, str] = {}
    for name, place, value in [*_from_file(path), *_from_environment(), *_from_flags(flags or {})]:
        section, key = name.split(".", 1)
        values.setdefault(section, {})[key] = value
        places[name] = place
    try:
        return Options.model_validate(values)
    except ValidationError as error:
        raise OptionsError(_first_line(error, places)) from None


def read_secret(value: SecretStr | None, file: Path | None, name: str) -> str | None:
    """Reads a secret that is given as it is, or in a file.

    Parameters
    ----------
    value
        The secret, or None.
    file
        A file that holds the secret, or None; a line break at its end is removed.
    name
        The name of the option, for messages.

    Returns
    -------
    str or None
        None when neither is given.

    Raises
    ------
    OptionsError
        Both are given, or the file cannot be read. The message never holds the secret.
    """
    if file is None:
        return None if value is None else value.get_secret_value()
    if value is not None:
        raise OptionsError(f"{name} is given both as it is and as a file; give one")
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"{name}: cannot read {file}: {error}") from None


_KNOWN = [
    f"{section}.{key}" for section, field in Options.model_fields.items() for key in type(field.default).model_fields
]

#: Options whose values no message repeats.
_SECRET = {"kafka.checkpoint_key", "kafka.password", "serve.mlflow_webhook_secret", "serve.token"}

#: The name of an option, where it was set, and its value.
_Setting = tuple[str, str, Any]


def _from_file(path: Path | None) -> list[_Setting]:
    if path is None:
        return []
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionsError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionsError(f"{path}: not TOML: {error}") from None
    settings = []
    for section, table in document.items():
        if section not in Options.model_fields or not isinstance(table, dict):
            inner = next(iter(table)) if isinstance(table, dict) and table else None
            raise OptionsError(_unknown(f"{path}: ", f"{section}.{inner}" if inner else section))
        for key, value in table.items():
            if f"{section}.{key}" not in _KNOWN:
                raise OptionsError(_unknown(f"{path}: ", f"{section}.{key}"))
            settings.append((f"{section}.{key}", f"{path}: {section}.{key}", value))
    return settings


def _from_environment() -> list[_Setting]:
    variables = {f"{_PREFIX}{name.replace('.', '_')}".upper(): name for name in _KNOWN}
    for variable in sorted(os.environ):
        if variable.upper().startswith(_PREFIX) and variable.upper() not in variables:
            closest = difflib.get_close_matches(variable.upper(), variables, 1, cutoff=0)[0]
            raise OptionsError(f"{variable}: unknown variable, the closest known one is {closest}")
    names = {name: variable for variable, name in variables.items()}
    return [
        (f"{section}.{key}", names[f"{section}.{key}"], value)
        for section, table in EnvSettingsSource(_Variables)().items()
        for key, value in table.items()
    ]


def _from_flags(flags: Mapping[str, object]) -> list[_Setting]:
    for name in flags:
        if name not in _KNOWN:
            raise OptionsError(_unknown("flags: ", name))
    return [(name, f"flag {name}", value) for name, value in flags.items() if value is not None]


def _unknown(place: str, name: str) -> str:
    closest = difflib.get_close_matches(name, _KNOWN, 1, cutoff=0)[0]
    return f"{place}unknown key {shown(name)[1:-1]}, the closest known one is {closest}"


def _first_line(error: ValidationError, places: Mapping[str, str]) -> str:
    """The first error, on one line, and where the value was set."""
    fault = error.errors()[0]
    steps = [str(step) for step in fault["loc"]]
    name = ".".join(steps[:2])
    inner = "".join(f".{step}" for step in steps[2:])
    if name not in places:  # a fault between options of a section, at least one of which was set
        name = next(known for known in places if known.startswith(f"{name}.") and known.split(".")[1] in fault["msg"])
    message = fault["msg"].removeprefix("Value error, ").replace("Input should be", "expected")
    got = f", got {shown(fault['input'])}" if len(steps) > 1 and name not in _SECRET else ""
    return f"{places[name]}{shown(inner)[1:-1]}: {message[0].lower()}{message[1:]}{got}"
