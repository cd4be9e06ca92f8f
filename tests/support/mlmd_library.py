"""The real library `ml-metadata`, in an environment of its own: its protobuf conflicts with that of other packages.

It is installed once, into `.venv/ml-metadata` at the top of the repository.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PINS = Path(__file__).with_name("mlmd-library.txt")
SCRIPT = Path(__file__).with_name("mlmd_library_store.py")
#: Its name changes with the pins.
HOME = ROOT / ".venv" / "ml-metadata" / "1.17.1"


def library() -> Path:
    """The Python that has the library; installs it at first."""
    python = HOME / "bin" / "python"
    if not python.exists():
        HOME.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(dir=HOME.parent))
        try:
            run(sys.executable, "-m", "venv", str(work / "made"))
            pip = (str(work / "made" / "bin" / "python"), "-m", "pip", "install", "-q", "--disable-pip-version-check")
            run(*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(PINS))
            # At once, so that an interrupted installation is not taken for a whole one.
            if not HOME.exists():
                (work / "made").rename(HOME)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return python


def make_store(path: Path, schema: int = 10) -> Path:
    """A store that the library wrote, with what `mlmd_library_store.py` tells it, in a schema to which it migrated."""
    run(str(library()), str(SCRIPT), str(path), str(schema))
    return path


def run(*command: str) -> None:
    """Runs a command; raises RuntimeError with its output if it fails."""
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if ran.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
