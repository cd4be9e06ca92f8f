"""How good the verdicts are on simulated fleets, beside the baselines, and what each budget avoids and misses.

The forest is the paper's method with our features: scikit-learn's random forest (100 trees, leaves of 3, balanced
classes), fitted anew at every simulated midnight on all examples said by then, with the pipeline's past push rate
before its first fit. It sees the same features, labels and delays as the model.
"""

from __future__ import annotations

import argparse
import math
import statistics
from array import array
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import orjson
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction import DictVectorizer
from sklearn.metrics import roc_auc_score, roc_curve

from benchmarks.results import publish, table
from stream_app.core.detector import Detector, Settings
from stream_app.core.learning import Learner
from stream_app.core.ledger import HINDSIGHT, Ledger
from stream_app.core.outputs import STAGES, Example
from stream_app.core.policy import Policy
from stream_app.fleet import Fleet, FleetOptions, summarise
from stream_app.sources.native import decode

DAY_MS = 86_400_000
BUDGETS = (0.01, 0.02, 0.05, 0.1)


@dataclass
class StageLog:
    """One stage's labelled predictions, in the order in which their labels were said."""

    features: list[bytes] = field(default_factory=list)
    pushed: array[int] = field(default_factory=lambda: array("b"))
    asked_ms: array[int] = field(default_factory=lambda: array("q"))
    said_ms: array[int] = field(default_factory=lambda: array("q"))
    ours: array[float] = field(default_factory=lambda: array("d"))
    rate: array[float] = field(default_factory=lambda: array("d"))


@dataclass
class Replayed:
    """What one fleet gave."""

    seed: int
    events: int
    stages: dict[str, dict[str, tuple[float, float]]]
    hidden: dict[str, float]
    share_pushed: float
    ledger: Ledger
    pushes: int
    flagged: dict[int, int]


def replay(seed: int, pipelines: int, days: float, forest: bool) -> Replayed:
    """One fleet through detector and learner; the forest beside it if asked."""
    policy = Policy()
    learner = Learner(budgets=policy.budgets)
    detector = Detector(Settings(policy=policy), learner)
    fleet = Fleet(FleetOptions(pipelines=pipelines, days=days, seed=seed))
    logs: dict[str, StageLog] = {stage: StageLog() for stage in STAGES}
    pushes, events = 0, 0
    flagged: dict[int, int] = defaultdict(int)
    truth = []
    for document in fleet.events():
        events += 1
        for output in detector.step(decode(orjson.dumps(document))):
            if isinstance(output, Example):
                learner.learn(output)
                if output.pushed is not None and output.label_revision == 1:
                    note(logs, output)
                if output.pushed and output.trainer is not None:
                    pushes += 1
                    said = {budget for record in (*output.inherited, *output.stages) for budget in record.flagged}
                    for budget in said:
                        flagged[policy.budgets.index(budget)] += 1
        if events % 10_000 == 0:
            truth.extend(fleet.truth())
    truth.extend(fleet.truth())
    total = Ledger()
    for name in detector.pipelines:
        total.merge(detector.ledger(name))
    summary = summarise(truth)
    stages = {stage: judge(log, forest, fleet_start(logs)) for stage, log in logs.items() if sum(log.pushed) >= 20}
    return Replayed(
        seed, events, stages, dict(summary.best_balanced_accuracy), summary.pushed_share, total, pushes, dict(flagged)
    )


def fleet_start(logs: dict[str, StageLog]) -> int:
    """The first time asked, at midnight."""
    return min(min(log.asked_ms) for log in logs.values() if log.asked_ms) // DAY_MS * DAY_MS


def note(logs: dict[str, StageLog], example: Example) -> None:
    """Adds an example's stages to the logs."""
    for record in example.stages:
        log = logs[record.stage]
        log.features.append(orjson.dumps(record.features))
        log.pushed.append(int(bool(example.pushed)))
        log.asked_ms.append(record.time_ms)
        log.said_ms.append(example.said_ms)
        log.ours.append(record.p)
        log.rate.append(record.baseline)


def judge(log: StageLog, forest: bool, start_ms: int) -> dict[str, tuple[float, float]]:
    """(best-threshold balanced accuracy, AUC) of each contender, the first fifth of the labels left out."""
    pushed = np.frombuffer(log.pushed, dtype=np.int8)
    first = len(pushed) // 5
    contenders = {"model": np.frombuffer(log.ours), "past push rate": np.frombuffer(log.rate)}
    if forest:
        contenders["daily forest"] = daily_forest(log, start_ms)
    return {name: quality(pushed[first:], said[first:]) for name, said in contenders.items()}


