"""What a finding is: plain values, of which `figures.findings_wording` makes words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """The rule that made a finding. docs/findings.md defines each."""

    NO_PUSH = "no_push"
    TRAINS_TOO_OFTEN = "trains_too_often"
    SAME_FAILURE = "same_failure"
    NOT_BLESSED = "not_blessed"
    UNCHANGED = "unchanged"
    NOT_VALIDATED = "not_validated"
    PUSHED_UNVALIDATED = "pushed_unvalidated"
    SILENT = "silent"


class ActKind(StrEnum):
    """What to do about a finding."""

    #: Train in every k-th run.
    TRAIN_EVERY = "train_every"
    #: Train the same code again only until it has failed, or its models were refused, k times in a row.
    FIX_CODE = "fix_code"
    #: Do not train on the data of the last model with the code of the last model.
    SKIP_UNCHANGED = "skip_unchanged"
    ADD_VALIDATION = "add_validation"
    STOP_PIPELINE = "stop_pipeline"
    #: No act is known that would have saved compute and lost no more pushes than the bound.
    LOOK = "look"


@dataclass(frozen=True, slots=True)
class Act:
    """A recommended act; the parameter is the k of `ActKind`, None where it has none."""

    kind: ActKind
    parameter: int | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """What an act would have done to the pipeline's kept graphlets.

    Attributes
    ----------
    skipped
        Graphlets that would not have been trained.
    node_ms, micros
        Compute of executions that no other graphlet needed, and what it cost in millionths of the currency.
    month_node_ms
        The same compute, for 30 days.
    pushes
        Graphlets that were pushed.
    lost
        Those among them that would not have been pushed, or for which a later push would have had to do.
    delayed
        Those that would have been pushed later, with the next training.
    delay_median_ms, delay_worst_ms
        How much later, at the (lower) median and at worst; None where none is delayed.
    """

    skipped: int
    node_ms: int
    micros: int
    month_node_ms: int
    pushes: int
    lost: int
    delayed: int
    delay_median_ms: int | None
    delay_worst_ms: int | None


@dataclass(frozen=True, slots=True)
class Finding:
    """Waste, or a risk, in one pipeline, seen by one rule.

    Attributes
    ----------
    id
        Pipeline and kind: the same as long as the finding lasts.
    revision
        That which was announced last; 0: it was not, or nobody announces.
    kind, pipeline
        The rule, and the name of the pipeline.
    since_ms, last_ms
        Starts of the first and of the last training behind it, in ms since 1970 UTC.
    trainings
        Graphlets of the pipeline that are kept.
    count
        Graphlets behind it; of `Kind.SILENT` the usual intervals since the last run.
    graphlets
        The ids of the last of them, at most `GRAPHLETS_MAX`.
    node_ms, micros
        What they cost: their shares of the compute of their executions, and its price in millionths of the currency.
        0 for a risk.
    month_node_ms
        The same compute, for 30 days.
    counted, counted_node_ms, counted_micros
        The graphlets that no finding before it in the table of rules has counted, and their cost: these add up.
    act
        What is recommended.
    effect
        What the act would have done.
    """

    id: str
    revision: int
    kind: Kind
    pipeline: str
    since_ms: int
    last_ms: int
    trainings: int
    count: int
    graphlets: tuple[str, ...]
    node_ms: int
    micros: int
    month_node_ms: int
    counted: int
    counted_node_ms: int
    counted_micros: int
    act: Act
    effect: Effect
