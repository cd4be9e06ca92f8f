"""Makes the golden stores with the real `ml-metadata`, as SQL text: schema 10, and older ones by the library's own
downgrade.

Run where `pip install ml-metadata==1.17.1` works, from the root of the repository:
`python -m tests.sources.make_mlmd_golden`. The library cannot set when things were made: the golden times are those of
the day on which this ran, a few milliseconds apart.
"""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.sources.history import PIPELINE, Artifact, Step, history

GOLDEN = Path(__file__).with_name("golden")
_SPACING_S = 0.004
#: From new to old, as the library downgrades.
SCHEMAS = (10, 8, 7, 6, 5)


class Teller:
    """Tells a history to a store, call by call, as an orchestrator does."""

    def __init__(self, store: Any, proto: Any) -> None:
        self.store, self.proto = store, proto
        self.artifacts: dict[str, int] = {}
        self.contexts: dict[str, int] = {}
        self.executions: dict[str, Any] = {}

    def start(self, step: Step) -> None:
        """An execution is registered with its inputs and contexts."""
        execution = self.proto.Execution(type_id=self._type("execution", step.type), name=step.name)
        execution.last_known_state = (
            self.proto.Execution.NEW if step.state == "CACHED" else self.proto.Execution.RUNNING
        )
        _fill(execution.custom_properties, {"name": step.name, **step.properties})
        (execution.id,) = self.store.put_executions([execution])
        names = {"pipeline": PIPELINE, "pipeline_run": step.run, "node": f"{PIPELINE}.{step.type}"}
        self.store.put_attributions_and_associations(
            [],
            [
                self.proto.Association(context_id=self._context(kind, name), execution_id=execution.id)
                for kind, name in names.items()
            ],
        )
        self._edges(execution.id, step.reads if step.state != "CANCELED" else [], self.proto.Event.INPUT)
        self.executions[step.name] = execution

    def end(self, step: Step) -> None:
        """Its outputs and its last state are published."""
        execution = self.executions[step.name]
        self._edges(execution.id, step.writes, self.proto.Event.OUTPUT)
        execution.last_known_state = self.proto.Execution.State.Value(step.state)
        self.store.put_executions([execution])

    def _edges(self, execution_id: int, artifacts: list[Artifact], kind: int) -> None:
        events = [
            self.proto.Event(execution_id=execution_id, artifact_id=self._artifact(artifact), type=kind)
            for artifact in artifacts
        ]
        if events:
            self.store.put_events(events)

    def _artifact(self, artifact: Artifact) -> int:
        if artifact.name not in self.artifacts:
            made = self.proto.Artifact(type_id=self._type("artifact", artifact.type), name=artifact.name)
            made.state = self.proto.Artifact.LIVE
            _fill(made.custom_properties, {"name": artifact.name, **artifact.properties})
            (self.artifacts[artifact.name],) = self.store.put_artifacts([made])
        return self.artifacts[artifact.name]

    def _context(self, kind: str, name: str) -> int:
        key = f"{kind}:{name}"
        if key not in self.contexts:
            context = self.proto.Context(type_id=self._type("context", kind), name=name)
            (self.contexts[key],) = self.store.put_contexts([context])
        return self.contexts[key]

    def _type(self, kind: str, name: str) -> int:
        made = getattr(self.proto, f"{kind.title()}Type")(name=name)
        return int(getattr(self.store, f"put_{kind}_type")(made))


def _fill(properties: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        kind = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}[type(value)]
        setattr(properties[name], kind, value)


def tell(store: Any, proto: Any, steps: list[Step]) -> None:
    """Tells the moments of a history in their order."""
    teller = Teller(store, proto)
    moments = [(step.start, 0, order, step) for order, step in enumerate(steps)]
    moments += [(step.end, 1, order, step) for order, step in enumerate(steps) if step.end is not None]
    for _, ends, _, step in sorted(moments, key=lambda moment: moment[:3]):
        (teller.end if ends else teller.start)(step)
        time.sleep(_SPACING_S)


def main() -> None:
    from ml_metadata import metadata_store
    from ml_metadata.proto import metadata_store_pb2 as proto

    GOLDEN.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        config = proto.ConnectionConfig()
        config.sqlite.filename_uri = f"{folder}/store.sqlite"
        config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        store = metadata_store.MetadataStore(config)
        tell(store, proto, history())
        del store
        for schema in SCHEMAS:
            if schema != 10:
                metadata_store.downgrade_schema(config, schema)
            connection = sqlite3.connect(f"{folder}/store.sqlite")
            text = "\n".join(connection.iterdump())
            connection.close()
            (GOLDEN / f"mlmd-schema-{schema}.sql").write_text(text + "\n")


if __name__ == "__main__":
    main()
