"""Acts of people: what they change about a flag, and that state stays a function of the set of events."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from stream_app import wire
from stream_app.core import acts
from stream_app.core.acts import ActOn
from stream_app.core.decisions.policy import ENFORCE, OBSERVE, Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.ladder import Ladder, LadderRule, Step
from stream_app.core.outputs import CONTINUE, PRUNE, WARN, Example, Verdict
from tests.support.builders import DAY, HOUR, MINUTE, T0, artifact, ended, happened, ran, run_pruned, started
from tests.support.steered import Steered, past
from tests.support.watched import Watched

#: Minute at which the run "rk" of pipeline "p" starts to train, and the same as event time.
AT = 1003.0
AT_MS = T0 + int(AT * MINUTE)
RUN = ActOn("p", run="rk")
RULES = (LadderRule(Ladder(between_ms=HOUR)),)


def flagged(mode: str = ENFORCE, ladders: tuple[LadderRule, ...] = RULES, **properties: str) -> Watched:
    """A detector with an open flag of the run; `salt` draws no holdout."""
    settings = Settings(policy=Policy(mode=mode, budget=0.05, salt="x", ladders=ladders), invariants=True)
    watched = Watched(Detector(settings, learner=Steered(), keep_rows=True)).feed(past(6))
    return watched.feed(started(AT, "tk", "Trainer", run="rk", properties=properties))


def verdicts(watched: Watched) -> list[Verdict]:
    return [each for each in watched.outputs if isinstance(each, Verdict) and each.run == "rk"]


def last(watched: Watched) -> Verdict:
    return verdicts(watched)[-1]


# The ladder


def test_a_run_may_be_stopped_two_steps_after_its_flag() -> None:
    """After the flag and the second warning, each with the time between."""
    verdict = last(flagged())

    assert (verdict.decision, verdict.ladder) == (PRUNE, Step.ACT)
    assert (verdict.warn_again_ms, verdict.stop_ms) == (AT_MS + HOUR, AT_MS + 2 * HOUR)


def test_without_rules_a_run_may_be_stopped_at_once() -> None:
    """A training that asks is answered at once, and there is no second warning."""
    verdict = last(flagged(ladders=()))

    assert (verdict.ladder, verdict.warn_again_ms, verdict.stop_ms) == (Step.ACT, None, AT_MS)


@pytest.mark.parametrize("ladders", [(), RULES])
def test_in_observe_nothing_may_be_stopped(ladders: tuple[LadderRule, ...]) -> None:
    """Whatever the ladder says."""
    assert last(flagged(OBSERVE, ladders)).stop_ms is None


@pytest.mark.parametrize("step", [Step.OBSERVE, Step.WARN, Step.WARN_TWICE])
def test_a_ladder_that_ends_before_acting_stops_nothing(step: Step) -> None:
    """And nothing is held out, since the outcome of every flagged run is seen."""
    verdict = last(flagged(ladders=(LadderRule(Ladder(step, HOUR)),)))

    assert (verdict.decision, verdict.ladder, verdict.stop_ms, verdict.propensity) == (PRUNE, step, None, 1.0)
    assert verdict.warn_again_ms == (AT_MS + HOUR if step is Step.WARN_TWICE else None)


def test_the_first_rule_that_holds_decides() -> None:
    """By pipeline, owner and labels, with wildcards."""
    ladders = (
        LadderRule(Ladder(Step.WARN), pipeline="q*"),
        LadderRule(Ladder(Step.OBSERVE), owner="team-*", labels={"tier": "prod*"}),
        LadderRule(Ladder(Step.WARN_TWICE), owner="team-a"),
    )
    assert last(flagged(ladders=ladders, owner="team-a", tier="production")).ladder == Step.OBSERVE
    assert last(flagged(ladders=ladders, owner="team-a", tier="dev")).ladder == Step.WARN_TWICE
    assert last(flagged(ladders=ladders, owner="team-b")).ladder == Step.ACT


def test_an_exempt_label_is_warned_of_and_never_stopped() -> None:
    """The exemption is one of the ladder."""
    ladders = (LadderRule(Ladder(between_ms=HOUR, exempt_labels=("tier=prod*",))),)

    assert last(flagged(ladders=ladders, tier="production")).ladder == Step.WARN_TWICE
    assert last(flagged(ladders=ladders, tier="dev")).ladder == Step.ACT


def test_a_later_stage_keeps_the_time_of_the_flag() -> None:
    """The steps count from the first verdict of the open flag."""
    watched = flagged().feed(ended(AT + 30, "tk", "Trainer", run="rk", writes=[artifact("mk")]))

    assert [each.stage for each in verdicts(watched)] == ["preprocess", "train"]
    assert last(watched).stop_ms == AT_MS + 2 * HOUR


# Keep and wrong


@pytest.mark.parametrize("act", [acts.keep, acts.wrong])
def test_a_word_withdraws_the_flag_at_once(act: type[acts.keep]) -> None:
    """The verdict has the next revision, and all else as it was predicted."""
    watched = flagged()
    before = last(watched)
    watched.feed(act(RUN, "alice", "it is needed", AT_MS + MINUTE))

    after = last(watched)
    assert (after.decision, after.withdrawn, after.revision) == (CONTINUE, "keep", before.revision + 1)
    assert (after.stage, after.p_push, after.model, after.score) == (
        before.stage, before.p_push, before.model, before.score,
    )  # fmt: skip
    assert (after.ladder, after.stop_ms) == ("", None)


def test_a_kept_run_is_not_flagged_again() -> None:
    """At any later stage, after a restart too."""
    watched = flagged().feed(acts.keep(RUN, "alice", "", AT_MS + MINUTE)).restarted()
    watched.feed(ended(AT + 30, "tk", "Trainer", run="rk", writes=[artifact("mk")]))

    assert last(watched).decision == WARN


def test_a_word_before_the_flag_holds_too() -> None:
    """Nobody needs to wait for the flag to keep a run."""
    watched = Watched(Detector(Settings(), learner=Steered())).feed(past(6))
    watched.feed(acts.keep(RUN, "alice", "", AT_MS - MINUTE), started(AT, "tk", "Trainer", run="rk"))

    assert [each.decision for each in verdicts(watched)] == [WARN]


def test_a_word_that_is_taken_back_holds_no_more() -> None:
    """Of two words of one kind the later holds, whichever arrives first."""
    watched = Watched(Detector(Settings(), learner=Steered())).feed(past(6))
    watched.feed(acts.keep(RUN, "alice", "", AT_MS - MINUTE, value=False))
    watched.feed(acts.keep(RUN, "alice", "", AT_MS - 2 * MINUTE), started(AT, "tk", "Trainer", run="rk"))

    assert [each.decision for each in verdicts(watched)] == [PRUNE]


@pytest.mark.parametrize("other", [ActOn("q", run="rk"), ActOn("p", run="rx"), ActOn("p", trainer="tk")])
def test_a_word_about_another_run_changes_nothing(other: ActOn) -> None:
    """Of another pipeline, another run, or a trainer that is in a run."""
    watched = flagged().feed(acts.keep(other, "alice", "", AT_MS + MINUTE))

    assert last(watched).decision == PRUNE


def test_a_trainer_without_a_run_is_kept_by_its_own_name() -> None:
    """Its flag is its own."""
    watched = Watched(Detector(Settings(invariants=True), learner=Steered())).feed(
        past(6), started(AT, "tk", "Trainer", run=None)
    )
    watched.feed(acts.keep(ActOn("p", trainer="tk"), "alice", "", AT_MS + MINUTE))

    found = [each.decision for each in watched.outputs if isinstance(each, Verdict) and each.trainer == "tk"]
    assert found == [PRUNE, CONTINUE]


def test_a_word_said_twice_is_said_once() -> None:
    """The event of a link that is clicked twice, or delivered twice, changes nothing."""
    watched = flagged()
    word = acts.keep(RUN, "alice", "", AT_MS + MINUTE)
    watched.feed(word, word, word)

    assert len(verdicts(watched)) == 2


# Prolonging, and policies


def test_a_run_that_is_prolonged_is_stopped_later() -> None:
    """The flag stays; its verdict is revised with the later time."""
    until = AT_MS + DAY
    watched = flagged().feed(acts.prolong(RUN, until, "alice", "one more epoch", AT_MS + MINUTE))

    assert (last(watched).decision, last(watched).stop_ms, last(watched).revision) == (PRUNE, until, 2)


def test_prolonging_never_brings_a_stop_forward() -> None:
    """An earlier time than the ladder's changes nothing, and says nothing."""
    watched = flagged().feed(acts.prolong(RUN, AT_MS + MINUTE, "alice", "", AT_MS + MINUTE))

    assert len(verdicts(watched)) == 1


