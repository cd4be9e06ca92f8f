"""The examples of the sidecar: manifests that name what there is, and the script run for real."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from stream_app.cli.main import app
from tests.support.nobody import nobody

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "deploy" / "sidecar"
LOG_FILE = "OPENLINEAGE__TRANSPORT__LOG_FILE_PATH"


def pod(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text())["spec"]["template"]["spec"]


def own(name: str) -> list[Any]:
    """The containers of an example that run this program."""
    return [each for each in pod(name)["initContainers"] if each["image"].startswith("stream-app:")]


@pytest.mark.parametrize("name", ["job.yaml", "mlflow.yaml"])
def test_its_commands_and_flags_are_there(name: str) -> None:
    commands: Any = get_command(app).commands  # type: ignore[attr-defined]
    for container in own(name):
        known = {flag for each in commands[container["args"][0]].params for flag in each.opts}
        flags = {each.partition("=")[0] for each in container["args"] if each.startswith("--")}
        assert flags <= known


@pytest.mark.parametrize("name", ["job.yaml", "mlflow.yaml"])
def test_it_is_a_native_sidecar_without_rights(name: str) -> None:
    """It is restarted on its own, and keeps nothing from ending; what it writes is on a volume."""
    mounted = {volume["name"] for volume in pod(name).get("volumes", [])} | {"data"}
    for container in own(name):
        assert container["restartPolicy"] == "Always"
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= mounted
        assert container["resources"]["limits"].keys() == {"memory"}  # a limit of CPU would slow it down


def test_the_spool_fits_into_its_volume() -> None:
    """With the log of its file."""
    [spool] = [volume for volume in pod("job.yaml")["volumes"] if volume["name"] == "spool"]

    assert spool["emptyDir"]["sizeLimit"] == "320Mi"


@pytest.mark.parametrize(("code", "out"), [(0, "trained\n"), (7, "trained\n")])
def test_the_script_ends_as_the_training_does(tmp_path: Path, code: int, out: str) -> None:
    """Here nobody takes the events; the environment is what the script sets."""
    (tmp_path / "stream-app").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m stream_app "$@"\n')
    (tmp_path / "stream-app").chmod(0o755)
    train = (
        "import os, sys; open(os.environ[sys.argv[1]], 'a').write('{}'); print('trained'); sys.exit(int(sys.argv[2]))"
    )
    with nobody() as address:
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "PORT": "0",
            "STREAM_APP_URL": f"http://{address}",
        }  # fmt: skip
        ran = subprocess.run(
            ["sh", str(EXAMPLES / "train.sh"), sys.executable, "-c", train, LOG_FILE, str(code)],
            cwd=tmp_path, env=environment, capture_output=True, text=True,
        )  # fmt: skip

    assert (ran.returncode, ran.stdout) == (code, out)
    assert "Traceback" not in ran.stderr
