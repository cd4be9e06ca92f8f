"""What a given series of probabilities would have saved: verdicts replayed with them in the model's place."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.ids import run_graphlet_id
from stream_app.core.learning.feature_space import log_odds, probability
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.model import Prediction
from stream_app.core.outputs import Example, Verdict
from stream_app.core.state.ledger import HINDSIGHT, Ledger
from stream_app.sources.native import decode

#: What a question is known by: graphlet, stage, validator.
Question = tuple[str, str, str | None]


class FixedAnswers(Learner):
    """Predicts the given probabilities, one after the other, and learns thresholds alone."""

    def __init__(self, budgets: Sequence[float], answers: Iterable[float | None]) -> None:
        super().__init__(budgets)
        self._answers = iter(answers)

    def predict(self, stage: str, features: Mapping[str, float], baseline: float) -> Prediction:  # noqa: ARG002
        answer = next(self._answers)
        chosen = baseline if answer is None else answer
        return Prediction(probability(log_odds(chosen)), self._stages[stage].model, None)

    def _learn_stages(self, example: Example, pushed: bool, weight: float) -> array[float]:  # noqa: ARG002
        for record in example.stages:
            self._stages[record.stage].note_cost(record)
        return array("d")


def saved(
    documents: Iterable[bytes], questions: Iterable[Question], answers: Mapping[Question, float]
) -> dict[float, tuple[float, float, float]]:
    """Budget -> share of the waste avoidable, of hindsight's, of pushes flagged, had the answers been the model's.

    `questions` in the order in which the first replay asked them; one without an answer gets the past push rate.
    """
    policy = Policy()
    learner = FixedAnswers(policy.budgets, [answers.get(question) for question in questions])
    detector = Detector(Settings(policy=policy), learner)
    waste = Waste(policy)
    handlers = Handlers(example=waste.note)
    for document in documents:
        dispatch(detector.step(decode(document)), learner, handlers)
    return waste.shares(detector)


class Waste:
    """What every budget's policy flagged."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._pushes = 0
        self._flagged: dict[float, int] = defaultdict(int)

    def note(self, example: Example) -> None:
        """Counts the flags of a pushed graphlet."""
        if example.pushed and example.trainer is not None:
            self._pushes += 1
            for budget in flags_of(example):
                self._flagged[budget] += 1

    def shares(self, detector: Detector) -> dict[float, tuple[float, float, float]]:
        """Budget -> share of the waste avoidable, of hindsight's, of pushes flagged."""
        total = Ledger()
        for pipeline in detector.pipelines:
            total.merge(detector.ledger(pipeline))
        most = total.saved.get(HINDSIGHT, 0)
        return {
            budget: (
                total.saved.get(index, 0) / max(1, total.wasted),
                total.saved.get(index, 0) / max(1, most),
                self._flagged[budget] / max(1, self._pushes),
            )
            for index, budget in enumerate(self._policy.budgets)
        }


def flags_of(example: Example) -> set[float]:
    """The budgets whose policy flagged a graphlet, or its run before its trainer was known."""
    return {budget for record in (*example.inherited, *example.stages) for budget in record.flagged}


def question_of(verdict: Verdict) -> Question:
    """What a verdict answered."""
    return verdict.graphlet, verdict.stage, verdict.validator


def chances_of(truth: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], float]:
    """(Graphlet, stage) -> the simulator's hidden chance; of a run at `input`, that of any of its trainers."""
    chances: dict[tuple[str, str], float] = {}
    for row in truth:
        for stage, p in row["p"].items():
            chances[row["graphlet"], stage] = p
            if row["run"] is not None:
                run = run_graphlet_id(row["pipeline"], row["run"]), stage
                chances[run] = 1.0 - (1.0 - chances.get(run, 0.0)) * (1.0 - p)
    return chances
