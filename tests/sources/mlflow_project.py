"""One experiment of a real tracking server, and a registered model of the same name, that a test has for itself."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput

from stream_app.core.events import Event
from stream_app.sources.mlflow import Cursor, Rules, follow
from tests.support.builders import MINUTE


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Server:
    """A server, and one experiment in it that a test has for itself."""

    client: MlflowClient
    experiment: str
    name: str
    #: The time of minute 0: half a day ago.
    start_ms: int

    @property
    def rules(self) -> Rules:
        return Rules(experiments=(self.name,))

    def run(
        self, minute: float, parent: str | None = None, tags: dict[str, str] | None = None, data: Sequence[str] = ()
    ) -> str:
        """Starts a run; returns its id."""
        tags = {"mlflow.user": "vision", "mlflow.source.git.commit": "c1", **(tags or {})}
        if parent is not None:
            tags["mlflow.parentRunId"] = parent
        run = self.client.create_run(self.experiment, self.start_ms + round(minute * MINUTE), tags)
        if data:
            datasets = [DatasetInput(Dataset(name, "d1", "local", "somewhere"), []) for name in data]
            self.client.log_inputs(run.info.run_id, datasets)
        return str(run.info.run_id)

    def end(self, run: str, minute: float, status: str = "FINISHED", **metrics: float) -> None:
        """Ends a run."""
        for key, value in metrics.items():
            self.client.log_metric(run, key, value)
        self.client.set_terminated(run, status, self.start_ms + round(minute * MINUTE))

    def register(self, run: str, model: str | None = None) -> str:
        """Registers a run's model; returns its version."""
        # By its place: a client that is given `runs:/...` opens a store of its own in the working directory.
        source = f"{self.client.get_run(run).info.artifact_uri}/model"
        return str(self.client.create_model_version(model or self.name, source, run).version)

    def follow(self, cursor: Cursor, rules: Rules | None = None) -> list[Event]:
        """One pass; the cursor is written and read after it."""
        events = list(follow(self.client, cursor, now_ms(), rules or self.rules))
        cursor.move_to(Cursor.from_json(cursor.to_json()))
        return events
