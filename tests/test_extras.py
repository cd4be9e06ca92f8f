"""A module whose optional packages are missing says which extra installs them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from stream_app.extras import MissingExtraError, how_to_get, missing_extra, require

MODULES = [
    ("stream_app.client.openlineage", "openlineage", "openlineage"),
    ("stream_app.sources.mlmd", "sqlalchemy", "mlmd"),
    ("stream_app.web.serving", "aiohttp", "serve"),
    ("stream_app.metrics.registry", "prometheus_client", "serve"),
    ("stream_app.kafka.clients.connection", "kafka", "worker"),
    ("stream_app.kafka.process.worker", "aiokafka", "worker"),
]


@pytest.mark.parametrize(("module", "package", "extra"), MODULES)
def test_an_import_without_its_extra_says_how_to_get_it(module: str, package: str, extra: str) -> None:
    """It is an ImportError, as whoever tries an import expects."""
    script = (
        f"import sys\nsys.modules[{package!r}] = None\n"
        f"try:\n    import {module}\nexcept ImportError as error:\n    print(error)"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert ran.stdout == f"this needs more packages ({package}): pip install 'stream-app[{extra}]'\n"


def test_the_public_names_of_the_client_say_so_too() -> None:
    """They are loaded when they are first used."""
    script = (
        "import sys\nsys.modules['openlineage'] = None\nimport stream_app.client\n"
        "try:\n    stream_app.client.PipelineRun\nexcept ImportError as e:\n    print(e)"
    )

    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert how_to_get("openlineage") in ran.stdout


def test_what_is_installed_is_not_missing() -> None:
    """Nor is a fault of this project blamed on an extra."""
    require("worker", "orjson", "typing")
    fault = ModuleNotFoundError("No module named 'stream_app.gone'", name="stream_app.gone")

    assert missing_extra(fault, "worker") is fault
    with pytest.raises(MissingExtraError, match="no_such_package"):
        require("worker", "orjson", "no_such_package")
