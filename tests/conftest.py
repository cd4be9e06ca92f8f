"""What all tests share: profiles of Hypothesis, an MLflow server, detectors that are checked when a test ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from stream_app.core.learning.learner import Learner
    from tests.support.watched import Watched

HERE = Path(__file__).parent

# No test tells anybody that it ran: MLflow asks for this before it is imported.
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")

# The normal run tries the same cases each time; `pytest --hypothesis-profile deep` looks for new ones.
settings.register_profile("steady", deadline=None, derandomize=True, database=None, max_examples=100)
settings.register_profile("deep", deadline=None, database=None, max_examples=2000, print_blob=True)
settings.load_profile("steady")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a broker or an MLflow server, and group what one process of pytest-xdist should run.

    All tests of a group run in the same process: those of a file, and those that share a server. Tests with a broker
    are first, since they take longest and mostly wait.
    """
    items.sort(key=lambda item: HERE / "broker" not in item.path.parents)
    for item in items:
        group = str(item.path.relative_to(HERE))
        if HERE / "broker" in item.path.parents:
            item.add_marker(pytest.mark.broker)
            group = "broker"
        elif "mlflow_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
            group = "mlflow"
        item.add_marker(pytest.mark.xdist_group(group))


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
