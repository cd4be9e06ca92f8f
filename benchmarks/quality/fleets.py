"""How good the verdicts are: the model beside forests fitted anew every day, past rates and the simulator's own best.

On simulated fleets (the default one, one whose policies all change half way, one of many tiny pipelines, one that
pushes one run in a hundred) and on the Google cluster trace, where it is found. Each contender meets the same features
and the same labels, as late as they came. A part of RESULTS.md is written as each fleet is done.
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from benchmarks.quality.contenders import StageLog, daily_forest
from benchmarks.quality.counterfactual import Question, Waste, chances_of, question_of, saved
from benchmarks.quality.scores import log_loss, score
from benchmarks.quality.seed import Seed
from benchmarks.quality.tables import google_lines, lines_of
from benchmarks.results import publish
from stream_app.core.decisions.policy import Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.dispatch import Handlers, dispatch
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.model import Prediction
from stream_app.core.outputs import STAGES, Example
from stream_app.core.units import DAY_MS
from stream_app.runtime import garbage
from stream_app.simulator import Fleet, FleetOptions, summarise
from stream_app.sources.native import decode

GOOGLE = Path(__file__).parents[3] / "shared" / "data" / "google-2011-jobs.jsonl.gz"
FLEETS: dict[str, dict[str, Any]] = {
    "default": {"pipelines": 100, "days": 30.0},
    "change": {"pipelines": 40, "days": 20.0, "regime_change_day": 10.0},
    "tiny": {"pipelines": 300, "days": 16.0, "runs_per_day": 0.8},
    "rare": {"pipelines": 80, "days": 20.0, "push_scale": 0.1},
}
QUICK = {"pipelines": 12, "days": 6.0}
#: The first fifth of the labels is left out of a score: there is nothing to learn from yet.
LEFT_OUT = 0.2
#: Days to a step of the learning curve; days that the sliding forest looks back; labels that adapting may take.
STEP_DAYS, SLIDING_DAYS, ADAPTING = 4, 8, 2000
MODEL, FOREST, RAW, SLIDING = "model", "daily forest", "daily forest, raw scores", f"forest of {SLIDING_DAYS} days"
RATE, LAST, HIDDEN = "past push rate", "last outcome", "hidden chances"


class Timed(Learner):
    """A learner that knows what CPU it took."""

    seconds = 0.0

    def predict(self, stage: str, features: Any, baseline: float) -> Prediction:
        began = time.process_time()
        prediction = super().predict(stage, features, baseline)
        self.seconds += time.process_time() - began
        return prediction

    def learn(self, example: Example) -> None:
        began = time.process_time()
        super().learn(example)
        self.seconds += time.process_time() - began


def sizes(name: str, quick: bool) -> dict[str, Any]:
    """The options of a fleet; a quick one is small and changes half way too."""
    options = FLEETS[name]
    if quick:
        change = {"regime_change_day": QUICK["days"] / 2} if "regime_change_day" in options else {}
        options = options | QUICK | change
    return options


@dataclass
class Replayed:
    """A log gone through detector and learner once."""

    found: Seed
    logs: dict[str, StageLog]
    learner: Timed
    #: What was asked, in order.
    questions: list[Question]


def simulated(name: str, seed: int, quick: bool) -> Seed:
    """One fleet through detector and learner, and all that it is compared with."""
    options = FleetOptions(seed=seed, **sizes(name, quick))
    fleet, truth = Fleet(options), []

    def documents() -> Iterator[bytes]:
        for number, document in enumerate(fleet.events(), 1):
            yield orjson.dumps(document)
            if number % 10_000 == 0:
                truth.extend(fleet.truth())
        truth.extend(fleet.truth())

    replayed = replay(documents())
    found = replayed.found
    summary = summarise(truth)
    found.share_pushed, found.hidden = summary.pushed_share, dict(summary.best_balanced_accuracy)
    found.cpu["model"] = replayed.learner.seconds / summary.trained * 1000.0
    chances = chances_of(truth)
    truth.clear()
    change = options.regime_change_day
    change_ms = options.start_ms + int(change * DAY_MS) if change is not None else None
    answers: dict[str, dict[Question, float]] = {FOREST: {}, RATE: {}}
    for stage, log in replayed.logs.items():
        contenders = compare(found, stage, log, chances, change_ms)
        for contender, predictions in answers.items():
            predictions.update(zip(log.questions(stage), contenders.get(contender, log.rate), strict=True))
    found.cpu["forest"] = found.cpu.get("forest", 0.0) / summary.trained * 1000.0
    asked = replayed.questions
    answers[HIDDEN] = {each: chances[each[:2]] for each in asked if each[:2] in chances}
    for contender, predictions in answers.items():
        again = (orjson.dumps(document) for document in Fleet(options).events())
        found.waste[contender] = saved(again, asked, predictions)
    return found


def replay(documents: Iterable[bytes]) -> Replayed:
    """Events through detector and learner: what was predicted, and what it would have saved."""
    garbage.tune()
    policy = Policy()
    learner = Timed(policy.budgets)
    detector = Detector(Settings(policy=policy), learner)
    logs = {stage: StageLog() for stage in STAGES}
    found, spent, waste = Seed(0, 0.0), [], Waste(policy)
    questions: list[Question] = []

    def label(example: Example) -> None:
        spent.append(learner.seconds)
        found.coverage.note(example, learner)
        waste.note(example)
        if example.pushed is not None and example.label_revision == 1:
            for position, record in enumerate(example.stages):
                logs[record.stage].note(example, position)

    handlers = Handlers(lambda verdict: questions.append(question_of(verdict)), label)
    for document in documents:
        found.events += 1
        dispatch(detector.step(decode(document)), learner, handlers)
    tenth = len(spent) // 10
    found.tenths = [(spent[(n + 1) * tenth - 1] - spent[n * tenth]) / tenth * 1e6 for n in range(10)] if tenth else []
    found.waste[MODEL] = waste.shares(detector)
    return Replayed(found, logs, learner, questions)


def compare(
    found: Seed, stage: str, log: StageLog, chances: dict[tuple[str, str], float], change_ms: int | None
) -> dict[str, NDArray[np.float64]]:
    """Every contender's scores at a stage, if it has labels enough; and what each predicted."""
    pushed = np.frombuffer(log.pushed, dtype=np.int8).astype(bool)
    first = int(len(pushed) * LEFT_OUT)
    if min(pushed[first:].sum(), (~pushed[first:]).sum()) < 10:
        return {}
    forest = daily_forest(log)
    found.cpu["forest"] = found.cpu.get("forest", 0.0) + forest.seconds
    contenders = {
        MODEL: np.frombuffer(log.ours),
        FOREST: forest.calibrated,
        RAW: forest.raw,
        RATE: np.frombuffer(log.rate),
        LAST: np.frombuffer(log.last),
    }
    if change_ms is not None:
        contenders[SLIDING] = daily_forest(log, SLIDING_DAYS * DAY_MS).calibrated
    asked = np.frombuffer(log.asked_ms, dtype=np.int64)
    step = (asked - asked.min()) // (STEP_DAYS * DAY_MS)
    for name, predicted in contenders.items():
        found.scores[stage, name] = score(pushed[first:], predicted[first:])
        found.curve[stage, name] = [auc_of(pushed[step == n], predicted[step == n]) for n in range(int(step.max()) + 1)]
    if change_ms is not None:
        hidden = np.array([chances.get((graphlet, stage), np.nan) for graphlet in log.graphlets])
        after = np.flatnonzero((asked >= change_ms) & np.isfinite(hidden))[:ADAPTING]
        if len(after):
            for name, predicted in contenders.items():
                least = log_loss(pushed[after], hidden[after])
                found.excess[stage, name] = log_loss(pushed[after], predicted[after]) - least
    return contenders


