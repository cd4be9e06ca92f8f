"""Queries of a tracking server, through its client."""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from stream_app.sources.mlflow.registry import Origin
from stream_app.sources.mlflow.roles import PARENT, parent_of
from stream_app.sources.mlflow.rules import Rules

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

#: Runs in one answer, run ids in one query, experiments in one query, and the most generations of parents followed.
PAGE, IDS, EXPERIMENTS, GENERATIONS = 1000, 100, 100, 16
#: Fewest runs in one answer where several queries are merged, and model versions in one answer.
_PAGE_MIN, _VERSIONS = 50, 1000

_RUN_ID = re.compile(r"[A-Za-z0-9][\w-]{0,255}", re.ASCII)
_MISSING, _NOT_UNDERSTOOD = "RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"
#: Views of a search.
_ACTIVE, _DELETED, _ALL = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Version:
    """What is read of a model version; times are in ms since 1970 UTC."""

    model: str
    number: str
    created_ms: int
    changed_ms: int
    run_id: str | None
    model_id: str | None
    stage: str | None
    #: The text of the tag that gives the time of its push.
    promoted: str | None

    @property
    def order(self) -> int:
        """Its place among the versions of its model."""
        return int(self.number) if self.number.isdecimal() else 0


class Tracking:
    """A client with the experiments and runs that one pass has read."""

    def __init__(self, client: MlflowClient, rules: Rules) -> None:
        self._client, self._rules = client, rules
        #: Experiment id -> pipeline, of the experiments that are read.
        self.pipelines: dict[str, str] = {}
        #: Experiments that the rules name, and that do not exist.
        self.missing = set(rules.experiments)
        for experiment in _all(client.search_experiments):
            if not rules.experiments or experiment.name in rules.experiments:
                self.pipelines[experiment.experiment_id] = rules.pipelines.get(experiment.name, experiment.name)
                self.missing.discard(experiment.name)
        self._runs: dict[str, Run | None] = {}
        #: Whether the server searches for runs by their ids. Before MLflow 2.3 none does.
        self._searches_ids = True

    # Runs

    def runs(self, condition: str = "", view: int = _ACTIVE) -> Iterator[list[Run]]:
        """Yields pages of runs that meet a condition, in the order of their starts."""
        chunks = list(_chunks(self.pipelines, EXPERIMENTS))
        if len(chunks) == 1:
            yield from self._pages(chunks[0], condition, PAGE, view)
        elif chunks:
            size = max(PAGE // len(chunks), min(PAGE, _PAGE_MIN))
            queries = ((run for page in self._pages(each, condition, size, view) for run in page) for each in chunks)
            merged = heapq.merge(*queries, key=lambda run: run.info.start_time or 0)
            while page := list(islice(merged, PAGE)):
                yield page

    def _pages(self, experiments: list[str], condition: str, size: int, view: int) -> Iterator[list[Run]]:
        token: str | None = None
        while True:
            page = self._client.search_runs(
                experiments, condition, view, size, order_by=["attributes.start_time ASC"], page_token=token
            )
            yield list(page)
            token = page.token
            if not token:
                return

    def deleted_runs(self, ids: Collection[str]) -> list[Run]:
        """Those of some runs that are deleted, as long as the server still has them."""
        return [run for page in self.runs(view=_DELETED) for run in page if run.info.run_id in ids] if ids else []

    def runs_by_id(self, ids: Iterable[str]) -> Iterator[Run]:
        """Yields runs by their ids, also deleted ones."""
        for chunk in _chunks(ids, IDS):
            yield from self._searched(chunk) if self._searches_ids else self._got(chunk)

    def _searched(self, ids: list[str]) -> list[Run]:
        from mlflow.exceptions import MlflowException

        condition = _among("attributes.run_id", ids)
        try:
            return [run for page in self.runs(condition, _ALL) for run in page] if condition else []
        except MlflowException as error:
            if error.error_code != _NOT_UNDERSTOOD:
                raise
            self._searches_ids = False
            return self._got(ids)

    def _got(self, ids: list[str]) -> list[Run]:
        """Runs one by one."""
        found = [_or_none(partial(self._client.get_run, each)) for each in ids if _RUN_ID.fullmatch(each)]
        return [run for run in found if run is not None and run.info.experiment_id in self.pipelines]

    def run(self, run_id: str) -> Run | None:
        """One run; None when the server does not have it, or it is in no experiment that is read."""
        if run_id not in self._runs:
            self.fetch([run_id])
        return self._runs[run_id]

    def fetch(self, ids: Iterable[str]) -> None:
        """Reads the runs that were not read yet."""
        missing = [each for each in dict.fromkeys(ids) if each not in self._runs]
        found = {run.info.run_id: run for run in self.runs_by_id(missing)} if missing else {}
        self._runs.update((each, found.get(each)) for each in missing)

    def know(self, runs: Sequence[Run], *, forget: bool) -> None:
        """Caches runs, since their children are likely to come soon; with `forget`, in place of those before them."""
        if forget:
            self._runs.clear()
        self._runs.update((run.info.run_id, run) for run in runs)

    def fetch_ancestors(self, runs: Iterable[Run]) -> None:
        """Reads the ancestors of runs, a generation at a time."""
        level = {parent for run in runs if (parent := parent_of(run)) is not None}
        for _ in range(GENERATIONS):
            if not level:
                return
            self.fetch(sorted(level))
            above = (self._runs[each] for each in level)
            level = {parent for run in above if run is not None and (parent := parent_of(run)) is not None}

    def ancestors(self, run: Run) -> list[Run]:
        """The parent of a run, its parent, and so on, as far as they can be read."""
        found: list[Run] = []
        seen = {run.info.run_id}
        parent = parent_of(run)
        while parent is not None and parent not in seen and len(found) < GENERATIONS:
            above = self.run(parent)
            if above is None:
                break
            seen.add(parent)
            found.append(above)
            parent = parent_of(above)
        return found

    def root(self, run: Run) -> str | None:
        """The id of the topmost ancestor of a run, also of one that cannot be read; None when it has no parent."""
        above = self.ancestors(run)
        top = above[-1] if above else run
        parent = parent_of(top)
        return parent if parent is not None and len(above) < GENERATIONS else (top.info.run_id if above else None)

    def children(self, run_id: str) -> list[Run]:
        """The runs that name a run as their parent."""
        if not _RUN_ID.fullmatch(run_id):
            return []
        found = [run for page in self.runs(f"tags.`{PARENT}` = '{run_id}'") for run in page]
        self.know(found, forget=False)
        return found

    def all_children(self) -> Iterator[Run]:
        """All runs that have a parent."""
        for page in self.runs(f"tags.`{PARENT}` LIKE '%'"):
            yield from page

    # Registry

    def registered_models(self) -> Iterator[RegisteredModel]:
        """All registered models."""
        return _all(self._client.search_registered_models)

    def versions(self, since_ms: int = 0) -> Iterator[Version]:
        """The model versions that changed at or after a time, the latest first."""
        order = ["last_updated_timestamp DESC"]
        for each in _all(self._client.search_model_versions, order_by=order, max_results=_VERSIONS):
            version = self._version(each)
            if version.changed_ms < since_ms:
                return
            yield version

    def promoted_versions(self) -> Iterator[Version]:
        """The model versions whose tag gives the time of their push."""
        tag = self._rules.promoted_tag
        if "`" not in tag and "'" not in tag:
            for each in _all(self._client.search_model_versions, filter_string=f"tags.`{tag}` LIKE '%'"):
                yield self._version(each)

    def version(self, model: str, number: str) -> Version | None:
        """One version of a model; None when there is none."""
        found = _or_none(lambda: self._client.get_model_version(model, number))
        return None if found is None else self._version(found)

    def registered_runs(self, ids: Collection[str]) -> set[str]:
        """Those of some runs that a model version comes from."""
        found: set[str] = set()
        for chunk in _chunks(ids, IDS):
            if condition := _among("run_id", chunk):
                found.update(each.run_id for each in _all(self._client.search_model_versions, filter_string=condition))
        return found

    def run_of(self, version: Version) -> str | None:
        """The id of the run that a version comes from."""
        if version.run_id or not version.model_id:
            return version.run_id
        model_id = version.model_id
        logged = _or_none(lambda: self._client.get_logged_model(model_id))
        return None if logged is None else logged.source_run_id or None

    def origin(self, version: Version) -> Origin | None:
        """Where a version comes from; None when neither its run nor a rule tells."""
        run_id = self.run_of(version)
        run = self.run(run_id) if run_id else None
        if run is not None:
            pipeline = self.pipelines[run.info.experiment_id]
            return Origin(pipeline, run_id, self.root(run), version.model_id)
        named = self._rules.registered_models.get(version.model)
        return Origin(named, run_id, None, version.model_id) if named else None

    def _version(self, found: ModelVersion) -> Version:
        return Version(
            found.name,
            str(found.version),
            found.creation_timestamp or 0,
            found.last_updated_timestamp or found.creation_timestamp or 0,
            found.run_id or None,
            getattr(found, "model_id", None) or None,  # since MLflow 3
            found.current_stage or None,
            found.tags.get(self._rules.promoted_tag),
        )


def _all(search: Callable[..., Any], **query: Any) -> Iterator[Any]:
    """Every entity of a search, page by page."""
    token: str | None = None
    while True:
        page = search(page_token=token, **query)
        yield from page
        token = page.token
        if not token:
            return


def _or_none(query: Callable[[], Any]) -> Any:
    """The answer of a query; None when what it asks for does not exist."""
    from mlflow.exceptions import MlflowException

    try:
        return query()
    except MlflowException as error:
        if error.error_code == _MISSING:
            return None
        raise


def _among(key: str, ids: Iterable[str]) -> str:
    """The condition that a key is one of some run ids; "" when none of them is a run id."""
    listed = ", ".join(f"'{each}'" for each in ids if _RUN_ID.fullmatch(each))
    return f"{key} IN ({listed})" if listed else ""


def _chunks(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    rest = iter(ids)
    while chunk := list(islice(rest, size)):
        yield chunk
