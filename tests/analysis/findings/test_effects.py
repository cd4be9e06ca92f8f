"""The effect of an act is what a simulation in time gives, which knows nothing of graphlets."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from statistics import median_low

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.analysis.findings import Act, ActKind, Finding, Kind
from tests.analysis.findings.brute_force import left_out, outcome_of
from tests.analysis.findings.pipelines import Found, Training, daily, events_of, findings_in, spans
from tests.support.builders import DAY, HOUR

SPANS = "abcd"


@st.composite
def pipelines(draw: st.DrawFn) -> list[Training]:
    """Pipelines that do all that findings are about, some of it often."""
    pushes, failures, changes = (draw(st.sampled_from((0, 0, 1, 2, 3, 8))) for _ in range(3))
    refusals = draw(st.sampled_from((0, 0, 2, 5, 9, 10)))
    validators = draw(st.sampled_from(((None,), (True,), (True, True, None))))
    if validators == (None,):
        refusals, failures, pushes = 0, draw(st.sampled_from((0, 2))), draw(st.sampled_from((0, 2)))
    found, hour = [], 0
    for place in range(draw(st.integers(5, 45))):
        window = draw(st.integers(0, 2)) if draw(st.integers(0, 9)) < changes else 0
        failed = draw(st.integers(0, 9)) < failures
        found.append(
            Training(
                hour=hour,
                pushed=not failed and draw(st.integers(0, 9)) < pushes,
                failed=failed,
                blessed=draw(st.sampled_from(validators)) if draw(st.integers(0, 9)) >= refusals else False,
                code=draw(st.sampled_from(("c1", "c1", "c1", "c2"))),
                data=tuple(SPANS[window : window + 2]) if place % 7 else (),
                model=draw(st.sampled_from(("m", "m", "m", "m", "n"))),
                node_ms=draw(st.integers(0, 5)) * HOUR,
            )
        )
        hour += draw(st.sampled_from((1, 12)))
    return found


def assert_effect(finding: Finding, trainings: list[Training]) -> None:
    """The effect is that of the simulation."""
    skipped = () if finding.act.kind is ActKind.LOOK else left_out(finding.kind, finding.act, trainings)
    expected, effect = outcome_of(skipped, trainings), finding.effect

    assert (effect.skipped, effect.node_ms) == (len(expected.skipped), expected.saved)
    assert effect.pushes == sum(each.pushed for each in trainings)
    assert (effect.lost, effect.delayed) == (expected.lost, len(expected.delays_ms))
    assert effect.delay_median_ms == (median_low(expected.delays_ms) if expected.delays_ms else None)
    assert effect.delay_worst_ms == max(expected.delays_ms, default=None)
    assert effect.lost <= effect.pushes * 0.05


@settings(max_examples=150, deadline=None)
@given(pipelines())
def test_effects_are_those_of_a_simulation_in_time(trainings: list[Training]) -> None:
    """Of every act that is recommended, in whatever pipeline; spans are saved only where nobody else reads them."""
    found = Found().read([*spans(SPANS), *events_of(trainings)]).by_kind()

    for finding in found.values():
        assert_effect(finding, trainings)


@settings(max_examples=100, deadline=None)
@given(pipelines())
def test_the_act_is_the_best_of_those_that_lose_no_more_than_the_bound(trainings: list[Training]) -> None:
    """The ratio itself first, then whichever smaller k saves most; to look at it only where each loses too much."""
    finding = Found().read([*spans(SPANS), *events_of(trainings)]).by_kind().get(Kind.TRAINS_TOO_OFTEN)
    if finding is None:
        return
    pushes = sum(each.pushed for each in trainings)
    ratio = min(10, len(trainings) // pushes)
    outcomes = {
        k: outcome_of([place for place in range(len(trainings)) if place % k], trainings) for k in range(2, ratio + 1)
    }
    harmless = {k: outcome.saved for k, outcome in outcomes.items() if outcome.lost <= pushes // 20}

    if ratio in harmless:
        assert finding.act.parameter == ratio
    elif harmless:
        assert harmless[finding.act.parameter or 0] == max(harmless.values())
    else:
        assert finding.act.kind is ActKind.LOOK


@pytest.mark.slow
def test_the_pipelines_above_have_findings_of_every_kind() -> None:
    """So that the tests above say something: every rule fires, and every act is recommended; silence has no act."""
    seen: Counter[Kind | ActKind] = Counter()

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(pipelines())
    def count(trainings: list[Training]) -> None:
        for finding in Found().read([*spans(SPANS), *events_of(trainings)]).by_kind().values():
            seen.update((finding.kind, finding.act.kind))

    count()

    assert set(seen) == {*Kind, *ActKind} - {Kind.SILENT}


def test_a_span_that_another_training_reads_is_not_saved() -> None:
    """Its share is part of the cost of a finding, but skipping the training does not save it."""
    trainings = [Training(24 * place, data=("a",)) for place in range(3)]
    finding = Found().read([*spans("a"), *events_of(trainings)]).by_kind()[Kind.UNCHANGED]

    assert finding.node_ms - finding.effect.node_ms == 2 * 300_000


@pytest.mark.parametrize(("change", "k"), [({}, 4), ({"failed": True}, 3), ({"model": "n"}, 3)])
def test_a_push_waits_for_a_model_of_its_own_type_that_trains(change: dict[str, object], k: int) -> None:
    """A failed training, or another model, is no help, and the training after it has a push of its own."""
    trainings = [replace(each, pushed=place in (0, 1, 8)) for place, each in enumerate(daily(12))]
    trainings[4] = replace(trainings[4], **change)  # type: ignore[arg-type]
    finding = findings_in(trainings)[Kind.TRAINS_TOO_OFTEN]

    assert finding.act == Act(ActKind.TRAIN_EVERY, k)
    assert finding.effect.delay_worst_ms == (k - 1) * DAY