def test_the_policy_of_a_pipeline_comes_before_the_rules() -> None:
    """It revises the flags that are open, and another one takes it back."""
    watched = flagged().feed(acts.policy("p", Ladder(Step.WARN), "admin", "not yet", AT_MS + MINUTE))
    assert (last(watched).ladder, last(watched).stop_ms) == (Step.WARN, None)

    watched.feed(acts.policy("p", None, "admin", "now", AT_MS + 2 * MINUTE))
    assert (last(watched).ladder, last(watched).stop_ms) == (Step.ACT, AT_MS + 2 * HOUR)


def test_a_policy_outlives_the_retention() -> None:
    """Nothing touches it for months, and it holds."""
    watched = Watched(Detector(Settings(policy=Policy(ladders=RULES)), learner=Steered(), keep_rows=True))
    watched.feed(acts.policy("p", Ladder(Step.WARN), "admin", "", T0), past(6))
    later = 90 * 24 * 60
    shifted = [replace(event, time_ms=event.time_ms + 90 * DAY) for event in past(6)]
    watched.feed(*[replace(e, execution_id=f"x{e.execution_id}", run=f"x{e.run}") for e in shifted])
    watched = watched.restarted()
    watched.feed(started(later + AT, "tk", "Trainer", run="rk"))

    assert last(watched).ladder == Step.WARN


