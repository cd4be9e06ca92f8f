"""Operators and their groups: what the type of an execution means to the detector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

INGEST, ANALYSIS, PREPROCESS, TUNE, TRAIN = "ingest", "analysis", "preprocess", "tune", "train"
VALIDATE, DEPLOY, RUN, CUSTOM = "validate", "deploy", "run", "custom"
GROUPS = (INGEST, ANALYSIS, PREPROCESS, TUNE, TRAIN, VALIDATE, DEPLOY, RUN, CUSTOM)
#: The group of acts of people (`core.acts`). They are no operators of a pipeline, and no type is mapped to this group.
ACT = "act"

#: TFX components and the system types of ML Metadata. A Tuner is not a trainer: as one it would end the up set of the
#: trainer that follows it.
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
    # Of MLflow: a run that groups others, and an entry in the registry. Neither is an unknown operator.
    "NestedRun": CUSTOM,
    "ModelRegistration": CUSTOM,
    "mlmd.Evaluate": VALIDATE,
    "mlmd.Deploy": DEPLOY,
}


@dataclass(frozen=True)
class Operators:
    """Maps execution types to operator groups and to numbers of nodes.

    Parameters
    ----------
    groups
        Execution type to group; extends and overrides `DEFAULT_GROUPS`. A type in neither has the group `custom`.
    nodes
        Execution type to number of nodes, 1 where not given. An execution whose sender reports no cost is priced as its
        duration times its nodes.

    Raises
    ------
    ValueError
        A group is not one of `GROUPS`.
    """

    groups: Mapping[str, str] = field(default_factory=dict)
    nodes: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = sorted(set(self.groups.values()) - set(GROUPS))
        if unknown:
            raise ValueError(f"unknown operator group {unknown[0]!r}; the groups are {', '.join(GROUPS)}")
        object.__setattr__(self, "_groups", {**DEFAULT_GROUPS, **self.groups})

    def group(self, execution_type: str) -> str:
        """The operator group of an execution type.

        Parameters
        ----------
        execution_type
            The type, such as `Trainer`.

        Returns
        -------
        str
            One of `GROUPS`.

        Examples
        --------
        >>> Operators({"Fit": "train"}).group("Fit"), Operators().group("Fit")
        ('train', 'custom')
        """
        groups: dict[str, str] = self._groups  # type: ignore[attr-defined]
        return groups.get(execution_type, CUSTOM)
