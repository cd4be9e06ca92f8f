"""Stores that the real library wrote, as TFX and Kubeflow Pipelines call it: graphlets, outcomes and compute.

`tests/support/mlmd_library_store.py` tells the library what happened; the library decides what the rows are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.core.detector import Detector
from stream_app.core.operators import Operators
from stream_app.sources.mlmd import Rules, is_store
from tests.sources.mlmd_store import names
from tests.support.mlmd_library import make_store
from tests.support.mlmd_results import Result, detector_of, events_in, results

pytestmark = pytest.mark.slow

#: What a user of Kubeflow Pipelines sets; `train-model` and `deploy-model` need no setting.
RULES = Rules(Operators({"prep": "preprocess"}))
#: The compute of a run of TFX, in minutes; that of the import of the schema, 1, is with the ingestion of both.
RUN = {"ingest": 5.0, "preprocess": 5.0, "analysis": 2.0, "train": 30.0, "validate": 5.0, "deploy": 2.0}


@pytest.fixture(scope="module", params=[10, 9, 7, 5])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of the library, migrated by it to an older schema."""
    return make_store(tmp_path_factory.mktemp("mlmd") / "metadata.sqlite", request.param)


@pytest.fixture
def detector(store: Path) -> Iterator[Detector]:
    """A detector that was given the whole store."""
    detector = detector_of(events_in(store, RULES), RULES)
    yield detector
    detector.validate()


def named(store: Path, detector: Detector, pipeline: str) -> dict[str, Result]:
    """The graphlets of a pipeline by the name of their trainer, and their members by name."""
    of = names(store)
    found = {}
    for graphlet, result in results(detector).items():
        of_pipeline, trainer = graphlet.split("/")
        if of_pipeline == pipeline:
            up, down = (tuple(sorted(of[each] for each in members)) for members in (result.up, result.down))
            found[of[trainer]] = Result(result.outcome, result.cause, result.minutes, up, down)
    return found


def test_it_is_told_from_other_files(store: Path) -> None:
    assert is_store(str(store))


def test_runs_of_tfx(store: Path, detector: Detector) -> None:
    """Class paths, an importer, a resolver, a baseline, a refused push; a run that is cached has no graphlet."""
    cached = "r2/tfx.components."

    assert named(store, detector, "taxi") == {
        "r0/Trainer": Result(
            "pushed", None, RUN,
            ("r0/CsvExampleGen", "r0/Transform", "r0/schema_importer",
             f"{cached}example_gen.csv_example_gen.component.CsvExampleGen"),
            ("r0/Evaluator", "r0/Pusher", f"{cached}pusher.component.Pusher"),
        ),
        "r1/Trainer": Result(
            "open", None, RUN,
            ("r0/schema_importer", "r1/CsvExampleGen", "r1/Transform"), ("r1/Evaluator", "r1/Pusher"),
        ),
    }  # fmt: skip


def test_the_compute_of_tfx_counts_once(detector: Detector) -> None:
    """A cached run is no waste, and the imported schema is useful with the run that was pushed."""
    ledger = detector.ledger("taxi")

    minute = 60_000
    assert (ledger.useful, ledger.pending, ledger.wasted) == (49 * minute, 48 * minute, 0)
    # The resolver, which is in no graphlet.
    assert ledger.unattributed == minute / 2


def test_a_notebook_whose_components_are_runs(store: Path, detector: Detector) -> None:
    """The push of B does not reach A, which B was compared with."""
    minutes = {"train": 20.0, "validate": 4.0, "deploy": 2.0}

    found = named(store, detector, "notebook")

    assert found == {
        "train A": Result("not_pushed", found["train A"].cause, minutes, (), ("evaluate A", "push A")),
        "train B": Result("pushed", None, minutes, (), ("evaluate B", "push B")),
    }


def test_runs_of_kubeflow_pipelines(store: Path, detector: Detector) -> None:
    """DAGs cost nothing; the FAILED that its root kept does not end a retried run; a cached task trains nothing."""
    data = {"preprocess": 58.0}

    assert named(store, detector, "fraud") == {
        "k1/train": Result("not_pushed", "run_ended", data | {"train": 120.0}, ("k1/prep",)),
        "k2/train": Result("not_pushed", "failed", data | {"train": 60.0}, ("k1/prep",)),
        "k2/train-2": Result("pushed", None, data | {"train": 60.0, "deploy": 4.0}, ("k1/prep",), ("k2/deploy",)),
    }


def test_the_compute_of_kubeflow_pipelines_is_that_of_its_containers(detector: Detector) -> None:
    ledger = detector.ledger("fraud")

    minute = 60_000
    assert (ledger.useful, ledger.wasted) == ((58 + 60 + 4) * minute, (120 + 60) * minute)
    assert (ledger.pending, ledger.unattributed) == (0, 0)
