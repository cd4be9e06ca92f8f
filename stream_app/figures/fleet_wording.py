"""What the figures of a fleet are in words: for the report, the pages and the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from stream_app.analysis.redundancy import CACHING, DATA, EXACT, INCREMENTAL, TRAINING, WARM_START

#: Kinds of redundant work.
KINDS: Mapping[str, str] = {
    EXACT: "the same again",
    DATA: "data that was processed before",
    TRAINING: "data that was trained on before (upper bound)",
}
#: What would save it.
REMEDIES: Mapping[str, str] = {
    CACHING: "caching",
    INCREMENTAL: "processing new spans alone",
    WARM_START: "starting from an earlier model",
}
#: The measures that the report shows, and whether they are durations, compute, shares or numbers.
MEASURES: Mapping[str, tuple[str, str]] = {
    "executions": ("Executions of a graphlet", "number"),
    "depth": ("Executions on its longest way", "number"),
    "inputs": ("Data artifacts that a training reads", "number"),
    "duration_seconds": ("From its first start to its last end", "duration"),
    "waiting_seconds": ("Of that, nothing ran", "duration"),
    "node_seconds": ("Compute of a graphlet", "compute"),
    "data_to_push_seconds": ("From the data to the push", "duration"),
    "training_interval_seconds": ("Between trainings", "duration"),
    "push_interval_seconds": ("Between pushes", "duration"),
    "push_node_seconds": ("Compute of a push, tries before it included", "compute"),
    "push_tries": ("Graphlets for a push", "number"),
    "overlap": ("Inputs in common with the training before", "share"),
    "trainers": ("Trainers of a run", "number"),
}
#: How many graphlets have what.
USES: Mapping[str, str] = {
    "analysis": "analyse their data",
    "validation": "validate their model",
    "tuning": "tune hyperparameters",
    "warm_start": "start from an earlier model",
}

_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))


def change(share: float) -> str:
    """A change against the week before.

    Parameters
    ----------
    share
        Of what it was: 0.5 is half as much again.

    Returns
    -------
    str
        In per cent, with its sign.

    Examples
    --------
    >>> change(0.254), change(-0.5), change(0.0)
    ('+25 %', '-50 %', '+0 %')
    """
    return f"{share * 100:+.0f} %"


def duration(seconds: float) -> str:
    """A duration in the largest unit of which it has at least one.

    Parameters
    ----------
    seconds
        The duration.

    Returns
    -------
    str
        With two significant digits below ten.

    Examples
    --------
    >>> duration(5400), duration(40), duration(200_000), duration(0)
    ('1.5 h', '40 s', '2.3 d', '0 s')
    """
    for size, unit in _UNITS:
        if seconds >= size:
            number = seconds / size
            return f"{number:.1f} {unit}" if number < 10 and unit != "s" else f"{number:.0f} {unit}"
    return "0 s"
