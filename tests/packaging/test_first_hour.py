"""The page of the first hour: its extras, sources and settings exist, and it leaves no source out."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.first_hour import SOURCES
from stream_app.options import load
from tests.packaging.distribution import ROOT

PAGE = (ROOT / "docs" / "first-hour.md").read_text()
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]


def test_it_names_extras_that_exist() -> None:
    """Those of its table and of its commands, each of which the measurement installs."""
    rows = re.findall(r"^\| [^|]+ \| (?:`(\w+)`)? ?\| ", PAGE.split("## How long")[0], re.MULTILINE)
    named = {*filter(None, rows), *re.findall(r"'stream-app\[(\w+)\]'", PAGE)}

    assert named == {source.extra for source in SOURCES.values() if source.extra}
    assert named <= EXTRAS.keys()


def test_every_source_was_measured() -> None:
    """One row each, and none of them failed."""
    measured = PAGE.split("<!-- first-hour -->")[1].split("<!-- /first-hour -->")[0]

    assert all(f"| {source.title} | " in measured for source in SOURCES.values())
    assert "failed" not in re.sub("training failed", "", measured)


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL))
def test_its_settings_are_read(block: str, tmp_path: Path) -> None:
    """As they stand there."""
    path = tmp_path / "stream-app.toml"
    path.write_text(block)

    load(path)
