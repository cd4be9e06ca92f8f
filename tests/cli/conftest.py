"""What the tests of commands share."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stream_app.cli import main
from tests.support.commands import Ran, Run


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    tmp_path.chmod(0o700)

    def call(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["stream-app", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        out, err = capfd.readouterr()
        assert "Traceback" not in err
        return Ran(int(ended.value.code or 0), out, err)

    return call
