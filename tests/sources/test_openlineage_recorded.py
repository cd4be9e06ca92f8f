"""Events of the shapes that Airflow and Spark send: the graphs made of them are those that the files name.

`openlineage/` holds small ones, written by hand. `OPENLINEAGE_RECORDED` may name a folder of recorded ones (any
`.json` or `.jsonl` below it), for which the same holds.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream_app.core.detector import Detector, Settings
from stream_app.core.operators import RUN
from stream_app.sources.openlineage import decode
from stream_app.sources.openlineage_datasets import dataset_id

HAND_WRITTEN = Path(__file__).parent / "openlineage"
FOLDERS = [HAND_WRITTEN, *(Path(each) for each in [os.environ.get("OPENLINEAGE_RECORDED")] if each)]

Names = dict[str, set[str]]


def messages(folder: Path) -> Iterator[bytes]:
    """The events below a folder: documents, or one a line."""
    for path in sorted(folder.rglob("*.json*")):
        text = path.read_bytes()
        yield from text.splitlines() if path.suffix == ".jsonl" else [text]


def names_of(dataset: dict[str, Any]) -> list[str]:
    """The ids of a dataset by its own name and by the names that symlinks give, without versions."""
    links = (dataset.get("facets") or {}).get("symlinks") or {}
    return [dataset_id(each["namespace"], each["name"]) for each in (dataset, *links.get("identifiers", ()))]


def unversioned(artifacts: Iterable[str]) -> set[str]:
    """Ids of artifacts without the versions in them."""
    return {artifact.partition("@")[0] for artifact in artifacts}


def named(events: list[dict[str, Any]]) -> tuple[Names, Names, Names]:
    """Run -> its parents, the datasets it reads, and those it writes, as the events name them."""
    parents: Names = defaultdict(set)
    reads: Names = defaultdict(set)
    writes: Names = defaultdict(set)
    for event in events:
        run = event["run"]["runId"]
        parent = (event["run"].get("facets") or {}).get("parent")
        parents[run] |= {parent["run"]["runId"]} if parent else set()
        reads[run] |= {name for each in event.get("inputs") or () for name in names_of(each)}
        writes[run] |= {name for each in event.get("outputs") or () for name in names_of(each)}
    return parents, reads, writes


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_the_graph_has_the_runs_parents_and_datasets_that_the_events_name(folder: Path) -> None:
    """Every event is accepted; a run without a parent is the run of those who name it as theirs."""
    found = list(messages(folder))
    detector = Detector(Settings())
    for message in found:
        event = decode(message)
        assert event is not None
        detector.step(event)
    executions = {
        execution.id: execution
        for pipeline in detector.pipelines.values()
        for execution in pipeline.executions.values()
    }
    parents, reads, writes = named([orjson.loads(message) for message in found])

    assert found
    assert reads == {run: unversioned(execution.reads) for run, execution in executions.items()}
    assert writes == {run: unversioned(execution.writes) for run, execution in executions.items()}
    assert parents == {
        run: {execution.run} - {run} if execution.run is not None else set() for run, execution in executions.items()
    }
    above = set().union(*parents.values())
    assert {run for run, execution in executions.items() if execution.group == RUN} >= above
    assert all(executions[run].end_ms is not None for run in above)
