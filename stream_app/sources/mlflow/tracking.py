"""Queries of a tracking server, through its client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from stream_app.sources.mlflow.registry import Origin
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.mlflow.runs import parent_of

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

#: Runs in one answer, run ids in one query, and the most generations of parents followed.
PAGE, IDS, GENERATIONS = 1000, 100, 16


class Tracking:
    """A client with the experiments and runs that one pass has read."""

    def __init__(self, client: MlflowClient, rules: Rules) -> None:
        self._client, self._rules = client, rules
        #: Experiment id -> pipeline, of the experiments that are read.
        self.pipelines: dict[str, str] = {
            experiment.experiment_id: rules.pipelines.get(experiment.name, experiment.name)
            for experiment in _all(client.search_experiments)
            if not rules.experiments or experiment.name in rules.experiments
        }
        self._runs: dict[str, Run | None] = {}

    def runs(self, condition: str = "") -> Iterator[list[Run]]:
        """Yields pages of runs that meet a condition, in the order of their starts."""
        experiments = list(self.pipelines)
        token: str | None = None
        while experiments:
            page = self._client.search_runs(
                experiments, condition, max_results=PAGE, order_by=["attributes.start_time ASC"], page_token=token
            )
            yield list(page)
            token = page.token
            if not token:
                return

    def runs_by_id(self, ids: Iterable[str]) -> Iterator[Run]:
        """Yields runs by their ids; deleted runs are omitted."""
        rest = iter(ids)
        while chunk := list(islice(rest, IDS)):
            listed = ", ".join(f"'{key}'" for key in chunk if key.isalnum())
            if listed:
                for page in self.runs(f"attributes.run_id IN ({listed})"):
                    yield from page

    def run(self, run_id: str) -> Run | None:
        """One run; None when it is deleted."""
        if run_id not in self._runs:
            if len(self._runs) > PAGE:
                self._runs.clear()
            self._runs[run_id] = next(self.runs_by_id([run_id]), None)
        return self._runs[run_id]

    def know(self, runs: Sequence[Run]) -> None:
        """Caches the runs of a page, since their children are likely to be in it too."""
        self._runs = {run.info.run_id: run for run in runs}

    def root(self, run: Run) -> str | None:
        """The id of the topmost ancestor of a run; None when it has no parent."""
        root = parent = parent_of(run)
        for _ in range(GENERATIONS):
            above = self.run(parent) if parent is not None else None
            parent = parent_of(above) if above is not None else None
            if parent is None:
                return root
            root = parent
        return root

    def registered_models(self) -> Iterator[RegisteredModel]:
        """All registered models."""
        return _all(self._client.search_registered_models)

    def version(self, model: str, version: str) -> ModelVersion:
        """One version of a model."""
        return self._client.get_model_version(model, version)

    def origin(self, version: ModelVersion) -> Origin | None:
        """Where a version comes from; None when neither its run nor a rule tells."""
        model_id = getattr(version, "model_id", None)  # since MLflow 3
        run_id = version.run_id
        if not run_id and model_id:
            run_id = self._client.get_logged_model(model_id).source_run_id
        run = self.run(run_id) if run_id else None
        if run is not None:
            pipeline = self.pipelines[run.info.experiment_id]
            return Origin(pipeline, run_id, self.root(run), model_id)
        named = self._rules.registered_models.get(version.name)
        return Origin(named, run_id or None, None, model_id) if named else None


def _all(search: Callable[..., Any]) -> Iterator[Any]:
    """Every entity of a search, page by page."""
    token: str | None = None
    while True:
        page = search(page_token=token)
        yield from page
        token = page.token
        if not token:
            return
