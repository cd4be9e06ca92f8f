"""Sinks that stop runs: how each is described. Values that are checked when made; no I/O."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from stream_app.alerts.sink_values import HEADERS_MAX, checked_headers, checked_url
from stream_app.core.properties import AIRFLOW_DAG, AIRFLOW_RUN

#: Globs of one hook, and characters of one.
PIPELINES_MAX, _GLOB_MAX = 100, 500

_Name = Annotated[str, Field(min_length=1, max_length=250)]


class _Hook(BaseModel):
    """What all hooks share: the pipelines that it may act on, and whether it acts at all."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    url: str
    #: The pipelines whose runs it may stop, with the wildcards of `fnmatch`.
    pipelines: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=_GLOB_MAX)], ...],
        Field(min_length=1, max_length=PIPELINES_MAX),
    ]
    #: Whether it only logs what it would stop.
    dry_run: bool = True
    headers: dict[str, SecretStr] = Field(default_factory=dict, max_length=HEADERS_MAX)

    @field_validator("url")
    @classmethod
    def _url(cls, url: str) -> str:
        return checked_url(url)

    @field_validator("headers")
    @classmethod
    def _headers(cls, headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
        return checked_headers(headers)


class KfpSink(_Hook):
    """Terminates runs by the API of Kubeflow Pipelines, v2beta1."""

    kind: Literal["kfp"]
    #: The label that has the id of the run; None: the run of the flag is that id.
    run_label: _Name | None = None


class AirflowSink(_Hook):
    """Marks runs of DAGs as failed by the API of Airflow: `v2` of Airflow 3, `v1` of Airflow 2."""

    kind: Literal["airflow"]
    api: Literal["v1", "v2"] = "v2"
    #: A login, in the place of the header Authorization.
    username: _Name | None = None
    password: SecretStr | None = None
    #: The labels that have the ids of the DAG and of its run.
    dag_label: _Name = AIRFLOW_DAG
    run_label: _Name = AIRFLOW_RUN
    #: The DAGs whose runs it may stop, with wildcards; None: the one that the name of the pipeline ends with.
    dags: Annotated[tuple[_Name, ...], Field(min_length=1, max_length=PIPELINES_MAX)] | None = None

    @model_validator(mode="after")
    def _is_one_login(self) -> AirflowSink:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password should be given together")
        if self.username is not None and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("either username and password, or the header Authorization, should be given")
        return self


class MlflowSink(_Hook):
    """Ends runs of MLflow as KILLED."""

    kind: Literal["mlflow"]


class StopWebhookSink(_Hook):
    """Asks a service to stop a run, by a request with the signature of Standard Webhooks."""

    kind: Literal["stop_webhook"]
    #: As of a webhook.
    secret: SecretStr | None = None
    #: Answers 2xx once a checkpoint of the run is stored; only then is the stop sent.
    checkpoint_url: str | None = None

    @field_validator("checkpoint_url")
    @classmethod
    def _checkpoint_url(cls, url: str | None) -> str | None:
        return checked_url(url) if url is not None else None


HookSink = KfpSink | AirflowSink | MlflowSink | StopWebhookSink
HOOKS = (KfpSink, AirflowSink, MlflowSink, StopWebhookSink)
#: The kinds of sinks that stop runs.
HOOK_KINDS = frozenset(("kfp", "airflow", "mlflow", "stop_webhook"))


def armed(before: object, after: object) -> str:
    """What the audit log says of a change after which a sink may stop runs, or may not any more; "" of any other.

    Parameters
    ----------
    before, after
        The sink before the change, None where there was none, and after it.
    """
    was, is_now = (isinstance(each, HOOKS) and not each.dry_run for each in (before, after))
    return "" if was == is_now else ": it stops runs from now on" if is_now else ": it stops no runs any more"
