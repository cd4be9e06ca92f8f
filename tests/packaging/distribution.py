"""Wheels and source distributions, built and installed as a user gets them."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BIN = Path(sys.executable).parent

#: Extra -> a command line that needs it and, with it, fails for its arguments or for want of a server.
COMMANDS = {
    "worker": "topics check --config none.toml",
    "serve": "serve --host 0.0.0.0",
    "mlmd": "follow mlmd none.sqlite --cursor cursor --once --url http://127.0.0.1:9",
    "otlp": "replay none.jsonl --otlp http://127.0.0.1:9",
    "mlflow": "follow mlflow http://127.0.0.1:9 --cursor cursor --once --url http://127.0.0.1:9",
}


def build(source: Path, target: Path, *kinds: str) -> list[Path]:
    """Builds from a directory with the build system of this environment: no network, no isolation."""
    arguments = [word for kind in kinds for word in ("-t", kind)]
    command = [sys.executable, "-m", "hatchling", "build", *arguments, "-d", str(target)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    return sorted(target.iterdir())


def unpack(archive: Path, target: Path) -> Path:
    """The one directory of a source distribution."""
    with tarfile.open(archive) as files:
        files.extractall(target, filter="data")
    (found,) = target.iterdir()
    return found


def install(wheel: Path, folder: Path, extra: str = "") -> Path:
    """An environment with a wheel and what it needs, and nothing else; gives the directory of its programs."""
    uv = str(_BIN / "uv")
    wanted = f"stream-app[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
    subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True, env=plain())
    python = folder / "bin" / "python"
    subprocess.run([uv, "pip", "install", "-q", "--python", str(python), wanted], check=True, env=plain())
    return folder / "bin"


def plain() -> dict[str, str]:
    """The environment without what would let an installed program see this one."""
    hidden = ("PYTHON", "VIRTUAL_ENV", "STREAM_APP_")
    return {name: value for name, value in os.environ.items() if not name.startswith(hidden)}


def ran(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs an installed program in a directory that has nothing of the repository."""
    return subprocess.run(command, cwd=folder, env=plain(), capture_output=True, text=True, timeout=120)
