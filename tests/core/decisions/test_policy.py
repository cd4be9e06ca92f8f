"""From a score to a decision: guards by name, thresholds, hysteresis, warnings, and the holdout of `enforce`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from stream_app.core.decisions.policy import (
    ENFORCE,
    FREE_WEEKS,
    HOLDOUT_MAX,
    HOLDOUT_MIN,
    Decision,
    Policy,
    Question,
    budget_guard,
    decide,
    draw,
    guard,
    score_of,
)
from stream_app.core.outputs import CONTINUE, INPUT, PREPROCESS, PRUNE, TRAIN, WARN, Example, Guard, Verdict, Withdrawal
from stream_app.core.state.history import History
from tests.support.builders import DAY, HOUR, T0, ended, happened, run_ended, run_pruned, started
from tests.support.steered import PERIOD, Steered, past, whole_run
from tests.support.watched import Watched

Watch = Callable[..., Watched]

#: A question that nothing speaks against: a score well below the threshold of `Steered`.
ASKED = Question(
    stage=PREPROCESS, score=1.0, guarded=None, was_flagged=False, pipeline="p", subject="r1", now_ms=T0,
)  # fmt: skip
OBSERVING = Policy(budget=0.05, budgets=(0.01, 0.05))
ENFORCING = replace(OBSERVING, mode=ENFORCE)
SEASONED = 5


def seasoned(**known: object) -> History:
    """The history of a pipeline that is past its first graphlets and never pushed."""
    return History(**{"labelled": SEASONED, **known})  # type: ignore[arg-type]


def decided(
    question: Question = ASKED,
    *,
    policy: Policy = OBSERVING,
    learner: Steered | None = None,
    history: History | None = None,
) -> Decision:
    return decide(policy, learner or Steered(), history or seasoned(), question)  # type: ignore[arg-type]


# Guards


def said_of(history: History, *, keep: bool = False, cost: float = 10.0, left: float = 90.0) -> str | None:
    return guard(history, T0, keep, cost, left)


def test_nothing_guards_a_run_of_a_seasoned_pipeline() -> None:
    """The guards have names, and all of them can be silent."""
    assert said_of(seasoned()) is None


@pytest.mark.parametrize(("labelled", "guarded"), [(0, True), (SEASONED - 1, True), (SEASONED, False)])
def test_a_pipelines_first_graphlets_are_guarded(labelled: int, guarded: bool) -> None:
    """Five of them have to be labelled before one is flagged."""
    said = said_of(seasoned(labelled=labelled))

    assert (said == Guard.FIRST) == guarded


def test_a_keep_tag_guards() -> None:
    """It comes before all else: a person has spoken."""
    assert said_of(seasoned(labelled=0), keep=True) == Guard.KEEP


@pytest.mark.parametrize(("left", "guarded"), [(4.9, True), (5.1, False)])
def test_nothing_left_worth_saving_guards(left: float, guarded: bool) -> None:
    """Less than 5 % of the expected cost ahead is not worth a flag."""
    said = said_of(seasoned(), cost=100.0 - left, left=left)

    assert (said == Guard.NOTHING_LEFT) == guarded


@pytest.mark.parametrize(("since", "guarded"), [(DAY, False), (DAY + 1, True)])
def test_a_push_that_is_due_guards(since: int, guarded: bool) -> None:
    """When more time has passed than the median between the last pushes, the next run may be the one."""
    last = T0 - since
    pushes = [last - 5 * DAY, last - 4 * DAY, last - DAY, last]

    said = said_of(seasoned(push_ms=pushes))

    assert (said == Guard.DUE) == guarded


def test_two_pushes_make_no_usual_interval() -> None:
    """From the third push on there is one."""
    assert said_of(seasoned(push_ms=[T0 - 101 * DAY, T0 - 100 * DAY])) is None
    assert said_of(seasoned(push_ms=[T0 - 102 * DAY, T0 - 101 * DAY, T0 - 100 * DAY])) is not None


@pytest.mark.parametrize(("streak", "guarded"), [(2, False), (3, True)])
def test_as_many_consecutive_flags_as_runs_between_pushes_guard(streak: int, guarded: bool) -> None:
    """The median of the runs between pushes is what the pipeline can do without."""
    history = seasoned(push_ms=[1, 2, 3], runs_between=[1, 3, 9], flag_streaks={0: streak})

    said = budget_guard(history, 0)

    assert (said == Guard.STREAK) == guarded


def test_flags_of_one_budget_do_not_use_up_anothers() -> None:
    """Each budget's policy has its own streak."""
    history = seasoned(push_ms=[1, 2, 3], runs_between=[3, 3, 3], flag_streaks={0: 3})

    assert budget_guard(history, 0) is not None
    assert budget_guard(history, 1) is None


