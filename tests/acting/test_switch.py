"""The kill switch: what it covers, and that what cannot be read is off."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_app.acting.reasons import Why
from stream_app.acting.switch import FLEET, Off, OffFile, Switch
from stream_app.errors import StateError

SINCE = 1_772_366_400_000


def off(pattern: str) -> Off:
    return Off(pattern, "ann", "an outage", SINCE)


def test_off_for_the_fleet_is_off_for_every_pipeline() -> None:
    switch = Switch([off(FLEET)])

    for pipeline in ("ads", "", "a\nb", "prod/vision", "*"):
        assert switch.refusal(pipeline) is not None
    assert not switch.is_on


def test_pipelines_are_switched_off_by_patterns() -> None:
    """What one pattern switches off, another one does not switch on."""
    switch = Switch()
    switch.set("ads-*", off("ads-*"))
    switch.set("ads-1", off("ads-1"))
    switch.set("ads-1", None)

    assert switch.refusal("ads-1") is not None
    assert switch.refusal("Ads-1") is None
    assert switch.refusal("bids") is None
    assert switch.is_on
    switch.set("ads-*", None)
    assert switch.refusal("ads-1") is None


def test_switching_on_what_was_not_off_changes_nothing() -> None:
    switch = Switch([off(FLEET)])
    switch.set("ads", None)

    assert [each.pattern for each in switch.off] == [FLEET]


@given(st.text(), st.text(), st.text(), st.integers(631_152_000_000, 253_370_764_799_999))
def test_an_entry_is_read_as_it_was_written(pattern: str, by: str, reason: str, since_ms: int) -> None:
    entry = Off(pattern, by, reason, since_ms)

    assert Off.from_dict(entry.to_dict()) == entry


@pytest.mark.parametrize(
    "data",
    [{}, [], None, "off", {**off("a").to_dict(), "since": "then"}, {**off("a").to_dict(), "by": None},
     {**off("a").to_dict(), "pipeline": 7}, {**off("a").to_dict(), "since": 7}],
)  # fmt: skip
def test_what_is_no_entry_is_an_error(data: object) -> None:
    with pytest.raises(StateError, match="no entry of the kill switch"):
        Off.from_dict(data)  # type: ignore[arg-type]


def why(path: Path) -> tuple[Why, str] | None:
    found = Switch(file=OffFile(path)).refusal("ads")
    return (found.why, found.words) if found is not None else None


def test_a_file_switches_acting_off_while_it_is_there(tmp_path: Path) -> None:
    """Whatever it is: empty, a link that leads nowhere, a folder. Each question looks again."""
    file = OffFile(tmp_path / "acting-off")
    switch = Switch(file=file)
    assert switch.is_on

    for make in (Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")):
        make(file.path)
        found = switch.refusal("ads")
        assert found is not None
        assert (found.why, switch.is_on) == (Why.SWITCHED_OFF, False)
        file.path.rmdir() if file.path.is_dir() else file.path.unlink()
        assert switch.refusal("ads") is None


def test_a_file_that_cannot_be_looked_for_counts_as_there(tmp_path: Path) -> None:
    """Its folder is gone, or is none, or its name is none."""
    (tmp_path / "file").touch()

    for path in (tmp_path / "gone" / "acting-off", tmp_path / "file" / "acting-off", tmp_path / "a\x00b",
                 tmp_path / ("a" * 300)):  # fmt: skip
        found = why(path)
        assert found is not None
        assert "cannot be read" in found[1]
