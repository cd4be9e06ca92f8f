"""Options of sources: the meaning of names in each, and what is not kept of any."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field, field_validator, model_validator

from stream_app.options.values import FROZEN, TABLE, Group
from stream_app.sources import Redaction
from stream_app.sources.openlineage_rules import DatasetRule, JobRule
from stream_app.times import zone_of


class SourceOptions(BaseModel):
    """What is not kept of events, whatever their source."""

    model_config = FROZEN

    redact: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], *TABLE] = ()

    @field_validator("redact")
    @classmethod
    def _can_be_redacted(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        Redaction(names)
        return names


class MlmdOptions(BaseModel):
    """The meaning of names in a store of ML Metadata; defaults are those of `sources.mlmd.Rules`."""

    model_config = FROZEN

    pipeline: str | None = Field(default=None, min_length=1)
    pipeline_contexts: Annotated[tuple[str, ...] | None, *TABLE] = None
    run_contexts: Annotated[tuple[str, ...] | None, *TABLE] = None
    node_contexts: Annotated[tuple[str, ...] | None, *TABLE] = None
    type_properties: Annotated[dict[str, str] | None, *TABLE] = None
    run_properties: Annotated[dict[str, str] | None, *TABLE] = None
    dag_types: Annotated[tuple[str, ...] | None, *TABLE] = None
    pushed_types: Annotated[tuple[str, ...] | None, *TABLE] = None
    baseline_keys: Annotated[tuple[str, ...] | None, *TABLE] = None
    properties: Annotated[dict[str, str] | None, *TABLE] = None
    known_at_start: Annotated[tuple[str, ...] | None, *TABLE] = None


class MlflowOptions(BaseModel):
    """The meaning of names in MLflow; defaults are those of `sources.mlflow.Rules`."""

    model_config = FROZEN

    experiments: Annotated[tuple[str, ...] | None, *TABLE] = None
    pipelines: Annotated[dict[str, str] | None, *TABLE] = None
    registered_models: Annotated[dict[str, str] | None, *TABLE] = None
    type_tag: str | None = Field(default=None, min_length=1)
    default_type: str | None = Field(default=None, min_length=1)
    pushed_aliases: Annotated[tuple[str, ...] | None, *TABLE] = None
    pushed_stages: Annotated[tuple[str, ...] | None, *TABLE] = None
    pushed_tags: Annotated[tuple[str, ...] | None, *TABLE] = None
    promoted_tag: str | None = Field(default=None, min_length=1)
    promotions: Path | None = None
    properties: Annotated[dict[str, str] | None, *TABLE] = None
    known_at_start: Annotated[tuple[str, ...] | None, *TABLE] = None


class JobRuleOptions(BaseModel):
    """A rule for jobs of OpenLineage; see `sources.openlineage_rules`."""

    model_config = FROZEN

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

    model_config = FROZEN

    type: str = Field(min_length=1, max_length=1024)
    namespace: str | None = None
    name: str | None = None

    @model_validator(mode="after")
    def _is_a_rule(self) -> DatasetRuleOptions:
        DatasetRule(**self.model_dump())
        return self


class OpenLineageOptions(BaseModel):
    """How names of OpenLineage are read, before the defaults; the first rule that holds decides.

    `time_zone` is the IANA name of the time zone of times without an offset.
    """

    model_config = FROZEN

    time_zone: str = "UTC"
    jobs: Annotated[tuple[JobRuleOptions, ...], *TABLE] = ()
    datasets: Annotated[tuple[DatasetRuleOptions, ...], *TABLE] = ()

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, name: str) -> str:
        zone_of(name)
        return name
