"""Every extra, installed into an environment of its own: `make extras`. It takes minutes and needs a package index."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.packaging.distribution import COMMANDS, ROOT, build, install, ran


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel."""
    (found,) = build(ROOT, tmp_path_factory.mktemp("built"), "wheel")
    return found


@pytest.mark.parametrize("extra", COMMANDS)
def test_a_command_with_its_extra_needs_nothing_more(extra: str, wheel: Path, tmp_path: Path) -> None:
    """It gets as far as its arguments, or a server that is not there, and says so."""
    began = time.monotonic()
    programs = install(wheel, tmp_path / "venv", extra)
    print(f"\n{extra}: installed in {time.monotonic() - began:.0f} s")  # noqa: T201 - shown with -s
    found = ran([str(programs / "stream-app"), *COMMANDS[extra].split()], tmp_path)

    assert found.returncode in (1, 2), found.stderr
    assert found.stderr.startswith("stream-app: "), found.stderr
    assert "pip install" not in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("extra", "command"),
    [
        ("mlmd", "follow mlmd none.sqlite --cursor cursor --once"),
        ("serve", "serve --bootstrap-servers 127.0.0.1:9"),
    ],
)
def test_a_command_that_needs_a_second_extra_names_that(extra: str, command: str, wheel: Path, tmp_path: Path) -> None:
    """Here that of Kafka."""
    programs = install(wheel, tmp_path / "venv", extra)

    found = ran([str(programs / "stream-app"), *command.split()], tmp_path)

    assert found.returncode == 2, found.stderr
    assert "pip install 'stream-app[worker]'" in found.stderr
    assert "Traceback" not in found.stderr


def test_a_training_script_imports_the_client(wheel: Path, tmp_path: Path) -> None:
    """With the extra of OpenLineage."""
    programs = install(wheel, tmp_path / "venv", "openlineage")

    found = ran([str(programs / "python"), "-c", "from stream_app.client.openlineage import PipelineRun"], tmp_path)

    assert (found.returncode, found.stderr) == (0, "")
