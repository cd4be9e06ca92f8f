"""What counts as a push in a store of TFX, in all forms in which `pushed` is met, and what a cached run is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources.history import Value
from tests.sources.mlmd_store import StoreWriter
from tests.support.mlmd_results import Result, detector_of, events_in, outcomes_in, results

PUSHED: list[Value] = [1, 1.0, True, "true", "True", "1", "yes", 2]
REFUSED: list[Value] = [0, 0.0, False, "false", "False", "0", "no", "", " NO "]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[StoreWriter]:
    """A store of TFX."""
    with StoreWriter(tmp_path / "store.sqlite") as writer:
        yield writer


def trained(writer: StoreWriter, pushed: Value | None, *, ends: bool = True) -> None:
    """A run that trains and whose Pusher is COMPLETE; None: it writes no `pushed`."""
    model = writer.artifact(10)
    properties = {} if pushed is None else {"pushed": pushed}
    writer.done(0, 10, "Trainer", writes=[model])
    writer.done(11, 12, "Pusher", reads=[model], writes=[writer.artifact(12, "PushedModel", **properties)])
    if ends:
        writer.done(0, 13, "PipelineRun")


@pytest.mark.parametrize("form", PUSHED, ids=repr)
def test_forms_of_pushed(writer: StoreWriter, form: Value) -> None:
    trained(writer, form)

    assert outcomes_in(writer.path) == {"digits/1": ("pushed", None)}


@pytest.mark.parametrize("form", [*REFUSED, None], ids=repr)
def test_forms_of_refused(writer: StoreWriter, form: Value | None) -> None:
    trained(writer, form)

    assert outcomes_in(writer.path) == {"digits/1": ("not_pushed", "refused")}


@pytest.mark.parametrize("form", [*REFUSED, None], ids=repr)
def test_a_refusal_is_known_once_the_run_has_ended(writer: StoreWriter, form: Value | None) -> None:
    """A second Pusher may follow."""
    trained(writer, form, ends=False)

    assert outcomes_in(writer.path) == {"digits/1": ("open", None)}


def test_schemas_without_booleans_have_the_other_forms(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store.sqlite", 7) as writer:
        trained(writer, "True")

    assert outcomes_in(tmp_path / "store.sqlite") == {"digits/1": ("pushed", None)}


@pytest.mark.parametrize("ends", [True, False])
def test_a_run_that_is_cached_trains_nothing_and_is_no_waste(writer: StoreWriter, ends: bool) -> None:
    """Trainer and Pusher link the artifacts of the run that they were cached from."""
    model, pushed = writer.artifact(60), writer.artifact(62, "PushedModel", pushed=1)
    writer.done(0, 60, "Trainer", writes=[model])
    writer.done(61, 62, "Pusher", reads=[model], writes=[pushed])
    writer.done(600, 600, "Trainer", "CACHED", writes=[model], run="r2")
    writer.done(601, 601, "Pusher", "CACHED", reads=[model], writes=[pushed], run="r2")
    if ends:
        writer.done(600, 602, "PipelineRun", run="r2")

    detector = detector_of(events_in(writer.path))

    assert results(detector) == {"digits/1": Result("pushed", None, {"train": 60, "deploy": 1}, (), ("2", "4"))}
    ledger = detector.ledger("digits")
    assert (ledger.useful, ledger.wasted, ledger.pending, ledger.unattributed) == (61 * 60_000, 0, 0, 0)


def test_a_cached_pusher_pushes_nothing_that_was_refused(writer: StoreWriter) -> None:
    model, refused = writer.artifact(60), writer.artifact(62, "PushedModel", pushed=0)
    writer.done(0, 60, "Trainer", writes=[model])
    writer.done(61, 62, "Pusher", reads=[model], writes=[refused])
    writer.done(600, 600, "Pusher", "CACHED", reads=[model], writes=[refused], run="r2")

    assert outcomes_in(writer.path)["digits/1"][0] != "pushed"
