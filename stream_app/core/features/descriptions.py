"""Descriptions of features for people. Reports, pages, alerts and the terminal use them; the core does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

Words = Callable[[float], str]

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: The reference of a gain, described.
OVER = {"pushed": "the last push", "baseline": "its baseline", "mean": "the usual"}


def number(value: float) -> str:
    """A number with three significant digits."""
    return f"{value:.3g}"


def percent(value: float) -> str:
    """A share in per cent."""
    return f"{value * 100:.0f} %"


def count(value: float) -> str:
    """A count that is stored as log(1 + n)."""
    return f"{math.expm1(value):.0f}"


def times(value: float) -> str:
    """A ratio that is stored as its logarithm."""
    return f"{math.exp(value):.2g} times"


def chance(value: float) -> float:
    """A probability that is stored as its log-odds."""
    return 1.0 / (1.0 + math.exp(-value))


def yes(word: str, otherwise: str) -> Words:
    """A description of a flag that is 0 or 1."""
    return lambda value: word if value else otherwise


WORDS: Mapping[str, Words] = {
    "baseline": lambda v: f"past push rate {percent(v)}",
    "before_ended": yes("the run before has ended", "the run before has not ended"),
    "before_failed": yes("the run before failed", "the run before did not fail"),
    "before_open": yes("the run before is undecided", "the run before is decided"),
    "before_pushed": yes("the run before was pushed", "the run before was not pushed"),
    "blessed_unpushed": lambda v: f"{count(v)} blessed in a row, none pushed",
    "cached_steps": lambda v: f"{number(v)} cached steps",
    "code_fail_rate": lambda v: f"{percent(v)} of this code's runs failed",
    "code_labelled": lambda v: f"{count(v)} runs of this code so far",
    "code_push_rate": lambda v: f"{percent(v)} of this code's runs were pushed",
    "code_same_last": yes("same code as the last run", "code changed since the last run"),
    "code_same_pushed": yes("same code as the last push", "code changed since the last push"),
    "cost": lambda v: f"{count(v)} node-seconds so far",
    "cost_to_usual": lambda v: f"cost so far {times(v)} the usual",
    "data": lambda v: f"{count(v)} data artifacts",
    "data_new_last": lambda v: f"{count(v)} data artifacts new since the last run",
    "data_new_pushed": lambda v: f"{count(v)} data artifacts new since the last push",
    "data_overlap_last": lambda v: f"{percent(v)} data in common with the last run",
    "data_overlap_pushed": lambda v: f"{percent(v)} data in common with the last push",
    "due_runs": lambda v: f"{percent(v)} of past pushes came after fewer runs",
    "due_time": lambda v: f"{percent(v)} of past pushes came after less time",
    "executions": lambda v: f"{count(v)} executions so far",
    "failed_5": lambda v: f"{number(v)} of the last 5 runs failed",
    "failed_rate": lambda v: f"{percent(v)} of recent runs failed",
    "failed_steps": lambda v: f"{number(v)} failed steps",
    "gap": lambda v: f"{count(v)} hours after the last run",
    "gap_to_usual": lambda v: f"{times(v)} the usual time after the last run",
    "hazard_runs": lambda v: f"by past runs between pushes, a push is {percent(chance(v))} likely now",
    "hazard_time": lambda v: f"by past times between pushes, a push is {percent(chance(v))} likely now",
    "hour": lambda v: f"{v:.0f} hours into the day (UTC)",
    "hours_since_push": lambda v: f"{count(v)} hours since the last push",
    "irregular_runs": lambda v: f"runs between pushes vary by a factor of {math.exp(v):.2g}",
    "irregular_time": lambda v: f"times between pushes vary by a factor of {math.exp(v):.2g}",
    "labelled": lambda v: f"{count(v)} labelled runs",
    "last_failed": yes("the last run failed", "the last run did not fail"),
    "last_pushed": yes("the last run was pushed", "the last run was not pushed"),
    "lately_pushed": lambda v: f"{number(v)} of the runs just before were pushed",
    "open": lambda v: f"{count(v)} runs open",
    "others_blessed": lambda v: f"{number(v)} other trainers of the run blessed",
    "others_pushed": lambda v: f"{number(v)} other trainers of the run pushed",
    "push_days": lambda v: f"{times(v)} the pushes to be expected on such a day",
    "push_rate": lambda v: f"{percent(v)} of recent runs were pushed",
    "push_rate_20": lambda v: f"{percent(v)} of the last 20 runs were pushed",
    "push_rate_5": lambda v: f"{percent(v)} of the last 5 runs were pushed",
    "push_rate_all": lambda v: f"{percent(v)} of all runs were pushed",
    "repeated_steps": lambda v: f"{number(v)} repeated steps",
    "runs_since_push": lambda v: f"{count(v)} runs since the last push",
    "runs_to_least": lambda v: f"{times(v)} the fewest runs between pushes",
    "runs_to_usual": lambda v: f"{times(v)} the usual runs since the last push",
    "since_push_to_least": lambda v: f"{times(v)} the shortest time between pushes has passed",
    "since_push_to_usual": lambda v: f"{times(v)} the usual time between pushes has passed",
    "starts_since_push": lambda v: f"{count(v)} runs begun since the last push",
    "taken_rate": lambda v: f"{percent(v)} of blessed models were pushed",
    "train_hours": lambda v: f"trained for {math.expm1(v):.2g} hours",
    "trainers": lambda v: f"{number(v)} trainers in the run",
    "under_way": lambda v: f"{number(v)} of the runs just before are under way",
    "validators": lambda v: f"{number(v)} validators so far",
    "validators_failed": lambda v: f"{number(v)} validators failed",
    "waiting": lambda v: f"{number(v)} blessed models wait for their push",
    "warm_start": yes("warm start", "no warm start"),
    "weekday": lambda v: f"it is a {DAYS[int(v) % 7]}",
    "weekend": yes("it is a weekend", "it is no weekend"),
}


#: What is not known where a feature is missing.
UNKNOWN: Mapping[str, str] = {
    **dict.fromkeys(("before_ended", "before_failed", "before_open", "before_pushed"), "the outcome of the run before"),
    **dict.fromkeys(("blessed_unpushed", "taken_rate"), "whether blessed models are pushed"),
    **dict.fromkeys(("code_fail_rate", "code_labelled", "code_push_rate"), "the outcomes of this code's runs"),
    **dict.fromkeys(("code_same_last", "code_same_pushed"), "whether the code has changed"),
    **dict.fromkeys(("cost", "cost_to_usual"), "the cost so far"),
    **dict.fromkeys(("data", "data_new_last", "data_new_pushed"), "which data is new"),
    **dict.fromkeys(("data_overlap_last", "data_overlap_pushed"), "how much data is the same as before"),
    **dict.fromkeys(("due_runs", "hazard_runs", "irregular_runs"), "how many runs usually pass between pushes"),
    **dict.fromkeys(("due_time", "hazard_time", "irregular_time"), "how much time usually passes between pushes"),
    **dict.fromkeys(("runs_to_least", "runs_to_usual"), "how many runs usually pass between pushes"),
    **dict.fromkeys(("since_push_to_least", "since_push_to_usual"), "how much time usually passes between pushes"),
    **dict.fromkeys(("failed_5", "failed_rate"), "how many recent runs failed"),
    **dict.fromkeys(("gap", "gap_to_usual"), "the time since the last run"),
    **dict.fromkeys(("hour", "weekday", "weekend"), "the time of the run"),
    **dict.fromkeys(("last_failed", "last_pushed"), "the outcome of the last run"),
    **dict.fromkeys(("lately_pushed", "under_way"), "the outcomes of the runs just before"),
    **dict.fromkeys(("others_blessed", "others_pushed"), "the outcomes of the run's other trainers"),
    **dict.fromkeys(("baseline", "push_rate", "push_rate_all"), "the past push rate"),
    **dict.fromkeys(("push_rate_20", "push_rate_5"), "the push rate of the latest runs"),
    **dict.fromkeys(("runs_since_push", "starts_since_push"), "how many runs came after the last push"),
    **dict.fromkeys(("validators", "validators_failed"), "the results of validators"),
    "cached_steps": "how many steps were cached",
    "executions": "how many executions there are so far",
    "failed_steps": "how many steps failed",
    "hours_since_push": "the time of the last push",
    "labelled": "how many runs have an outcome",
    "open": "how many runs are open",
    "push_days": "how many pushes to expect on such a day",
    "repeated_steps": "how many steps were repeated",
    "train_hours": "how long the training takes",
    "trainers": "how many trainers the run has",
    "waiting": "whether blessed models wait for their push",
    "warm_start": "whether it is a warm start",
}


def describe(name: str, value: float | None) -> str:
    """Describes a feature and its value in words.

    Parameters
    ----------
    name
        The name of the feature.
    value
        Its value, as the model sees it; None when it is not known.

    Returns
    -------
    str
        A phrase in English.

    Examples
    --------
    >>> describe("warm_start", 1.0), describe("push_rate", 0.25), describe("hour", None)
    ('warm start', '25 % of recent runs were pushed', 'not known: the time of the run')
    """
    if name.startswith("model_type."):
        return "the model's type"
    if value is None:
        return f"not known: {unknown(name)}"
    if name in WORDS:
        return WORDS[name](value)
    if name.endswith(".to_mean"):
        return f"{name.removesuffix('.to_mean')} {value:+.2g} spreads off its mean"
    if name.endswith(".to_pushed"):
        return f"{name.removesuffix('.to_pushed')} {value:+.2g} spreads off the last push's"
    if name.startswith(("gain.", "last_gain.")):
        model, prefix, over = compared(name)
        return f"{model} is {value:+.2g} spreads better than {over} ({prefix} metrics)"
    return f"{name} {math.copysign(math.expm1(abs(value)), value):.3g}"


def unknown(name: str) -> str:
    """What a feature would say if it were known."""
    if name.endswith(".to_mean"):
        return f"how far {name.removesuffix('.to_mean')} is off its mean"
    if name.endswith(".to_pushed"):
        return f"how far {name.removesuffix('.to_pushed')} is off the last push's"
    if name.startswith(("gain.", "last_gain.")):
        model, prefix, over = compared(name)
        return f"how much better {model} is than {over} ({prefix} metrics)"
    return UNKNOWN.get(name, name)


def compared(name: str) -> tuple[str, str, str]:
    """The parts of a gain's name: whose it is, of which metrics, and over what."""
    whose, prefix, over = name.split(".")
    return "the last model" if whose == "last_gain" else "the model", prefix, OVER[over]