def quality(pushed: np.ndarray, said: np.ndarray) -> tuple[float, float]:
    false_alarms, hits, _ = roc_curve(pushed, said)
    return float(np.max((hits + 1.0 - false_alarms) / 2.0)), float(roc_auc_score(pushed, said))


def daily_forest(log: StageLog, start_ms: int) -> np.ndarray:
    """What the forest fitted at each midnight on all that had been said says of the next day's questions."""
    matrix = DictVectorizer(sparse=False).fit_transform([orjson.loads(features) for features in log.features])
    pushed = np.frombuffer(log.pushed, dtype=np.int8)
    asked, said_at = np.frombuffer(log.asked_ms, dtype=np.int64), np.frombuffer(log.said_ms, dtype=np.int64)
    answers = np.array(np.frombuffer(log.rate))
    for midnight in range(start_ms + DAY_MS, int(asked.max()) + 1, DAY_MS):
        known, questions = said_at < midnight, (asked >= midnight) & (asked < midnight + DAY_MS)
        if questions.any() and len(set(pushed[known].tolist())) == 2:
            model = RandomForestClassifier(100, min_samples_leaf=3, class_weight="balanced", random_state=0)
            answers[questions] = model.fit(matrix[known], pushed[known]).predict_proba(matrix[questions])[:, 1]
    return answers


def interval(values: list[float], digits: int = 3, percent: bool = False) -> str:
    """Mean and 95 % interval over seeds by Student's t."""
    mean = statistics.fmean(values)
    quantile = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26}.get(len(values))
    scale = 100.0 if percent else 1.0
    if quantile is None:
        return f"{mean * scale:.{digits}f}"
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return f"{mean * scale:.{digits}f} ± {half * scale:.{digits}f}"


def quality_lines(runs: list[Replayed]) -> list[str]:
    rows = []
    for stage in STAGES:
        for contender in ("model", "daily forest", "past push rate"):
            found = [run.stages[stage][contender] for run in runs if contender in run.stages.get(stage, {})]
            if found:
                accuracy, area = interval([ba for ba, _ in found]), interval([auc for _, auc in found])
                rows.append([stage, contender, accuracy, area, str(len(found))])
        hidden = [run.hidden[stage] for run in runs if stage in run.hidden]
        rows.append([stage, "hidden probabilities", interval(hidden), "", str(len(hidden))])
    return table(["stage", "", "balanced accuracy (best threshold)", "AUC", "seeds"], rows)


def waste_lines(runs: list[Replayed]) -> list[str]:
    policy, rows = Policy(), []
    oracle = [run.ledger.saved.get(HINDSIGHT, 0) / run.ledger.wasted for run in runs]
    for budget in BUDGETS:
        index = policy.budgets.index(budget)
        avoided = [run.ledger.saved.get(index, 0) / run.ledger.wasted for run in runs]
        missed = [run.flagged.get(index, 0) / run.pushes for run in runs]
        share = [mine / best for mine, best in zip(avoided, oracle, strict=True)]
        rows.append([f"{budget:.0%}", interval(avoided, 1, True), interval(share, 1, True), interval(missed, 2, True)])
    rows.append(["hindsight", interval(oracle, 1, True), "100", "0"])
    head = ["budget", "waste avoidable, %", "of hindsight, %", "pushes flagged, %"]
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=200)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--forests", type=int, default=1, help="seeds on which the daily forest runs too (slow)")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [
            pool.submit(replay, seed, options.pipelines, options.days, seed < options.forests)
            for seed in range(options.seeds)
        ]
        runs = [job.result() for job in jobs]
    pushed = interval([run.share_pushed for run in runs], 1, True)
    lines = [
        (
            f"{options.seeds} fleets of {options.pipelines} pipelines over {options.days:g} days "
            f"({sum(run.events for run in runs):,} events; {pushed} % of trained graphlets pushed), observe mode: "
            "nothing was pruned. Mean ± 95 % interval over seeds. The first fifth of the labels is left out of the "
            "quality, nothing of the waste."
        ),
        "",
        *quality_lines(runs),
        "",
        (
            "Avoidable: wasted compute that began after the budget's policy had flagged every graphlet it served, "
            "guards on, family-wise budget. The simulator is not the world."
        ),
        "",
        *waste_lines(runs),
    ]
    publish(f"quality-{options.pipelines}-{options.days:g}", "Quality of verdicts on simulated fleets", lines)


if __name__ == "__main__":
    main()
