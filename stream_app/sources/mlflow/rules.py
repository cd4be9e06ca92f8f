"""The meaning of names in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from stream_app.core.operators import Operators

_PROPERTIES = {
    "mlflow.user": "owner",
    "mlflow.source.git.commit": "code_version",
    "estimator_name": "model_type",
}


@dataclass(frozen=True)
class Rules:
    """How experiments, runs and the registry are read."""

    #: Maps execution types to groups; the output of a run that trains is its model.
    operators: Operators = field(default_factory=Operators)
    #: Names of the experiments to read; all when empty.
    experiments: tuple[str, ...] = ()
    #: Name of an experiment -> pipeline; without an entry the experiment is the pipeline.
    pipelines: Mapping[str, str] = field(default_factory=dict)
    #: Name of a registered model -> pipeline, where the run that made it is not known.
    registered_models: Mapping[str, str] = field(default_factory=dict)
    #: The tag of a run that names its operator, and the operator of runs without it.
    type_tag: str = "stream_app.operator"
    default_type: str = "Trainer"
    #: Aliases and stages of the registry that mean pushed, and tags of a model version whose values say whether.
    pushed_aliases: tuple[str, ...] = ("champion",)
    pushed_stages: tuple[str, ...] = ("Production",)
    pushed_tags: tuple[str, ...] = ("pushed",)
    #: Tag, parameter or metric -> the name of the property.
    properties: Mapping[str, str] = field(default_factory=lambda: dict(_PROPERTIES))
    #: Properties that are known when a run starts; all others count as known from its end.
    known_at_start: tuple[str, ...] = ("owner", "code_version", "keep")
