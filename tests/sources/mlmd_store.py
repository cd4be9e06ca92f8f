"""Stores of ML Metadata for tests: the tables are those that the real library made, the rows are the test's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.sources.history import PIPELINE, Artifact, Step, Value
from tests.support.builders import at

GOLDEN = Path(__file__).with_name("golden")
STATES = {"NEW": 1, "RUNNING": 2, "COMPLETE": 3, "FAILED": 4, "CACHED": 5, "CANCELED": 6}
INPUT, OUTPUT = 3, 4
_KINDS = {"execution": 0, "artifact": 1, "context": 2}


def golden_store(path: Path, schema: int) -> Path:
    """A store as the real library left it."""
    with sqlite3.connect(path) as connection:
        connection.executescript((GOLDEN / f"mlmd-schema-{schema}.sql").read_text())
    connection.close()
    return path


class StoreWriter:
    """Writes rows as the library does, at the minutes a test says; a context manager that commits each call."""

    def __init__(self, path: Path, schema: int = 10) -> None:
        self.path = path
        golden_store(path, schema)
        self._connection = sqlite3.connect(path, isolation_level=None)
        names = self._connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (name,) in names:
            if name not in ("MLMDEnv", "Type"):
                self._connection.execute(f"DELETE FROM `{name}`")
        self._ids: dict[tuple[str, str], int] = {}

    @classmethod
    def of(cls, path: Path) -> StoreWriter:
        """A writer that goes on with the store that is at `path`."""
        made = cls.__new__(cls)
        made.path, made._ids = path, {}
        made._connection = sqlite3.connect(path, isolation_level=None)
        return made

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._connection.close()

    def sql(self, statement: str, *values: object) -> int:
        """Runs a statement; returns the id of the row that it added."""
        return int(self._connection.execute(statement, values).lastrowid or 0)

    def execution(
        self,
        minute: float,
        type_: str,
        state: str | None = "RUNNING",
        *,
        pipeline: str | None = PIPELINE,
        run: str | None = "r1",
        name: str | None = None,
        kinds: tuple[str, str] = ("pipeline", "pipeline_run"),
        **properties: Value,
    ) -> int:
        """Registers an execution, and its contexts with it, which are of these kinds."""
        execution = self.sql(
            "INSERT INTO Execution (type_id, last_known_state, name, create_time_since_epoch,"
            " last_update_time_since_epoch) VALUES (?, ?, ?, ?, ?)",
            self._type("execution", type_), STATES.get(state or ""), name, at(minute), at(minute),
        )  # fmt: skip
        self.properties("Execution", execution, properties)
        for kind, text in zip(kinds, (pipeline, run), strict=True):
            if text is not None:
                self.associate(minute, execution, kind, text)
        return execution

    def update(self, minute: float, execution: int, state: str, **properties: Value) -> None:
        """Changes an execution."""
        self.sql(
            "UPDATE Execution SET last_known_state = ?, last_update_time_since_epoch = ? WHERE id = ?",
            STATES[state], at(minute), execution,
        )  # fmt: skip
        self.properties("Execution", execution, properties)

    def artifact(self, minute: float, type_: str = "Model", *, state: int = 2, **properties: Value) -> int:
        """Registers an artifact."""
        artifact = self.sql(
            "INSERT INTO Artifact (type_id, state, create_time_since_epoch, last_update_time_since_epoch)"
            " VALUES (?, ?, ?, ?)",
            self._type("artifact", type_), state, at(minute), at(minute),
        )  # fmt: skip
        self.properties("Artifact", artifact, properties)
        return artifact

    def touch(self, minute: float, artifact: int, **properties: Value) -> None:
        """Changes an artifact."""
        self.sql("UPDATE Artifact SET last_update_time_since_epoch = ? WHERE id = ?", at(minute), artifact)
        self.properties("Artifact", artifact, properties)

    def edge(self, minute: float, execution: int, artifact: int, kind: int, *keys: str) -> int:
        """Links an execution and an artifact, by these keys; neither of the two is touched by it."""
        edge = self.sql(
            "INSERT INTO Event (artifact_id, execution_id, type, milliseconds_since_epoch) VALUES (?, ?, ?, ?)",
            artifact, execution, kind, at(minute),
        )  # fmt: skip
        for key in keys:
            self.sql("INSERT INTO EventPath (event_id, is_index_step, step_key) VALUES (?, 0, ?)", edge, key)
            self.sql("INSERT INTO EventPath (event_id, is_index_step, step_index) VALUES (?, 1, 0)", edge)
        return edge

    def done(
        self,
        start: float,
        end: float | None,
        type_: str,
        state: str = "COMPLETE",
        *,
        reads: Iterable[int | tuple[int, str]] = (),
        writes: Iterable[int] = (),
        **fields: Any,
    ) -> int:
        """An execution, which runs on without an end, what it read, by a key where one is given, and what it wrote."""
        execution = self.execution(start, type_, "RUNNING", **fields)
        for read in reads:
            artifact, keys = read if isinstance(read, tuple) else (read, "")
            self.edge(start, execution, artifact, INPUT, *keys.split())
        if end is not None:
            for artifact in writes:
                self.edge(end, execution, artifact, OUTPUT)
            self.update(end, execution, state)
        return execution

    def associate(self, minute: float, execution: int, kind: str, name: str) -> None:
        """Puts an execution into a context."""
        key = (kind, name)
        if key not in self._ids:
            self._ids[key] = self.sql(
                "INSERT INTO Context (type_id, name, create_time_since_epoch, last_update_time_since_epoch)"
                " VALUES (?, ?, ?, ?)",
                self._type("context", kind), name, at(minute), at(minute),
            )  # fmt: skip
        self.sql("INSERT INTO Association (context_id, execution_id) VALUES (?, ?)", self._ids[key], execution)

    def properties(self, of: str, owner: int, values: dict[str, Value]) -> None:
        """Sets custom properties of an `Execution` or an `Artifact`."""
        for name, value in values.items():
            kind = {bool: "bool", int: "int", float: "double", str: "string"}[type(value)]
            self.sql(
                f"INSERT OR REPLACE INTO {of}Property ({of.lower()}_id, name, is_custom_property, {kind}_value)"
                " VALUES (?, ?, 1, ?)",
                owner, name, value,
            )  # fmt: skip

    def _type(self, kind: str, name: str) -> int:
        key = (f"{kind} type", name)
        if key not in self._ids:
            row = self._connection.execute(
                "SELECT id FROM Type WHERE name = ? AND type_kind = ?", (name, _KINDS[kind])
            ).fetchone()
            self._ids[key] = (
                row[0] if row else self.sql("INSERT INTO Type (name, type_kind) VALUES (?, ?)", name, _KINDS[kind])
            )
        return self._ids[key]


def write_history(writer: StoreWriter, steps: Iterable[Step]) -> None:
    """Tells a history moment by moment."""
    steps = list(steps)
    moments = [(step.start, 0, order) for order, step in enumerate(steps)]
    moments += [(step.end, 1, order) for order, step in enumerate(steps) if step.end is not None]
    executions: dict[int, int] = {}
    artifacts: dict[str, int] = {}

    def link(minute: float, order: int, named: list[Artifact], kind: int) -> None:
        for artifact in named:
            if artifact.name not in artifacts:
                artifacts[artifact.name] = writer.artifact(minute, artifact.type, **artifact.properties)
            writer.edge(minute, executions[order], artifacts[artifact.name], kind)

    for minute, ends, order in sorted(moments):
        step = steps[order]
        if ends:
            link(minute, order, step.writes, OUTPUT)
            writer.update(minute, executions[order], step.state)
        else:
            state = "NEW" if step.state == "CACHED" else "RUNNING"
            executions[order] = writer.execution(
                minute, step.type, state, run=step.run, name=step.name, **step.properties
            )
            link(minute, order, step.reads, INPUT)


def names(path: Path) -> dict[str, str]:
    """Execution id -> name of all executions of a store."""
    with sqlite3.connect(path) as connection:
        found = {str(key): name for key, name in connection.execute("SELECT id, name FROM Execution")}
    connection.close()
    return found
