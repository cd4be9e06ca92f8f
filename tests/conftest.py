"""What all tests share: profiles of Hypothesis, an MLflow server, detectors that are checked when a test ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from stream_app.core.learning.learner import Learner
    from tests.support.watched import Watched

# No test tells anybody that it ran: MLflow asks for this before it is imported.
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")

# The normal run tries the same cases each time; `pytest --hypothesis-profile deep` looks for new ones.
settings.register_profile("steady", deadline=None, derandomize=True, database=None, max_examples=100)
settings.register_profile("deep", deadline=None, database=None, max_examples=2000, print_blob=True)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def mlflow_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real tracking server and registry; it takes long to start, so a test has experiments of its own in it."""
    from tests.sources.mlflow_server import mlflow_server

    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture
def watch() -> Iterator[Callable[..., Watched]]:
    """Makes detectors from settings, without a learner unless given one; in the end invariants must hold."""
    # Here, so that tests of other parts do not load the detector.
    from stream_app.core.detector import Detector, Settings
    from tests.support.watched import Watched

    made: list[Watched] = []

    def make(learner: Learner | None = None, **changes: Any) -> Watched:
        made.append(Watched(Detector(Settings(**changes), learner=learner, keep_rows=True)))
        return made[-1]

    yield make
    for watched in made:
        watched.detector.validate()