def test_a_pipeline_that_pushes_each_run_may_be_flagged_once_in_a_row() -> None:
    """One flag is the least that a streak allows."""
    history = seasoned(push_ms=[1, 2, 3], runs_between=[1, 1, 1])

    assert budget_guard(history, 0) is None
    assert budget_guard(replace(history, flag_streaks={0: 1}), 0) is not None


def test_a_pipeline_that_never_pushed_is_not_flagged_for_ever() -> None:
    """Every twentieth run runs, however sure the model is."""
    assert budget_guard(seasoned(flag_streaks={0: 18}), 0) is None
    assert budget_guard(seasoned(flag_streaks={0: 19}), 0) is not None


OFTEN_ENOUGH = Guard.PIPELINE_SHARE


def pushed_before(pushes: int, flagged: int) -> History:
    """A pipeline so many of whose last pushes had been flagged by budget 1, and the others by budget 0."""
    return seasoned(pushes=pushes, push_flags=[0b10] * flagged + [0b01] * (min(20, pushes) - flagged))


@pytest.mark.parametrize(
    ("pushes", "flagged"),
    [(0, 0), (1, 0), (4, 0), (5, 0), (9, 0), (10, 0), (10, 1), (14, 1), (15, 2), (20, 3), (40, 3)],
)
def test_a_pipeline_may_be_flagged_while_a_fifth_of_its_last_pushes_is_not_reached(pushes: int, flagged: int) -> None:
    """Also one that never pushed, or none of whose few pushes was flagged: else it could never be flagged at all."""
    assert budget_guard(pushed_before(pushes, flagged), 1) is None


@pytest.mark.parametrize(
    ("pushes", "flagged"),
    [(1, 1), (4, 1), (4, 4), (5, 1), (9, 1), (10, 2), (14, 2), (15, 3), (20, 4), (20, 20), (40, 4)],
)
def test_a_fifth_of_a_pipelines_last_pushes_is_all_that_may_have_been_flagged(pushes: int, flagged: int) -> None:
    """Four of twenty, two of ten, and under ten not a second one: the fleet's budget is not spent on one pipeline."""
    assert budget_guard(pushed_before(pushes, flagged), 1) == OFTEN_ENOUGH


def test_pushes_that_another_budget_flagged_do_not_count() -> None:
    """Each budget's policy has its own flagged pushes."""
    history = pushed_before(pushes=4, flagged=4)

    assert budget_guard(history, 0) is None
    assert budget_guard(history, 1) == OFTEN_ENOUGH


# Thresholds


def test_a_score_strictly_below_the_threshold_is_flagged() -> None:
    """At the threshold it is not."""
    learner = Steered(limit=2.0)

    assert decided(replace(ASKED, score=1.999), learner=learner).decision == PRUNE
    assert decided(replace(ASKED, score=2.0), learner=learner).decision == CONTINUE


def test_the_score_is_the_odds_of_a_push_over_the_node_hours_left() -> None:
    """A flag on twice the compute left buys twice as much for the same risk."""
    assert score_of(0.5, 3600.0) == pytest.approx(1.0)
    assert score_of(0.5, 7200.0) == pytest.approx(0.5)
    assert score_of(0.2, 3600.0) == pytest.approx(0.25)
    assert score_of(0.5, 0.0) == pytest.approx(3600.0)


