"""Fixtures of the tests of sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.sources.mlflow_project import Server


@pytest.fixture
def server(mlflow_url: str, request: pytest.FixtureRequest) -> Server:
    """A real tracking server, with an experiment and a registered model for this test alone."""
    from mlflow import MlflowClient

    from tests.sources.mlflow_project import Server, now_ms
    from tests.support.builders import MINUTE

    client = MlflowClient(mlflow_url, mlflow_url)
    name = str(request.node.name)
    client.create_registered_model(name)
    return Server(client, str(client.create_experiment(name)), name, now_ms() - 12 * 60 * MINUTE)