@pytest.mark.parametrize(
    "properties", [{"last": "perhaps"}, {"last": "act", "between_ms": -1}, {"last": "act", "between_ms": "x"}]
)
def test_a_policy_that_cannot_be_read_stops_nothing(properties: dict[str, str | int]) -> None:
    """Whoever wrote it."""
    event = acts.policy("p", Ladder(), "admin", "", AT_MS + MINUTE)
    watched = flagged().feed(replace(event, properties={**event.properties, **properties}))

    assert (last(watched).ladder, last(watched).stop_ms) == (Step.OBSERVE, None)


def test_a_flag_that_is_prolonged_after_a_restart_says_what_it_said() -> None:
    """Threshold, model and the time of the flag are part of the state."""
    watched = flagged()
    before = last(watched)
    watched = watched.restarted().feed(acts.prolong(RUN, AT_MS + DAY, "alice", "", AT_MS + MINUTE))

    changed = {"stop_ms": AT_MS + DAY, "revision": 2, "time_ms": AT_MS + MINUTE}
    assert last(watched) == replace(before, **changed)


# Acts are events of no run


def every_act() -> list[Event]:
    return [
        acts.keep(ActOn("p", run="past-2"), "a", "", T0 + MINUTE),
        acts.wrong(RUN, "a", "", AT_MS + DAY),
        acts.wrong(RUN, "a", "", AT_MS + DAY, value=False),
        acts.prolong(RUN, AT_MS + DAY, "a", "", AT_MS + 1),
        acts.prolong(RUN, AT_MS + 2 * DAY, "b", "", AT_MS + 2),
        acts.policy("p", Ladder(between_ms=5), "a", "", AT_MS + 3),
        acts.policy("p", Ladder(Step.WARN), "b", "", AT_MS + 3),
        replace(acts.keep(ActOn("p", run="r9"), "a", "", AT_MS), run="rk", node_ms=5, execution_type="Trainer"),
    ]


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_acts_does_not_matter_to_state(seed: int) -> None:
    """Shuffled and doubled among the events, they leave graphlets, ledger and the ladder of the next flag the same."""

    def fed(events: list[Event]) -> tuple[object, ...]:
        policy = Policy(mode=ENFORCE, budget=0.05, salt="x", ladders=RULES)
        watched = Watched(Detector(Settings(policy=policy, invariants=True), learner=Steered(), keep_rows=True))
        watched.feed(*events)
        watched.feed(started(AT + 5000, "tz", "Trainer", run="rz"), started(AT + 5000, "ty", "Trainer", run="rk"))
        said = {each.trainer: each for each in watched.outputs if isinstance(each, Verdict)}
        answers = [(said[each].ladder, said[each].stop_ms, said[each].decision) for each in ("tz", "ty")]
        return list(watched.detector.graphlets()), watched.ledger(), answers

    events = list(past(6))
    draw = random.Random(seed)
    mixed = events + every_act()
    for act in [*every_act(), *every_act()]:
        mixed.insert(draw.randrange(len(mixed)), act)
    own = every_act()
    draw.shuffle(own)
    assert fed(mixed) == fed(events + every_act()) == fed(own + events)