def test_every_budget_is_decided_beside_the_one_in_force() -> None:
    """What the others would flag is kept, and is not said."""
    learner = Steered(limit_at={0.01: 0.5, 0.05: 2.0})

    either, neither = decided(learner=learner), decided(learner=learner, policy=replace(OBSERVING, budget=0.01))

    assert (either.decision, either.flagged, either.threshold) == (PRUNE, [1], 2.0)
    assert (neither.decision, neither.flagged, neither.threshold) == (CONTINUE, [1], 0.5)


def test_the_budget_in_force_is_always_among_those_decided() -> None:
    """A budget of one's own needs no second mention, and leaves the others their places: state counts by them."""
    policy = Policy(budget=0.03, budgets=(0.01, 0.05))

    assert policy.budgets == (0.01, 0.05, 0.03)
    assert policy.active == 2


def test_a_guarded_stage_is_flagged_by_no_budget() -> None:
    """Guards do not depend on budgets; calibration leaves the stage out too."""
    decision = decided(replace(ASKED, guarded=Guard.KEEP))

    assert (decision.decision, decision.flagged, decision.guard) == (WARN, [], Guard.KEEP)
    assert decision.held_back == Guard.KEEP


def test_a_budgets_own_guard_warns_and_says_why() -> None:
    """The other budgets may flag, and the stage counts in calibration."""
    decision = decided(history=seasoned(flag_streaks={1: 20}))

    assert (decision.decision, decision.flagged, decision.guard) == (WARN, [0], None)
    assert decision.held_back == Guard.STREAK


# Warnings


def test_while_pushes_are_missing_it_warns_and_says_how_many() -> None:
    """Where a flag would be due: below the scores of all pushes so far."""
    learner = Steered(limit=None, lacking=17, least=1.5)

    decision = decided(learner=learner)

    assert (decision.decision, decision.threshold, decision.flagged) == (WARN, None, [])
    assert (decision.held_back, decision.pushes_missing) == (Guard.PUSHES_MISSING, 17)


@pytest.mark.parametrize(
    ("question", "learner"),
    [
        (replace(ASKED, score=1.5), Steered(limit=None, lacking=17, least=1.5)),
        (ASKED, Steered(limit=None, lacking=17, least=None)),
        (replace(ASKED, guarded=Guard.KEEP), Steered(limit=None, lacking=17, least=1.5)),
    ],
    ids=["a push scored no better", "no push yet", "guarded"],
)
def test_while_pushes_are_missing_most_runs_just_go_on(question: Question, learner: Steered) -> None:
    """A warning without ground would be noise."""
    assert decided(question, learner=learner).decision == CONTINUE


def test_when_too_many_pushes_were_flagged_no_budget_flags() -> None:
    """The watch stops flags, and the words say so."""
    decision = decided(learner=Steered(halted=True))

    assert (decision.decision, decision.flagged) == (WARN, [])
    assert decision.held_back == Guard.STOPPED


# Hysteresis


@pytest.mark.parametrize(("score", "said"), [(1.0, PRUNE), (3.9, PRUNE), (4.0, CONTINUE), (50.0, CONTINUE)])
def test_a_flag_stays_until_the_score_has_recovered_to_twice_the_threshold(score: float, said: str) -> None:
    """A score that wavers round the threshold does not wave the flag."""
    question = replace(ASKED, score=score, was_flagged=True)

    decision = decided(question, learner=Steered(limit=2.0))

    assert decision.decision == said
    assert decision.withdrawn == (Withdrawal.RECOVERED if said == CONTINUE else None)


@pytest.mark.parametrize(
    ("learner", "guarded", "why"),
    [
        (Steered(), Guard.KEEP, Guard.KEEP),
        (Steered(halted=True), None, Guard.STOPPED),
        (Steered(limit=None), None, Withdrawal.NO_THRESHOLD),
    ],
    ids=["guarded", "stopped", "no threshold"],
)
def test_an_open_flag_does_not_outlast_what_would_forbid_it(learner: Steered, guarded: str | None, why: str) -> None:
    """A person's tag, the stop on excess and a stage without a budget withdraw it, each under its own name."""
    decision = decided(replace(ASKED, was_flagged=True, guarded=guarded), learner=learner)

    assert (decision.decision, decision.withdrawn) == (CONTINUE, why)


