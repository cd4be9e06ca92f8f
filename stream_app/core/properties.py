"""The properties that the core reads, and how their values are read."""

from __future__ import annotations

from stream_app.core.events import Scalar

#: The property that names the verdict which stopped an execution.
PRUNED_BY = "pruned_by"
#: The property of a trainer whose source cannot tell whether it was pushed.
LABEL_UNKNOWN = "label_unknown"
#: The properties of a task: its job, its name in the run, and its place where one task runs several times in a run.
JOB, TASK, MAP_INDEX = "job", "task", "map_index"
#: The ids that Airflow has of a DAG and of its run, which are properties of the run.
AIRFLOW_DAG, AIRFLOW_RUN = "airflow_dag_id", "airflow_run_id"
#: The property of a run that lists, separated by commas, the tasks that were skipped although they say COMPLETE.
SKIPPED_TASKS = "skipped_tasks"

#: Texts that count as false, in lower case.
_FALSE = frozenset(("", "0", "0.0", "false", "no", "off", "n", "f", "none", "null"))


def is_true(value: Scalar) -> bool:
    """Whether the value of a property counts as true: the rule for `pushed`, `blessed`, `keep` and any other flag.

    Parameters
    ----------
    value
        A text, a number or a boolean, as an event carries it.

    Returns
    -------
    bool
        False for False, for a number equal to 0, and for a text that, without surrounding white space and in any
        case, is empty or one of "0", "0.0", "false", "no", "off", "n", "f", "none", "null". True for all else.

    Examples
    --------
    >>> is_true("yes"), is_true(2), is_true("no"), is_true(" False "), is_true(0.0)
    (True, True, False, False, False)
    """
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)
