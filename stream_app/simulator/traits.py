"""What a pipeline is like, for good, and its release policy, which a regime change draws anew.

Compute is dealt out as a share of the fleet's, cut off at `LARGEST_SHARE` equal shares: no pipeline
dominates.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from stream_app.core.units import DAY_MS
from stream_app.simulator.draws import generator, spread
from stream_app.simulator.options import FleetOptions

#: Node-seconds a day of a pipeline with an equal share of the compute.
EQUAL_SHARE = 400_000.0
#: The largest pipeline's compute in equal shares before chance: 3 % of a fleet of 200.
LARGEST_SHARE = 6.0
#: Median runs from one push to the next, and the chance that a refused push happens all the same.
USUAL_RUNS, OVERRULE = 7.0, 0.007

DOMAINS = ("ads", "churn", "eta", "feed", "fraud", "maps", "rank", "search", "speech", "vision")
MODEL_TYPES = ("dnn", "gbdt", "linear", "transformer", "two_tower")
#: Metric -> whether more of it is better.
METRICS = {"accuracy": True, "auc": True, "rmse": False}


@dataclass(frozen=True, slots=True)
class Policy:
    """How a team releases models, and how fast its data moves. Quality is in units of evaluation noise."""

    #: Some teams never push.
    pushes: bool
    #: A push sooner than this after the last one is refused, but for an override.
    gap_ms: int
    #: How much better than the pushed model a candidate must be.
    margin: float
    #: What a window of unseen data is worth, and each unit of drift since the push.
    data_gain: float
    drift_gain: float
    #: No pushes at weekends.
    weekdays_only: bool
    #: Chance that a due and blessed model is pushed: a canary's word, a person's, or room in serving.
    takes: float
    #: Chance that a push happens that these rules refuse.
    overrule: float


@dataclass(frozen=True, slots=True)
class Traits:
    """What does not change about a pipeline."""

    index: int
    name: str
    owner: str
    model_type: str
    metric: str
    #: The metric's level, and how much of it one unit of quality is.
    metric_level: float
    metric_unit: float
    born_ms: int
    period_ms: int
    #: Runs start by the clock, or else when data arrives.
    scheduled: bool
    #: Time between data spans over the time between runs, and spans in a training window.
    span_periods: float
    window: int
    #: One trainer a slot: each is validated and pushed on its own.
    slots: int
    #: `hub`: one schema read by all runs; `run`: one a run.
    schema: str
    has_transform: bool
    tunes_every: int
    warm_start: bool
    #: `none`, `direct`, or by a `resolver` execution.
    baseline: str
    has_evaluator: bool
    has_infra_validator: bool
    #: `always`: a Pusher runs and may refuse; `blessed`: it runs only to push; `approval`: a person pushes
    #: later; `none`: there is no Pusher.
    pusher: str
    #: The approved push is an execution without a run, or else of a run of its own.
    push_stands_alone: bool
    #: Median hours a candidate waits for its Pusher.
    push_wait_hours: float
    retries: bool
    #: Steps taken from the cache when nothing changed: `none`, `transform`, `all`.
    caches: str
    reports_runs: bool
    reports_run_ends: bool
    reports_cost: bool
    reports_queue: bool
    reports_progress: bool
    reports_inputs_twice: bool
    #: People train and look at data by hand, outside of any run.
    explores: bool
    #: Median seconds of a Trainer, and the node-seconds of a usual run.
    train_seconds: float
    run_cost: float
    #: Chance that an event is late, and a factor on lost and doubled ones.
    late: float


def draw_traits(options: FleetOptions, index: int) -> Traits:
    """The traits of the pipeline with that index, from 0."""
    rng = generator(options.seed, "traits", index)
    chance = rng.random
    rate = options.runs_per_day * spread(rng, 0.85, 0.7, 0.2, 4.0)
    period_s = 86_400.0 / rate
    reports_runs = chance() >= 0.04
    reports_cost = chance() >= 0.05
    train_seconds = min(43_200.0, max(120.0, period_s * spread(rng, 0.12, 1.0, 0.01, 1.3)))
    shared = spread(rng, 0.6, 1.0, 0.05, LARGEST_SHARE)
    metric = rng.choice(sorted(METRICS))
    born = 0.0 if chance() < 0.88 else chance() * 0.6 * options.days
    return Traits(
        index=index,
        name=f"{rng.choice(DOMAINS)}-{index:04d}",
        owner=f"team-{int(chance() * max(1, options.pipelines // 6)):03d}",
        model_type=rng.choice(MODEL_TYPES),
        metric=metric,
        metric_level=0.6 + 0.35 * chance(),
        metric_unit=0.01 * spread(rng, 1.0, 0.5, 0.3, 3.0),
        born_ms=options.start_ms + round((born + chance() / rate) * DAY_MS),
        period_ms=round(period_s * 1000),
        scheduled=chance() < 0.65,
        span_periods=_span_periods(rng),
        window=rng.choice((1, 2, 3, 4, 7, 10)),
        slots=rng.choices((1, 2, 3), (0.82, 0.13, 0.05))[0],
        schema=rng.choices(("hub", "run"), (0.65, 0.35))[0],
        has_transform=chance() < 0.82,
        tunes_every=rng.choice((1, 5, 20)) if chance() < 0.12 else 0,
        warm_start=chance() < 0.25,
        baseline=rng.choices(("none", "direct", "resolver"), (0.4, 0.3, 0.3))[0],
        has_evaluator=chance() < 0.92,
        has_infra_validator=chance() < 0.3,
        pusher=_pusher(rng, reports_runs),
        push_stands_alone=chance() < 0.5,
        push_wait_hours=spread(rng, 3.0, 0.6, 0.5, 10.0) if chance() < 0.1 else 0.0,
        retries=chance() < 0.5,
        caches=rng.choices(("none", "transform", "all"), (0.5, 0.3, 0.2))[0],
        reports_runs=reports_runs,
        reports_run_ends=reports_runs and chance() >= 0.05,
        reports_cost=reports_cost,
        reports_queue=chance() < 0.2,
        reports_progress=reports_cost and chance() < 0.35,
        reports_inputs_twice=chance() < 0.3,
        explores=chance() < 0.12,
        train_seconds=train_seconds,
        run_cost=shared * EQUAL_SHARE / rate if reports_cost else 1.5 * train_seconds,
        late=0.02 if chance() < 0.1 else 0.002,
    )


def _span_periods(rng: Random) -> float:
    """Mostly a span a run; for some several runs a span (steps are cached then), for some several spans a run."""
    return rng.choices((1.0, 4.0, 0.5), (0.6, 0.25, 0.15))[0]


def _pusher(rng: Random, reports_runs: bool) -> str:
    """Where runs are not reported, none can be approved."""
    kinds, weights = ("always", "blessed", "none", "approval"), (0.5, 0.32, 0.06, 0.12)
    count = 4 if reports_runs else 3
    return rng.choices(kinds[:count], weights[:count])[0]


def draw_policy(options: FleetOptions, traits: Traits, name: str, strict: bool) -> Policy:
    """The release policy of that name; `strict` is what a fleet-wide change of regime asks for."""
    rng = generator(options.seed, "policy", traits.index, name)
    gated = rng.random() < 0.3
    # A gated pipeline pushes every few runs as it is: its gap is what scaling adds to that.
    runs_between = spread(rng, USUAL_RUNS, 0.6, 1.5, 40.0) * (2.0 if strict else 1.0) / options.push_scale
    if gated:
        runs_between -= USUAL_RUNS
    by_hand = traits.pusher == "approval"
    margin = rng.gauss(2.3, 0.4) if gated else rng.gauss(0.7, 0.6)
    return Policy(
        pushes=rng.random() < 0.88,
        gap_ms=round(max(0.0, runs_between - 1.3) * traits.period_ms),
        margin=margin + (0.5 if strict else 0.0),
        data_gain=rng.gauss(1.1, 0.3),
        drift_gain=abs(rng.gauss(0.5, 0.25)),
        weekdays_only=rng.random() < 0.15,
        takes=0.5 + 0.45 * rng.random() if by_hand or rng.random() < 0.4 else 0.985,
        overrule=OVERRULE * min(1.0, options.push_scale),
    )