def test_a_flag_that_only_stays_is_no_flag_of_the_budget_at_this_stage() -> None:
    """It was counted where it was raised."""
    assert decided(replace(ASKED, score=3.0, was_flagged=True), learner=Steered(limit=2.0)).flagged == []


# The holdout


def test_observe_holds_nothing_out() -> None:
    """Everything runs on anyway."""
    for subject in map(str, range(50)):
        decision = decided(replace(ASKED, subject=subject))

        assert (decision.decision, decision.holdout, decision.propensity) == (PRUNE, False, 1.0)


def test_what_is_not_flagged_is_not_at_stake() -> None:
    """It runs for certain, also in `enforce`."""
    decision = decided(policy=ENFORCING, learner=Steered(limit=0.5))

    assert (decision.decision, decision.holdout, decision.propensity) == (CONTINUE, False, 1.0)


@pytest.mark.parametrize(("score", "chance"), [(0.0, 0.02), (1.0, 0.26), (2.0, 0.5), (3.9, 0.5)])
def test_the_propensity_rises_towards_the_threshold(score: float, chance: float) -> None:
    """From 2 % to 50 %, and one pipeline-week in twenty on top."""
    decision = decided(replace(ASKED, score=score, was_flagged=True), policy=ENFORCING, learner=Steered(limit=2.0))

    assert HOLDOUT_MIN <= chance <= HOLDOUT_MAX
    assert decision.propensity == pytest.approx(FREE_WEEKS + (1 - FREE_WEEKS) * chance)


@pytest.mark.parametrize("score", [0.02, 1.0, 1.98])
def test_as_many_are_held_out_as_the_propensity_says(score: float) -> None:
    """Over many pipelines, runs and weeks the draw keeps its word."""
    decisions = [
        decided(
            replace(ASKED, score=score, pipeline=f"p{n}", subject=f"r{n}", now_ms=T0 + n * DAY),
            policy=ENFORCING,
            learner=Steered(limit=2.0),
        )
        for n in range(3000)
    ]
    held = sum(decision.holdout for decision in decisions) / len(decisions)

    assert held == pytest.approx(decisions[0].propensity, abs=0.025)
    assert {(decision.decision, decision.holdout) for decision in decisions} == {(PRUNE, False), (CONTINUE, True)}


def test_the_draw_is_the_same_at_every_stage_of_a_run() -> None:
    """With the same nearness to the threshold a run is held out everywhere or nowhere."""
    for subject in map(str, range(100)):
        held = {
            decided(replace(ASKED, subject=subject, stage=stage, now_ms=T0 + minute), policy=ENFORCING).holdout
            for minute, stage in enumerate((INPUT, PREPROCESS, TRAIN))
        }
        assert len(held) == 1


def test_who_is_held_out_far_below_the_threshold_is_held_out_near_it() -> None:
    """One draw against a rising chance: a later, milder stage prunes nobody whom an earlier one let go."""
    learner = Steered(limit=2.0)
    for subject in map(str, range(300)):
        far, near = (
            decided(replace(ASKED, subject=subject, score=score), policy=ENFORCING, learner=learner).holdout
            for score in (0.1, 1.9)
        )
        assert near or not far


def test_another_salt_draws_others() -> None:
    """So that nobody can choose a name that is always held out."""
    drawn = [
        [
            decided(replace(ASKED, subject=f"r{n}", score=1e6 - 1), policy=replace(ENFORCING, salt=salt)).holdout
            for n in range(100)
        ]
        for salt in ("", "x")
    ]

    assert drawn[0] != drawn[1]
    assert 20 < sum(drawn[0]) < 80


def test_about_a_twentieth_of_pipeline_weeks_is_free_of_prunes() -> None:
    """In a free week all of a pipeline's runs go on: what carries over between runs shows there."""
    free = 0
    for number in range(1000):
        held = {
            decided(replace(ASKED, score=0.0, pipeline=f"p{number}", subject=f"r{run}"), policy=ENFORCING).holdout
            for run in range(12)
        }
        free += held == {True}

    assert free / 1000 == pytest.approx(FREE_WEEKS, abs=0.02)


