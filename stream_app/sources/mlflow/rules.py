"""The meaning of names in MLflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
    #: Aliases and stages of the registry that mean pushed, in any case, and tags of a version whose values say whether.
    pushed_aliases: tuple[str, ...] = ("champion", "production")
    pushed_stages: tuple[str, ...] = ("Production",)
    pushed_tags: tuple[str, ...] = ("pushed",)
    #: The tag of a model version that gives the time of its push.
    promoted_tag: str = "promoted_at"
    #: A CSV file of past pushes, with the columns model, version and pushed_at.
    promotions: Path | None = None
    #: Tag, parameter or metric -> the name of the property.
    properties: Mapping[str, str] = field(default_factory=lambda: dict(_PROPERTIES))
    #: Properties that are known when a run starts; all others count as known from its end.
    known_at_start: tuple[str, ...] = ("owner", "code_version", "keep")

    def means_pushed(self, kind: str, text: str) -> bool:
        """Whether an alias or a stage means that its version was pushed.

        Parameters
        ----------
        kind
            `@` for an alias, `#` for a stage.
        text
            The alias or the stage, in any case.

        Returns
        -------
        bool
            Whether a rule names it.

        Examples
        --------
        >>> Rules().means_pushed("@", "Champion"), Rules().means_pushed("#", "Staging")
        (True, False)
        """
        named = self.pushed_aliases if kind == "@" else self.pushed_stages
        return text.casefold() in {each.casefold() for each in named}
