"""What worker and service say while their broker is away: the cheap part of the row PROBES of tests/reliability."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.broker.broker import JavaBroker
from tests.reliability.fault_probes import FAULTS, promised, witnessed
from tests.reliability.rig import own_broker, rig_on


@pytest.fixture(scope="module")
def broker_of_its_own() -> Iterator[JavaBroker]:
    """One that a test may stop."""
    with own_broker() as made:
        yield made


@pytest.mark.parametrize("fault", ["broker stopped", "broker suspended"])
def test_no_fault_is_silent(broker_of_its_own: JavaBroker, tmp_path: Path, fault: str) -> None:
    """Never ready, no lag and an empty log at once; liveness is kept, and readiness comes back."""
    with rig_on(broker_of_its_own, tmp_path, fault.replace(" ", "-")) as rig:
        found = witnessed(rig, FAULTS[fault], 0, until_told=True)

    promised(fault, found)
    assert (found["worker"]["ready"], found["worker"]["lag"]) == (503, "not known")
    assert found["service"]["ready"] == 503
    assert found["service"]["log"]
