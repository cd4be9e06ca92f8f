"""Operators and their groups: what the type of an execution means to the detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

INGEST, ANALYSIS, PREPROCESS, TUNE, TRAIN = "ingest", "analysis", "preprocess", "tune", "train"
VALIDATE, DEPLOY, RUN, CUSTOM = "validate", "deploy", "run", "custom"
GROUPS = (INGEST, ANALYSIS, PREPROCESS, TUNE, TRAIN, VALIDATE, DEPLOY, RUN, CUSTOM)

#: TFX components and the system types of ML Metadata. A Tuner is no trainer: it would cut its trainer off.
DEFAULT_GROUPS: Mapping[str, str] = {
    "ExampleGen": INGEST,
    "BigQueryExampleGen": INGEST,
    "CsvExampleGen": INGEST,
    "FileBasedExampleGen": INGEST,
    "ImportExampleGen": INGEST,
    "Importer": INGEST,
    "ImporterNode": INGEST,
    "StatisticsGen": ANALYSIS,
    "SchemaGen": ANALYSIS,
    "ImportSchemaGen": ANALYSIS,
    "ExampleValidator": ANALYSIS,
    "DistributionValidator": ANALYSIS,
    "Transform": PREPROCESS,
    "Tuner": TUNE,
    "Trainer": TRAIN,
    "Evaluator": VALIDATE,
    "ModelValidator": VALIDATE,
    "InfraValidator": VALIDATE,
    "Pusher": DEPLOY,
    "PipelineRun": RUN,
    "mlmd.Train": TRAIN,
    "mlmd.Transform": PREPROCESS,
    "mlmd.Process": CUSTOM,
    "mlmd.Evaluate": VALIDATE,
    "mlmd.Deploy": DEPLOY,
}


@dataclass(frozen=True)
class Operators:
    """How execution types map to operator groups, and how many nodes an operator takes.

    `groups` extends and overrides `DEFAULT_GROUPS`; a type in neither is `custom`. `nodes` prices an execution
    whose sender tells no cost: its duration times its operator's nodes (1 where not given).
    """

    groups: Mapping[str, str] = field(default_factory=dict)
    nodes: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.groups.values()) - set(GROUPS))
        if unknown:
            raise ValueError(f"unknown operator group {unknown[0]!r}; the groups are {', '.join(GROUPS)}")
        object.__setattr__(self, "_groups", {**DEFAULT_GROUPS, **self.groups})

    def group(self, execution_type: str) -> str:
        """The operator group of an execution type."""
        groups: dict[str, str] = self._groups  # type: ignore[attr-defined]
        return groups.get(execution_type, CUSTOM)
