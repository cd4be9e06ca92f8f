"""A thousand damages to the files of a local copy (`make chaos`)."""

from __future__ import annotations

from pathlib import Path

from tests.kafka.state.test_damaged_disks import History, damaged, written

__all__ = ["test_a_thousand_damages", "written"]


def test_a_thousand_damages(written: tuple[Path, History], tmp_path: Path) -> None:
    """Flips, cuts, missing and swapped files: none is silent."""
    found = damaged(written, tmp_path, range(1000))
    # The figure for docs/reliability.md.
    print(f"{found['told']} told, {found['held']} hold an earlier commit, 0 silent")  # noqa: T201
