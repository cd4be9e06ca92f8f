"""The memory of `stream-app serve` under requests that leave nothing."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.served import Process


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    """The service."""
    process = Process(tmp_path)
    yield process
    process.end()


def young_collections(process: Process) -> float:
    """How often young objects were searched for cycles."""
    found = re.search(rb'python_gc_collections_total\{generation="0"\} (\S+)', process.service.get("/metrics").body)
    assert found is not None
    return float(found[1])


def resident_mib(process: Process) -> float:
    """Resident memory."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def test_connections_that_are_closed_are_freed_before_there_are_many(process: Process) -> None:
    """Each is a cycle, so they stay until the collector looks."""
    before = young_collections(process)
    for number in range(1_000):
        process.service.get(f"/unknown/{number}")
    assert young_collections(process) > before


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_bodies_that_were_decompressed_take_no_memory_afterwards(process: Process) -> None:
    """Neither they nor the pieces of their decompression."""
    bomb = gzip.compress(bytes(64 << 20))
    codes = {process.service.post(b"{}").status, process.service.get("/metrics").status}
    assert codes == {422, 200}
    before = resident_mib(process)
    codes = {process.service.post(bomb, Content_Encoding="gzip").status for _ in range(40)}
    assert codes == {413}
    assert resident_mib(process) - before < 12