def test_a_draw_depends_on_its_names_alone() -> None:
    """The same number on every worker and in every year: a pinned one."""
    assert draw("", "run", "p", "r1") == 0.7282721353355206
    assert draw("a", "bc") != draw("ab", "c")


# Through the detector


def verdicts(watched: Watched, run: str = "now") -> list[Verdict]:
    return [output for output in watched.outputs if isinstance(output, Verdict) and output.run == run]


def decisions(watched: Watched) -> list[tuple[str, str]]:
    return [(verdict.stage, verdict.decision) for verdict in verdicts(watched)]


def test_a_seasoned_pipeline_is_flagged_at_once(watch: Watch) -> None:
    """The whole way from events: at its first stage, of the run; then each trainer has the run's flag."""
    watched = watch(Steered()).feed(past(SEASONED + 1), whole_run(10 * PERIOD, "now"))

    assert decisions(watched)[:2] == [(INPUT, PRUNE), (PREPROCESS, PRUNE)]


def test_the_first_runs_of_a_pipeline_are_only_warned_of(watch: Watch) -> None:
    """Labels count, not starts: the sixth run begins with five labels."""
    watched = watch(Steered()).feed(past(SEASONED + 1))

    said = [v.decision for v in watched.outputs if isinstance(v, Verdict) and v.stage == PREPROCESS]
    assert said == [WARN] * SEASONED + [PRUNE]


def test_a_trainer_inherits_its_runs_flag(watch: Watch) -> None:
    """At a score between the threshold and its double the run's flag stays on the trainer."""
    learner = Steered(p=0.5)
    watched = watch(learner).feed(past(SEASONED + 1))
    left = {stage: watched.detector.pipelines["p"].history.costs[stage].mean for stage in (INPUT, PREPROCESS)}
    learner.limit_at = {INPUT: score_of(0.5, left[INPUT]) * 1.1, PREPROCESS: score_of(0.5, left[PREPROCESS]) / 1.5}

    watched.feed(whole_run(10 * PERIOD, "now"))

    assert decisions(watched)[:2] == [(INPUT, PRUNE), (PREPROCESS, PRUNE)]
    learner.limit_at[INPUT] = 0.0
    watched.feed(whole_run(11 * PERIOD, "unflagged"))
    assert [v.decision for v in verdicts(watched, "unflagged")][:2] == [CONTINUE, CONTINUE]


def test_a_flag_is_withdrawn_when_the_score_recovers(watch: Watch) -> None:
    """The verdict says so; one flag is open per graphlet, and then none."""
    watched = watch(Steered(p_at={TRAIN: 0.999_999})).feed(past(SEASONED + 1), whole_run(10 * PERIOD, "now"))

    assert decisions(watched)[:3] == [(INPUT, PRUNE), (PREPROCESS, PRUNE), (TRAIN, CONTINUE)]
    assert verdicts(watched)[2].withdrawn == Withdrawal.RECOVERED


def test_a_keep_tag_on_a_step_guards_its_run_and_its_graphlet(watch: Watch) -> None:
    """Whoever tags the preprocessing means all that follows."""
    tagged = ended(10 * PERIOD, "prep-now", "Transform", run="now", properties={"keep": True}, writes=["data-now"])
    watched = watch(Steered()).feed(
        past(SEASONED + 1),
        happened(10 * PERIOD, "prep-now", "Transform", "NEW", run="now", properties={"keep": True}),
        tagged,
        started(10 * PERIOD + 1, "train-now", "Trainer", run="now", reads=["data-now"]),
    )

    assert decisions(watched) == [(INPUT, WARN), (PREPROCESS, WARN)]
    assert {verdict.held_back for verdict in verdicts(watched)} == {Guard.KEEP}


def test_a_keep_tag_that_comes_after_a_flag_withdraws_it(watch: Watch) -> None:
    """Somebody saw the flag and knows better."""
    watched = watch(Steered()).feed(
        past(SEASONED + 1),
        started(10 * PERIOD, "prep-now", "Transform", run="now"),
        started(10 * PERIOD + 3, "train-now", "Trainer", run="now", properties={"keep": True}),
    )

    assert decisions(watched) == [(INPUT, PRUNE), (PREPROCESS, CONTINUE)]
    assert verdicts(watched)[-1].withdrawn == Guard.KEEP


