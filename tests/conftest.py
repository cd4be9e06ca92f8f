"""What all tests share: profiles of Hypothesis, an MLflow server, detectors that are checked when a test ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

    from stream_app.core.learning.learner import Learner
    from tests.support.watched import Watched

BROKER, MLFLOW = "broker", "mlflow"
#: Files with tests that use `mlflow_url`.
MLFLOW_FILES = {
    "tests/alerts/sinks/hooks/test_mlflow.py",
    "tests/follow/test_docs.py",
    "tests/follow/test_follow.py",
    "tests/sources/test_mlflow.py",
    "tests/sources/test_mlflow_orders.py",
    "tests/sources/test_mlflow_servers.py",
    "tests/sources/test_mlflow_situations.py",
    "tests/sources/test_mlflow_stores.py",
    "tests/web/test_webhooks.py",
}

# No test tells anybody that it ran: MLflow asks for this before it is imported.
os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", DO_NOT_TRACK="true")

# The normal run tries the same cases each time; `pytest --hypothesis-profile deep` looks for new ones.
# How long it takes to make cases says how busy the machine is.
UNTIMED = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "database": None}
settings.register_profile("steady", derandomize=True, max_examples=100, **UNTIMED)
settings.register_profile("deep", max_examples=2000, print_blob=True, **UNTIMED)
settings.load_profile("steady")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need a broker or an MLflow server. The former come first: they take longest and mostly wait."""
    items.sort(key=lambda item: group(item.nodeid) != BROKER)
    for item in items:
        if group(item.nodeid) == BROKER:
            item.add_marker(pytest.mark.broker)
        if "mlflow_url" in getattr(item, "fixturenames", ()):
            assert group(item.nodeid) == MLFLOW, f"{item.nodeid}: add its file to MLFLOW_FILES"
            item.add_marker(pytest.mark.slow)


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes that are no text by their argument: archives hold their time, and all processes need the same ids."""
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode().isprintable()) else None


class GroupScheduling(LoadScopeScheduling):
    """Runs the tests of a group in one process."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    """Of `pytest -n`; the marks of pytest-xdist 3.8 for groups have no effect under this pytest."""
    return GroupScheduling(config, log)


def group(nodeid: str) -> str:
    """What a test has to share with others: a server, or else the fixtures of its file."""
    file = nodeid.partition("::")[0]
    if file.startswith("tests/broker/"):
        return BROKER
    return MLFLOW if file in MLFLOW_FILES else file


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
