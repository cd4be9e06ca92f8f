"""The meaning of OpenLineage's jobs and datasets: their pipeline, their operator, their artifact type.

Rules of the user come first, then what `openlineage_names` reads from names. `openlineage_runs` says which job's name
gives the pipeline of a run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from stream_app.core.operators import CUSTOM
from stream_app.sources.openlineage_names import OPERATORS, Mapped, default_operator, own_name

__all__ = ["OPERATORS", "DatasetRule", "JobRule", "Rules"]

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

    def to_toml(self) -> str:
        """The rule as it is written in the settings file.

        Returns
        -------
        str
            A table `[[openlineage.jobs]]`, each line ended.

        Examples
        --------
        >>> print(JobRule.of_job("prod", "ads.step_4", "train").to_toml(), end="")
        [[openlineage.jobs]]
        namespace = 'prod'
        name = 'ads\\.step_4'
        group = 'train'
        """
        fields = ("namespace", "name", "job_type", "pipeline", "group")
        given = {field: getattr(self, field) for field in fields if getattr(self, field) is not None}
        return "[[openlineage.jobs]]\n" + "".join(f"{field} = {_toml(text)}\n" for field, text in given.items())

    @classmethod
    def of_job(cls, namespace: str, name: str, group: str) -> JobRule:
        """The rule that gives one job its group.

        Parameters
        ----------
        namespace, name
            Of the job.
        group
            The operator group.

        Returns
        -------
        JobRule
            A rule that holds for this job alone.
        """
        return cls(namespace=re.escape(namespace), name=re.escape(name), group=group)


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
        self._pipelines: dict[tuple[str, str], str | None] = {}
        self._operators: dict[tuple[str, str, str, bool], Mapped] = {}
        self._types: dict[tuple[str, str], str] = {}
        self._has_pipelines = any(rule.pipeline is not None for rule in self.jobs)

    def pipeline(self, namespace: str, name: str, *, is_whole: bool = False) -> str:
        """The pipeline of a job.

        Parameters
        ----------
        namespace, name
            Of the job.
        is_whole
            Whether the job is known to be the pipeline itself, such as a DAG, whose name may have dots.

        Returns
        -------
        str
            By default the namespace and the part of the name before the first dot, or the whole name.

        Examples
        --------
        >>> Rules().pipeline("airflow", "ads.train"), Rules().pipeline("airflow", "team.ads", is_whole=True)
        ('airflow/ads', 'airflow/team.ads')
        """
        found = self.ruled_pipeline(namespace, name)
        if found is not None:
            return found
        return f"{namespace}/{name if is_whole else name.partition('.')[0]}"

    def ruled_pipeline(self, namespace: str, name: str) -> str | None:
        """The pipeline that a rule gives a job.

        Parameters
        ----------
        namespace, name
            Of the job.

        Returns
        -------
        str or None
            None when no rule holds.
        """
        if not self._has_pipelines:
            return None
        key = (namespace, name)
        if key not in self._pipelines:
            _remember(self._pipelines, key, self._find_pipeline(*key))
        return self._pipelines[key]

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
        return self.mapped(namespace, name, job_type, is_inner).operator

    def guessed(self, namespace: str, name: str, job_type: str = "", is_inner: bool = False) -> bool:
        """Whether the group of a job was guessed from its name, so that a person should confirm it.

        Parameters
        ----------
        namespace, name, job_type, is_inner
            As for `operator`.

        Returns
        -------
        bool
            False when a rule, the job type or the name of a known operator decided, and when nothing did.

        Examples
        --------
        >>> Rules().guessed("airflow", "ads.xgb_train"), Rules().guessed("airflow", "ads.Trainer")
        (True, False)
        """
        return self.mapped(namespace, name, job_type, is_inner).by == "name"

    def mapped(self, namespace: str, name: str, job_type: str, is_inner: bool) -> Mapped:
        """The execution type of a job, and what decided on it.

        Parameters
        ----------
        namespace, name, job_type, is_inner
            As for `operator`.

        Returns
        -------
        Mapped
            The type and its reason.
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

    def _find_pipeline(self, namespace: str, name: str) -> str | None:
        for rule in self.jobs:
            if rule.pipeline is not None:
                match = rule.match(namespace, name, "")
                if match is not None:
                    return match.expand(rule.pipeline)
        return None

    def _find_operator(self, namespace: str, name: str, job_type: str, is_inner: bool) -> Mapped:
        for rule in self.jobs:
            if rule.group is not None and rule.match(namespace, name, job_type):
                return Mapped(OPERATORS.get(rule.group) or own_name(name, job_type), "rule")
        return default_operator(name, job_type, is_inner)


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def _remember(known: dict[_Key, _Value], key: _Key, value: _Value) -> _Value:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = value
    return value


def _matcher(*expressions: str | None) -> tuple[re.Pattern[str], ...]:
    try:
        return tuple(re.compile(".*" if each is None else each, re.DOTALL) for each in expressions)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error.pattern!r}: {error}") from None


def _toml(text: str) -> str:
    """A text as a string of TOML: literal unless it has a quotation mark or a control character."""
    is_literal = "'" not in text and text.isprintable()
    return f"'{text}'" if is_literal else json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _check_template(pattern: re.Pattern[str], template: str) -> None:
    """Raises ValueError unless the pattern has every group that a template names."""
    try:
        re.compile(f"(?:{pattern.pattern})|", re.DOTALL).sub(template, "")
    except (re.error, IndexError) as error:
        raise ValueError(f"not a template for {pattern.pattern!r}: {template!r}: {error}") from None
