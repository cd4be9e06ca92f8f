"""Disks under real local copies, for the simulation of the commit protocol: what RocksDB and folders do, in memory."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from stream_app.kafka.state import local_store
from tests.kafka.state.simulated_kafka import SKEW, Cluster


class DiskFullError(Exception):
    """RocksDB could not write."""


@dataclass
class Disk:
    """The folder of a local copy: it outlives processes, and has what was written to it, or has lost or changed it."""

    cluster: Cluster
    rows: dict[bytes, bytes] = field(default_factory=dict)
    marked: bool = False
    full: bool = False
    #: What it held after each write, which a loss of power may bring back.
    past: list[tuple[dict[bytes, bytes], bool]] = field(default_factory=list)

    def lose_tail(self, draw: random.Random) -> None:
        """Goes back to an earlier write."""
        if self.past:
            del self.past[draw.randint(max(1, len(self.past) - 10), len(self.past)) :]
            rows, self.marked = self.past[-1]
            self.rows = dict(rows)

    def damage(self, draw: random.Random) -> None:
        """Loses a row or changes a byte, in silence."""
        if self.rows:
            key = draw.choice(sorted(self.rows))
            value = bytearray(self.rows.pop(key))
            if value and draw.random() < 0.7:
                value[draw.randrange(len(value))] ^= 1 << draw.randrange(8)
                self.rows[key] = bytes(value)

    # What `LocalStore` does with a folder.

    def __truediv__(self, name: str) -> Disk:
        assert name == "written"
        return self

    def exists(self) -> bool:
        return self.marked

    def touch(self) -> None:
        self.marked = True

    def __str__(self) -> str:
        return "disk"


class Rdict:
    """RocksDB on a disk."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def iter(self) -> Iteration:
        return Iteration(sorted(self._disk.rows.items()))

    def get(self, key: bytes) -> bytes | None:
        return self._disk.rows.get(key)

    def write(self, batch: WriteBatch) -> None:
        if self._disk.full:
            raise DiskFullError
        for key, value in batch.rows:
            if value is None:
                self._disk.rows.pop(key, None)
            else:
                self._disk.rows[key] = value
        self._disk.past.append((dict(self._disk.rows), self._disk.marked))

    def close(self) -> None:
        pass


class Iteration:
    """RocksDB's iterator."""

    def __init__(self, rows: list[tuple[bytes, bytes]]) -> None:
        self._rows, self._at = rows, 0

    def seek_to_first(self) -> None:
        self._at = 0

    def valid(self) -> bool:
        return self._at < len(self._rows)

    def key(self) -> bytes:
        return self._rows[self._at][0]

    def value(self) -> bytes:
        return self._rows[self._at][1]

    def next(self) -> None:
        self._at += 1

    def status(self) -> None:
        pass


class WriteBatch:
    """RocksDB's write batch."""

    def __init__(self, *, raw_mode: bool) -> None:
        assert raw_mode
        self.rows: list[tuple[bytes, bytes | None]] = []

    def put(self, key: bytes, value: bytes) -> None:
        self.rows.append((key, value))

    def delete(self, key: bytes) -> None:
        self.rows.append((key, None))


class Store(local_store.LocalStore):
    """A local copy whose files are in memory."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(disk)  # type: ignore[arg-type]

    def _open(self) -> Any:
        return Rdict(self._disk)

    def wipe(self) -> None:
        """Deletes everything."""
        self._disk.rows, self._disk.marked = {}, False
        self._count, self._sum, self.damage, self._written = 0, 0, None, False


def stand_ins(cluster: Cluster) -> dict[str, Any]:
    """What is to be put in place of names of `local_store`: batches, files, and the clock of the process that runs."""
    return {
        "WriteBatch": WriteBatch,
        "make_file": Disk.touch,
        "time": SimpleNamespace(time=lambda: (cluster.now + SKEW.get()) / 1000),
    }