def auc_of(pushed: NDArray[np.bool_], predicted: NDArray[np.float64]) -> float:
    """NaN where either kind of label is rare."""
    return score(pushed, predicted).auc if min(pushed.sum(), (~pushed).sum()) >= 5 else float("nan")


def google(path: Path, quick: bool) -> list[str]:
    """The real stream: all jobs, names whose past alone shows both ends, and names never seen."""

    def documents() -> Iterator[bytes]:
        with gzip.open(path) as stream:
            for number, line in enumerate(stream):
                if quick and number >= 60_000:
                    return
                yield line

    replayed = replay(documents())
    found, learner, log = replayed.found, replayed.learner, replayed.logs["preprocess"]
    pushed = np.frombuffer(log.pushed, dtype=np.int8).astype(bool)
    past = [orjson.loads(features) for features in log.features]
    mixed = np.array([0.0 < features.get("push_rate_all", 0.0) < 1.0 for features in past])
    unseen = np.array(["push_rate_all" not in features for features in past])
    del past
    forest = daily_forest(log, rows_most=20_000)
    contenders = {
        MODEL: np.frombuffer(log.ours),
        "daily forest of the last 20,000 labels": forest.calibrated,
        "its raw scores": forest.raw,
        RATE: np.frombuffer(log.rate),
        LAST: np.frombuffer(log.last),
    }
    late = np.arange(len(pushed)) >= int(len(pushed) * LEFT_OUT)
    parts = {"all": late, "both ends in its past": late & mixed, "never seen": late & unseen}
    scores = {
        (part, name): score(pushed[chosen], predicted[chosen])
        for part, chosen in parts.items()
        for name, predicted in contenders.items()
    }
    sizes = {part: (int(chosen.sum()), float(pushed[chosen].mean())) for part, chosen in parts.items()}
    learned = found.events, learner.seconds / len(pushed) * 1000.0, forest.seconds / len(pushed) * 1000.0
    return google_lines(scores, sizes, learned)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fleets", nargs="*", choices=[*FLEETS, "google"], default=[*FLEETS, "google"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--google", type=Path, default=GOOGLE, help="path of google-2011-jobs.jsonl.gz")
    parser.add_argument("--quick", action="store_true", help="small fleets: to see that it runs, not what it says")
    options = parser.parse_args()
    for name in options.fleets:
        title, key = f"Quality: {name}", f"quality-{'quick-' if options.quick else ''}{name}"
        if name != "google":
            work: Callable[..., Any] = simulated
            with ProcessPoolExecutor(options.processes) as pool:
                seeds = range(options.seeds)
                runs = list(pool.map(work, [name] * len(seeds), seeds, [options.quick] * len(seeds)))
            publish(key, title, lines_of(sizes(name, options.quick), runs))
        elif options.google.exists():
            publish(key, title, google(options.google, options.quick))
        else:
            print(f"{options.google} is not there: the real stream is left out (say where it is with --google)")


if __name__ == "__main__":
    main()
