"""Options of the detector: operators, decisions, prices."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from stream_app.acting.hours import parse_hours
from stream_app.core.ladder import Ladder, LadderRule, Step
from stream_app.core.units import HOUR_MS
from stream_app.options.values import FROZEN, TABLE, Group, Share

#: The share of would-be pushes that may be flagged, by mode.
DEFAULT_BUDGETS = {"observe": 0.05, "enforce": 0.01}


class OperatorOptions(BaseModel):
    """The meaning of execution types, beside the default operators."""

    model_config = FROZEN

    #: Execution type to operator group; extends and overrides the defaults.
    groups: Annotated[dict[str, Group], *TABLE] = Field(default_factory=dict)
    #: Execution type to its number of nodes, for executions whose sender reports no cost.
    nodes: Annotated[dict[str, Annotated[float, Field(gt=0)]], *TABLE] = Field(default_factory=dict)


#: Hours between two steps of a ladder.
BETWEEN_HOURS_MAX = 720


class LadderOptions(BaseModel):
    """What a flag of some runs leads to; see `stream_app.core.ladder`."""

    model_config = FROZEN

    #: Conditions with wildcards; all that are given must hold.
    pipeline: str = Field(default="*", min_length=1)
    owner: str = Field(default="*", min_length=1)
    labels: dict[str, str] = Field(default_factory=dict)
    #: The last step, and hours between two steps.
    last: Literal["observe", "warn", "warn_twice", "act"] = "act"
    between_hours: float = Field(default=0.0, ge=0, le=BETWEEN_HOURS_MAX)
    #: Conditions such as `tier=prod*`, and hours such as `22:00-06:00 Europe/Berlin`, for which no run is stopped.
    exempt_labels: tuple[str, ...] = ()
    exempt_hours: str = ""

    @model_validator(mode="after")
    def _is_a_rule(self) -> LadderOptions:
        self.rule()
        if self.exempt_hours:
            parse_hours(self.exempt_hours)
        return self

    def rule(self) -> LadderRule:
        """The rule."""
        between_ms = round(self.between_hours * HOUR_MS)
        ladder = Ladder(Step(self.last), between_ms, self.exempt_labels, self.exempt_hours)
        return LadderRule(ladder, self.pipeline, self.owner, self.labels)


class DetectorOptions(BaseModel):
    """How the detector decides and how long it remembers."""

    model_config = FROZEN

    mode: Literal["observe", "enforce"] = "observe"
    #: The share of would-be pushes that may be flagged; if not set, 0.05 in `observe`, 0.01 in `enforce`.
    budget: Share = Field(default_factory=lambda checked: DEFAULT_BUDGETS[checked.get("mode", "observe")], gt=0, lt=1)
    #: The salt of the hash that draws the holdout; another salt draws other runs.
    salt: str = Field(default="stream-app", min_length=1)
    #: Days of event time, beside the lateness, for which executions and graphlets that no event touches are kept.
    retention_days: int = Field(default=30, ge=1, le=3650)
    #: Days that an event may be behind its pipeline's clock.
    lateness_days: int = Field(default=7, ge=0, le=365)
    #: Hours after its last report at which a training that reported its progress counts as lost.
    lost_hours: float = Field(default=6.0, gt=0, le=8760)
    #: Days after a trainer's start at which a graphlet without an outcome has expired.
    horizon_days: int = Field(default=14, ge=1, le=365)

    #: What flags lead to; the first rule that holds for a run.
    ladders: Annotated[tuple[LadderOptions, ...], *TABLE] = ()

    @model_validator(mode="after")
    def _check_horizon(self) -> DetectorOptions:
        if self.horizon_days > self.retention_days:
            raise ValueError("horizon_days should be at most retention_days")
        return self


_Text = Annotated[str, Field(min_length=1)]
_Price = Annotated[float, Field(ge=0)]


class RateOptions(BaseModel):
    """The rate card: the price of compute."""

    model_config = FROZEN

    #: Price of a node-hour; without any price, compute is reported in node-hours only.
    node_hour: _Price | None = None
    #: The currency's code of ISO 4217.
    currency: str = Field(default="USD", pattern="^[A-Z]{3}$")
    #: Property of an execution, or `type`, `group` or `pipeline`, to value to price; before `node_hour`.
    by: Annotated[dict[_Text, dict[_Text, _Price]], *TABLE] = Field(default_factory=dict)
