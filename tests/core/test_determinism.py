"""The same events give the same bytes, in every process and however often."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest

from stream_app.core.decisions.policy import ENFORCE, Policy
from stream_app.core.detector import Detector, Settings
from stream_app.core.events import Event
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import Closed, Example, Verdict
from tests.support.simulated import fleet_events, folding, ledgers, wire

ENFORCING = Settings(policy=Policy(mode=ENFORCE, budget=0.2))


def digest(parts: Iterable[bytes]) -> str:
    """A digest of byte strings, of their order too."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(len(part).to_bytes(8, "big") + part)
    return whole.hexdigest()


def events() -> tuple[Event, ...]:
    return fleet_events(4, 8, 1)


def digests() -> dict[str, str]:
    """Digests of all that a fleet gives: by kind of output, and of the state that is left."""
    learner = Learner(ENFORCING.policy.budgets)
    detector = Detector(ENFORCING, learner, keep_rows=True)
    outputs = folding(detector, learner, events())
    assert any(isinstance(output, Verdict) and output.holdout for output in outputs)
    outputs += detector.tick(max(event.time_ms for event in events()) + 40 * 86_400_000)
    found = {
        kind.__name__: digest(wire(output) for output in outputs if isinstance(output, kind))
        for kind in (Verdict, Example, Closed)
    }
    found["graphlets"] = digest(map(orjson.dumps, detector.graphlets()))
    found["ledger"] = digest([repr(ledgers(detector)).encode()])
    found["rows"] = digest(part for key, row in detector.take_rows() for part in (key, row or b"gone"))
    return found


#: Said in a process of its own.
PROGRAM = """
import sys, orjson
from tests.core.test_determinism import digests
sys.stdout.buffer.write(orjson.dumps(digests()))
"""


def in_own_process(hash_seed: str) -> dict[str, str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=True, cwd=root, env=environment, capture_output=True)
    found: dict[str, str] = orjson.loads(done.stdout)
    return found


@pytest.mark.slow
def test_processes_that_hash_strings_differently_say_the_same() -> None:
    """Verdicts, examples, closed graphlets, ledgers and rows are the same bytes, in enforce with its draws too."""
    one, two = in_own_process("1"), in_own_process("2")

    assert one == two
    assert len(set(one.values())) == 6


def test_pipelines_share_nothing_but_the_learner() -> None:
    """Graphlets, outcomes and ledger of each are those it has alone: they may live on any worker."""
    together = Detector()
    for event in events():
        together.step(event)
    for name in sorted(together.pipelines):
        alone = Detector()
        for event in events():
            if event.pipeline == name:
                alone.step(event)
        assert list(alone.graphlets()) == [g for g in together.graphlets() if g["pipeline"] == name]
        assert alone.ledger(name) == together.ledger(name)