def test_runs_pruned_before_their_trainer_count_as_consecutive_flags(watch: Watch) -> None:
    """A pipeline stopped at its input each time is left alone as often as one stopped later."""
    watched = watch(Steered(), policy=ENFORCING).feed(past(SEASONED + 1))
    said = []
    for number in range(60):
        minute, run = 1000 + 30 * number, f"r{number}"
        heard = len(watched.outputs)
        watched.feed(started(minute, f"prep-{run}", "Transform", run=run))
        (verdict,) = [output for output in watched.outputs[heard:] if isinstance(output, Verdict)]
        said.append(verdict)
        watched.feed(run_pruned(minute + 1, run) if verdict.decision == PRUNE else run_ended(minute + 1, run))

    assert any(verdict.held_back == Guard.STREAK for verdict in said)


def test_a_pipeline_whose_flags_come_true_is_left_alone_every_twentieth_time(watch: Watch) -> None:
    """It never pushed, and every prediction says it never will: now and then it is left alone."""
    watched = watch(Steered()).feed(past(60))
    said = [v.decision for v in watched.outputs if isinstance(v, Verdict) and v.stage == PREPROCESS]
    streaks = [len(streak) for streak in "".join("P" if s == PRUNE else " " for s in said).split()]

    assert streaks[:2] == [19, 19]


def test_of_a_pipelines_first_ten_pushes_one_is_flagged(watch: Watch) -> None:
    """Every fourth run is pushed, and every prediction says that none will be: the second flagged push is the 11th."""
    watched = watch(Steered()).feed(past(4))
    for number in range(4 * 12):
        watched.feed(whole_run((4 + number) * PERIOD, f"r{number}", pushed=number % 4 == 3))
    pushes = [e for e in watched.outputs if isinstance(e, Example) and e.pushed and e.trainer is not None]
    flagged = [any(record.decision == PRUNE for record in (*e.inherited, *e.stages)) for e in pushes]

    assert flagged == [True] + [False] * 9 + [True, False]


def test_a_push_that_is_due_is_not_flagged(watch: Watch) -> None:
    """The cadence guard through the whole way: usual pushes come every two hours, the next is a day late."""
    watched = watch(Steered()).feed(past(6, pushed=True), whole_run(6 * PERIOD + DAY / HOUR * 60, "now"))

    assert decisions(watched)[0] == (INPUT, WARN)
    assert verdicts(watched)[0].held_back == Guard.DUE


def test_in_enforce_a_run_is_pruned_or_held_out_and_says_so(watch: Watch) -> None:
    """A held-out run goes on with the chance it had; a pruned one is told to stop."""
    watched = watch(Steered(p=0.5, limit=1.5), policy=ENFORCING).feed(past(SEASONED + 1))
    for number in range(30):
        watched.feed(whole_run(10 * PERIOD + number, f"now{number}"))
    first = [v for v in watched.outputs if isinstance(v, Verdict) and v.stage == INPUT][SEASONED + 1 :]

    assert {(v.decision, v.holdout) for v in first} == {(PRUNE, False), (CONTINUE, True)}
    assert {v.propensity for v in first} == {first[0].propensity}
    assert {(v.mode, v.budget) for v in first} == {(ENFORCE, 0.05)}
    assert all((v.decision == CONTINUE) == v.holdout for v in first)


def test_a_flag_of_a_run_that_is_held_out_later_is_withdrawn_with_that_reason() -> None:
    """The chance rises from stage to stage, so a run that was flagged first may be drawn to continue afterwards."""
    salts = (replace(ENFORCING, salt=str(number)) for number in range(1_000))
    asked = replace(ASKED, was_flagged=True)
    drawn = next(found for salt in salts if (found := decided(asked, policy=salt)).holdout)

    assert (drawn.decision, drawn.withdrawn) == (CONTINUE, Withdrawal.HELD_OUT)
