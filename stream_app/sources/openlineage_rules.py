"""The meaning of OpenLineage's jobs and datasets: their pipeline, their operator, their artifact type.

A pipeline depends on the namespace and the name of a job alone. Every event of a run has these two; facets are in some
events and not in others, so that a pipeline that depended on them would separate a run's start from its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from stream_app.core.operators import (
    ANALYSIS,
    CUSTOM,
    DEFAULT_GROUPS,
    DEPLOY,
    INGEST,
    PREPROCESS,
    RUN,
    TRAIN,
    TUNE,
    VALIDATE,
)

#: The execution type that stands for a group. A job of group `custom` keeps its own name.
OPERATORS = {
    INGEST: "ExampleGen",
    ANALYSIS: "StatisticsGen",
    PREPROCESS: "Transform",
    TUNE: "Tuner",
    TRAIN: "Trainer",
    VALIDATE: "Evaluator",
    DEPLOY: "Pusher",
    RUN: "PipelineRun",
}

#: Names of tasks, lower case and without punctuation. Only a whole name matches: `train_test_split` trains nothing.
_NAMES = {
    INGEST: "ingest ingestion ingestdata dataingestion examplegen loaddata extract extractdata",
    ANALYSIS: "statistics datastatistics validatedata datavalidation profiledata schemagen",
    PREPROCESS: "preprocess preprocessing preparedata datapreparation featureengineering buildfeatures featurize",
    TUNE: "tune tuning hyperparametertuning tunehyperparameters hyperparametersearch hpo",
    TRAIN: "train training trainmodel modeltraining retrain retrainmodel fitmodel",
    VALIDATE: "evaluate evaluation evaluatemodel modelevaluation validatemodel modelvalidation testmodel",
    DEPLOY: "deploy deployment deploymodel modeldeployment push pushmodel promote promotemodel publishmodel",
}
_GROUP_OF_NAME = {
    **{name.lower(): group for name, group in DEFAULT_GROUPS.items() if "." not in name},
    **{name: group for group, names in _NAMES.items() for name in names.split()},
}
_PUNCTUATION = str.maketrans("", "", "_- ")

#: Job types (the `jobType` facet) of jobs that contain others: whatever their name, and unless the name tells a group.
_RUNS, _APPLICATION = frozenset(("DAG", "PIPELINE", "WORKFLOW")), "APPLICATION"
#: Job types whose names end with the name of a table, which does not describe the job.
_QUERIES = frozenset(("SQL_JOB", "RDD_JOB"))

#: Number of jobs, and of datasets, whose mapping is cached.
_REMEMBERED = 10_000


@dataclass(frozen=True)
class JobRule:
    r"""A rule for jobs. All conditions that are given must hold; they are regular expressions of the whole text.

    Parameters
    ----------
    namespace, name
        Conditions on the job's namespace and name.
    job_type
        Condition on the `jobType` facet, such as `TASK`. Such a rule cannot set the pipeline, since not every event has
        the facet.
    pipeline
        The pipeline, in which `\1` is the first group of `name`.
    group
        The operator group.

    Raises
    ------
    ValueError
        The rule sets nothing, or is not valid.
    """

    namespace: str | None = None
    name: str | None = None
    job_type: str | None = None
    pipeline: str | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if self.pipeline is not None and self.job_type is not None:
            raise ValueError("a rule with job_type cannot tell the pipeline: not every event of a run has the facet")
        if self.pipeline is None and self.group is None:
            raise ValueError("a rule should tell the pipeline, the group, or both")
        if self.group is not None and self.group not in (*OPERATORS, CUSTOM):
            raise ValueError(f"unknown operator group {self.group!r}; the groups are {', '.join((*OPERATORS, CUSTOM))}")
        matcher = _matcher(self.namespace, self.name)
        if self.pipeline is not None:
            _check_template(matcher[1], self.pipeline)
        object.__setattr__(self, "_matcher", (*matcher, *_matcher(self.job_type)))

    def match(self, namespace: str, name: str, job_type: str) -> re.Match[str] | None:
        """Matches a job against the rule.

        Parameters
        ----------
        namespace, name, job_type
            Of the job; `job_type` is "" without the facet.

        Returns
        -------
        re.Match or None
            The match of the name, None when the rule does not hold.
        """
        of_namespace, of_name, of_type = self._matcher  # type: ignore[attr-defined]
        if of_namespace.fullmatch(namespace) and of_type.fullmatch(job_type):
            found: re.Match[str] | None = of_name.fullmatch(name)
            return found
        return None


@dataclass(frozen=True)
class DatasetRule:
    """A rule for datasets. All conditions that are given must hold; they are regular expressions of the whole text.

    Parameters
    ----------
    type
        The artifact type.
    namespace, name
        Conditions on the dataset's namespace and name.

    Raises
    ------
    ValueError
        A condition is not a regular expression.
    """

    type: str
    namespace: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "_matcher", _matcher(self.namespace, self.name))

    def match(self, namespace: str, name: str) -> bool:
        """Whether the rule holds for a dataset.

        Parameters
        ----------
        namespace, name
            Of the dataset.

        Returns
        -------
        bool
            Whether both conditions hold.
        """
        of_namespace, of_name = self._matcher  # type: ignore[attr-defined]
        return bool(of_namespace.fullmatch(namespace) and of_name.fullmatch(name))


class Rules:
    """Rules in order, before the defaults; of each kind the first rule that holds decides.

    Parameters
    ----------
    jobs
        Rules for jobs.
    datasets
        Rules for datasets.
    """

    def __init__(self, jobs: Iterable[JobRule] = (), datasets: Iterable[DatasetRule] = ()) -> None:
        self.jobs = tuple(jobs)
        self.datasets = tuple(datasets)
        self._pipelines: dict[tuple[str, str], str] = {}
        self._operators: dict[tuple[str, str, str, bool], str] = {}
        self._types: dict[tuple[str, str], str] = {}

    def pipeline(self, namespace: str, name: str) -> str:
        """The pipeline of a job.

        Parameters
        ----------
        namespace, name
            Of the job.

        Returns
        -------
        str
            By default the namespace and the part of the name before the first dot.

        Examples
        --------
        >>> Rules().pipeline("airflow", "ads.train")
        'airflow/ads'
        """
        key = (namespace, name)
        found = self._pipelines.get(key)
        return found if found is not None else _remember(self._pipelines, key, self._find_pipeline(*key))

    def operator(self, namespace: str, name: str, job_type: str, is_inner: bool) -> str:
        """The execution type of a job.

        Parameters
        ----------
        namespace, name, job_type
            Of the job; `job_type` is "" without the facet.
        is_inner
            Whether another job of the same pipeline started it.

        Returns
        -------
        str
            An execution type that the default operators know, else the job's own name.

        Examples
        --------
        >>> Rules().operator("airflow", "ads.train_model", "TASK", True)
        'Trainer'
        """
        key = (namespace, name, job_type, is_inner)
        found = self._operators.get(key)
        return found if found is not None else _remember(self._operators, key, self._find_operator(*key))

    def artifact_type(self, namespace: str, name: str) -> str:
        """The artifact type of a dataset.

        Parameters
        ----------
        namespace, name
            Of the dataset.

        Returns
        -------
        str
            `Dataset` unless a rule holds.
        """
        if not self.datasets:
            return "Dataset"
        key = (namespace, name)
        found = self._types.get(key)
        if found is None:
            types = (rule.type for rule in self.datasets if rule.match(namespace, name))
            found = _remember(self._types, key, next(types, "Dataset"))
        return found

    def _find_pipeline(self, namespace: str, name: str) -> str:
        for rule in self.jobs:
            if rule.pipeline is not None:
                match = rule.match(namespace, name, "")
                if match is not None:
                    return match.expand(rule.pipeline)
        return f"{namespace}/{name.partition('.')[0]}"

    def _find_operator(self, namespace: str, name: str, job_type: str, is_inner: bool) -> str:
        for rule in self.jobs:
            if rule.group is not None and rule.match(namespace, name, job_type):
                return OPERATORS.get(rule.group) or _own_name(name, job_type)
        return _default_operator(name, job_type, is_inner)


_Key = TypeVar("_Key")


def _remember(known: dict[_Key, str], key: _Key, value: str) -> str:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = value
    return value


def _default_operator(name: str, job_type: str, is_inner: bool) -> str:
    own_name = _own_name(name, job_type)
    if job_type in _RUNS:
        return OPERATORS[RUN]
    if own_name in DEFAULT_GROUPS:
        return own_name
    group = None if job_type in _QUERIES else _GROUP_OF_NAME.get(own_name.translate(_PUNCTUATION).lower())
    if group is None and job_type == _APPLICATION and not is_inner:
        group = RUN
    return OPERATORS[group] if group is not None else own_name


def _own_name(name: str, job_type: str) -> str:
    """The job's own part of its name: without the pipeline, and without the table that a query writes."""
    parts = name.split(".")
    own = parts[1] if job_type in _QUERIES and len(parts) > 1 else parts[-1]
    return own or name


def _matcher(*expressions: str | None) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(".*" if each is None else each, re.DOTALL) for each in expressions)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error.pattern!r}: {error}") from None


def _check_template(pattern: re.Pattern[str], template: str) -> None:
    """Raises ValueError unless the pattern has every group that a template names."""
    try:
        re.compile(f"(?:{pattern.pattern})|", re.DOTALL).sub(template, "")
    except (re.error, IndexError) as error:
        raise ValueError(f"not a template for {pattern.pattern!r}: {template!r}: {error}") from None