def test_acts_leave_everything_else_as_it_is() -> None:
    """Graphlets, outcomes, ledger and what is predicted are those without acts on other runs."""
    others = [acts.prolong(ActOn("p", run=f"past-{n}"), T0 + DAY, "a", "", T0 + n * HOUR) for n in range(6)]
    with_acts, without = flagged(ladders=()), flagged(ladders=())
    with_acts = Watched(Detector(with_acts.detector.settings, learner=Steered(), keep_rows=True))
    with_acts.feed(*others, past(6), *others, started(AT, "tk", "Trainer", run="rk"))

    assert list(with_acts.detector.graphlets()) == list(without.detector.graphlets())
    assert with_acts.ledger() == without.ledger()
    assert with_acts.detector.learner.asked == without.detector.learner.asked  # type: ignore[union-attr]
    assert with_acts.detector.pipelines["p"].clock.now_ms == without.detector.pipelines["p"].clock.now_ms


def test_an_act_before_any_event_moves_no_clock() -> None:
    """A backfill that begins a year ago is not late because of it, also after ticks."""
    watched = Watched(Detector(Settings(), learner=Steered()))
    watched.feed(acts.policy("p", Ladder(Step.WARN), "admin", "", T0 + 365 * DAY)).tick(T0 + 365 * DAY)
    watched.feed(past(6))

    assert watched.detector.dropped == 0
    assert len(list(watched.detector.graphlets())) == 6


# What was stopped is pruned once


@pytest.mark.parametrize("state", ["FAILED", "CANCELED"])
@pytest.mark.parametrize("late", [False, True])
def test_a_stop_stays_a_stop_whatever_the_orchestrator_says_after(state: str, late: bool) -> None:
    """A run that a hook canceled is no failure, in whichever order both are reported."""
    canceled = happened(
        AT + 10, "tk", "Trainer", "CANCELED", run="rk", properties={"pruned_by": "v#1", "by": "hook"}
    )  # fmt: skip
    reported = happened(AT + 11, "tk", "Trainer", state, run="rk")
    watched = flagged(ladders=()).feed(*([reported, canceled] if late else [canceled, reported]))

    assert watched.outcome("tk")[0] == "pruned"
    assert watched.feed(run_pruned(AT + 12, "rk")).outcome("tk")[0] == "pruned"


@pytest.mark.parametrize(("act", "word"), [(acts.keep, "keep"), (acts.wrong, "wrong"), (None, "")])
def test_a_label_has_the_word_by_which_its_run_went_on(act: type[acts.keep] | None, word: str) -> None:
    """So that quality can tell what people thought of a flag from what became of it."""
    watched = flagged()
    if act is not None:
        watched.feed(act(RUN, "alice", "", AT_MS + MINUTE))
    watched.feed(ended(AT + 30, "tk", "Trainer", run="rk", writes=[artifact("mk")]))
    watched.feed(ran(AT + 40, "ps", "Pusher", run="rk", reads=["mk"], node_ms=0))
    examples = [each for each in watched.outputs if isinstance(each, Example) and each.run == "rk"]

    assert {each.word for each in examples} == {word}
    assert examples[0].pushed
    assert wire.example_from_dict(wire.example_to_dict(examples[0])) == examples[0]
    earlier = wire.example_to_dict(examples[0])
    del earlier["word"]
    assert wire.example_from_dict(earlier) == replace(examples[0], word="")
