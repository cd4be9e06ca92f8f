"""A small real training pipeline, told with openlineage-python: digits, linear models, a push when one is better."""

from __future__ import annotations

from dataclasses import dataclass

from openlineage.client import OpenLineageClient
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from stream_app.client.openlineage import Data, PipelineRun

#: Examples seen and strength of each training: the second is held back, the third sees more, the fourth is again held
#: back.
TRAININGS = ((60, 1.0), (60, 1e-3), (900, 1.0), (900, 1e-3))


@dataclass(frozen=True)
class Trained:
    """One run, as the script knows it."""

    run: str
    trainer: str
    accuracy: float
    pushed: bool


def train(client: OpenLineageClient) -> list[Trained]:
    """Runs the pipeline four times; a fifth run fails in training."""
    data, labels = load_digits(return_X_y=True)
    done: list[Trained] = []
    for number, (seen, strength) in enumerate(TRAININGS):
        examples, model = Data("digits/examples", f"{number}"), Data("digits/model", f"{number}", type="Model")
        with PipelineRun(client, "lab", "digits", owner="vision") as run:
            with run.execution("ingest") as ingest:
                ingest.writes(examples)
            with run.execution("train", reads=[examples]) as training:
                fitted = LogisticRegression(C=strength, max_iter=200).fit(data[:seen] / 16.0, labels[:seen])
                training.properties["iterations"] = int(fitted.n_iter_[0])
                training.writes(model)
            with run.execution("evaluate", reads=[model]) as evaluation:
                accuracy = float(fitted.score(data[1200:] / 16.0, labels[1200:]))
                better = accuracy > max((each.accuracy for each in done if each.pushed), default=0.0)
                evaluation.properties["accuracy"] = accuracy
                evaluation.writes(Data("digits/blessing", f"{number}", blessed=better))
            with run.execution("push", reads=[model]) as push:
                push.writes(Data("digits/serving", f"{number}", type="PushedModel", pushed=better))
        done.append(Trained(run.run_id, training.run_id, accuracy, better))
    try:
        with PipelineRun(client, "lab", "digits") as run, run.execution("train") as training:
            LogisticRegression().fit(data[:1], labels[:1])
    except ValueError:
        done.append(Trained(run.run_id, training.run_id, 0.0, False))
    return done
