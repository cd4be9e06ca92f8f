"""Queries of a store: what changed, and the records of some executions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import ColumnElement, Connection, TableClause, column, or_, select, table
from sqlalchemy.sql import quoted_name

from stream_app.core.events import CANCELED, Properties
from stream_app.sources.mlmd.cursor import ID_WINDOW, Ids
from stream_app.sources.mlmd.records import (
    IN_FLIGHT,
    INPUTS,
    OUTPUTS,
    PARENT_DAG,
    STATES,
    ArtifactRecord,
    Record,
    RunRecord,
)
from stream_app.sources.scalars import name, scalar

CREATED, UPDATED = "create_time_since_epoch", "last_update_time_since_epoch"
#: Ids in one query; and in a query of associations, which have no index by execution, so that it reads the whole table.
PAGE = 500
CHUNK = 20 * PAGE
#: The prefix of a text in which ML Metadata stores a struct, which is not a flat value.
_STRUCT = "mlmd-struct::"
_VALUES = ("int_value", "double_value", "string_value")


def _table(of: str, *names: str) -> TableClause:
    """A table by its name without quotes: PostgreSQL has the tables of ML Metadata in lower case."""
    return table(quoted_name(of, quote=False), *(column(each) for each in names))


_type = _table("Type", "id", "name")
_execution = _table("Execution", "id", "type_id", "last_known_state", CREATED, UPDATED)
_artifact = _table("Artifact", "id", "type_id", "state", UPDATED)
_edge = _table("Event", "id", "artifact_id", "execution_id", "type", "milliseconds_since_epoch")
_path = _table("EventPath", "event_id", "step_key")
_association = _table("Association", "id", "context_id", "execution_id")
_context = _table("Context", "id", "type_id", "name")
_execution_property = _table("ExecutionProperty", "execution_id", "name", "is_custom_property", *_VALUES, "bool_value")
_artifact_property = _table("ArtifactProperty", "artifact_id", "name", "is_custom_property", *_VALUES, "bool_value")

EXECUTIONS, ARTIFACTS, EDGES, ASSOCIATIONS, EVENT_PATHS = _execution, _artifact, _edge, _association, _path
#: What a store must have to be read.
TABLES = (_type, _execution, _artifact, _edge, _association, _context, _execution_property, _artifact_property)


@dataclass(frozen=True, slots=True)
class Schema:
    """What a store has, which depends on the release that made it."""

    #: The version of the schema.
    version: int
    #: Whether properties have `bool_value`.
    has_bools: bool
    #: Whether there are event paths.
    has_paths: bool


@dataclass(frozen=True, slots=True)
class Contexts:
    """The contexts of some executions."""

    #: Execution -> its contexts, in the order of their ids.
    of: dict[int, list[int]]
    #: Context -> (type, name).
    named: dict[int, tuple[str, str]]


def pages(ids: Iterable[int], size: int = PAGE) -> Iterator[list[int]]:
    """Yields ids in pages."""
    rest = iter(ids)
    while page := list(islice(rest, size)):
        yield page


def updated_since(connection: Connection, of: TableClause, since_ms: int) -> dict[int, int]:
    """Id to last change of the rows of EXECUTIONS or ARTIFACTS changed at or after a time."""
    query = select(of.c.id, of.c[UPDATED])
    if since_ms > 0:
        query = query.where(of.c[UPDATED] >= since_ms)
    return {key: int(ms or 0) for key, ms in connection.execute(query)}


def added(connection: Connection, of: TableClause, seen: Ids) -> dict[int, int]:
    """Id to execution of the rows of EDGES or ASSOCIATIONS that were not seen."""
    new: ColumnElement[bool] = of.c.id > seen.last
    if seen.gaps:
        new = or_(new, of.c.id.in_(seen.gaps))
    return dict(connection.execute(select(of.c.id, of.c.execution_id).where(new)).all())


def latest_ids(connection: Connection, of: TableClause) -> list[int]:
    """The last `ID_WINDOW` ids of EDGES or ASSOCIATIONS."""
    query = select(of.c.id).order_by(of.c.id.desc()).limit(ID_WINDOW)
    return list(connection.execute(query).scalars())


def writers(connection: Connection, artifacts: Sequence[int]) -> Iterator[int]:
    """Yields the executions that wrote some artifacts."""
    for page in pages(artifacts):
        query = select(_edge.c.execution_id).where(_edge.c.artifact_id.in_(page), _edge.c.type.in_(sorted(OUTPUTS)))
        yield from connection.execute(query).scalars()


def created(connection: Connection, executions: Iterable[int]) -> list[tuple[int, int]]:
    """(time of creation, id) of some executions."""
    found = []
    for page in pages(executions):
        query = select(_execution.c[CREATED], _execution.c.id).where(_execution.c.id.in_(page))
        found += [(int(ms or 0), key) for ms, key in connection.execute(query)]
    return found


def all_created(connection: Connection) -> list[tuple[int, int]]:
    """(time of creation, id) of every execution."""
    return [(int(ms or 0), key) for ms, key in connection.execute(select(_execution.c[CREATED], _execution.c.id))]


def types(connection: Connection) -> dict[int, str]:
    """The names of types by their ids."""
    return dict(connection.execute(select(_type.c.id, _type.c.name)).all())


def contexts(connection: Connection, executions: Sequence[int], names: dict[int, str]) -> Contexts:
    """The contexts of at most `CHUNK` executions."""
    pairs = select(_association.c.execution_id, _association.c.context_id)
    linked = connection.execute(pairs.where(_association.c.execution_id.in_(executions))).all()
    named: dict[int, tuple[str, str]] = {}
    for page in pages(sorted({context for _, context in linked})):
        query = select(_context.c.id, _context.c.type_id, _context.c.name).where(_context.c.id.in_(page))
        for key, type_id, text in connection.execute(query):
            named[key] = (names.get(type_id, ""), text)
    of: dict[int, list[int]] = defaultdict(list)
    for execution, context in sorted(linked, key=lambda pair: pair[1]):
        if context in named:
            of[execution].append(context)
    return Contexts(of, named)


def dags_of(connection: Connection, contexts: Iterable[int], dag_types: Collection[int]) -> Iterator[int]:
    """Yields the DAGs in some contexts."""
    for page in pages(contexts):
        query = select(_execution.c.id).join(_association, _association.c.execution_id == _execution.c.id)
        query = query.where(_association.c.context_id.in_(page), _execution.c.type_id.in_(sorted(dag_types)))
        yield from connection.execute(query).scalars()


def runs(connection: Connection, contexts: Iterable[int], dag_types: Collection[int]) -> dict[int, RunRecord]:
    """Context -> what its executions say about the run that it stands for."""
    found: dict[int, RunRecord] = defaultdict(RunRecord)
    dags: dict[int, list[tuple[int, int]]] = defaultdict(list)
    columns = [_execution.c[each] for each in ("id", "type_id", "last_known_state", CREATED, UPDATED)]
    for page in pages(contexts):
        query = select(_association.c.context_id, *columns).join(
            _execution, _execution.c.id == _association.c.execution_id
        )
        for context, key, type_id, state, created_ms, updated_ms in connection.execute(
            query.where(_association.c.context_id.in_(page))
        ):
            run, start_ms = found[context], int(created_ms or updated_ms or 0)
            run.updated_ms = max(run.updated_ms, int(updated_ms or 0))
            if type_id in dag_types:
                dags[context].append((start_ms, key))
            elif STATES.get(state or 0) != CANCELED:
                run.started_ms.append(start_ms)
                run.in_flight |= STATES.get(state or 0) in IN_FLIGHT
    inner = set(_with_parent(connection, [key for each in dags.values() for _, key in each]))
    for context, run in found.items():
        run.started_ms.sort()
        run.root = next((key for _, key in sorted(dags[context]) if key not in inner), None)
    return dict(found)


def _with_parent(connection: Connection, dags: Iterable[int]) -> Iterator[int]:
    """Yields the DAGs that are in another one."""
    of = _execution_property
    for page in pages(dags):
        query = select(of.c.execution_id, *(of.c[each] for each in _VALUES))
        for key, *values in connection.execute(query.where(of.c.execution_id.in_(page), of.c.name == PARENT_DAG)):
            if any(values):
                yield key


def records(connection: Connection, executions: Sequence[int], names: dict[int, str], schema: Schema) -> list[Record]:
    """The records of at most `PAGE` executions, in the order of the ids given; `names` are those of types."""
    columns = [_execution.c[each] for each in ("id", "type_id", "last_known_state", CREATED, UPDATED)]
    found: dict[int, Record] = {}
    for key, type_id, state, created_ms, updated_ms in connection.execute(
        select(*columns).where(_execution.c.id.in_(executions))
    ):
        found[key] = Record(
            key,
            names.get(type_id, str(type_id)),
            STATES.get(state or 0),
            int(created_ms or updated_ms or 0),
            int(updated_ms or 0),
        )
    for key, properties in _properties(connection, _execution_property, "execution_id", executions, schema).items():
        if key in found:
            found[key].properties = properties
    _add_artifacts(connection, found, names, schema)
    return [found[key] for key in executions if key in found]


def _add_artifacts(connection: Connection, found: dict[int, Record], names: dict[int, str], schema: Schema) -> None:
    columns = [_edge.c[each] for each in ("id", "execution_id", "artifact_id", "type", "milliseconds_since_epoch")]
    query = select(*columns).where(_edge.c.execution_id.in_(list(found))).order_by(_edge.c.id)
    edges = connection.execute(query).all()
    artifacts = _artifacts(connection, sorted({edge.artifact_id for edge in edges}), names, schema)
    keys = _keys(connection, list(found)) if schema.has_paths else {}
    for edge, execution, artifact_id, kind, ms in edges:
        record, artifact = found[execution], artifacts.get(artifact_id)
        if ms and not record.created_ms:
            record.created_ms = int(ms)
        if artifact is None:
            continue
        if kind in INPUTS:
            if artifact not in record.inputs:
                record.inputs.append(artifact)
            if edge in keys:
                record.input_keys.setdefault(artifact_id, set()).update(keys[edge])
        elif kind in OUTPUTS:
            record.wrote_ms = max(record.wrote_ms, int(ms or 0))
            if artifact not in record.outputs:
                record.outputs.append(artifact)


def _keys(connection: Connection, executions: Sequence[int]) -> dict[int, set[str]]:
    """Edge -> the keys in its path; TFX writes key and index, several times where an artifact is read as several."""
    found: dict[int, set[str]] = defaultdict(set)
    query = select(_path.c.event_id, _path.c.step_key).join(_edge, _edge.c.id == _path.c.event_id)
    for edge, key in connection.execute(query.where(_edge.c.execution_id.in_(executions))):
        if key:
            found[edge].add(key)
    return found


def _artifacts(
    connection: Connection, ids: Sequence[int], names: dict[int, str], schema: Schema
) -> dict[int, ArtifactRecord]:
    found: dict[int, ArtifactRecord] = {}
    columns = [_artifact.c[each] for each in ("id", "type_id", "state", UPDATED)]
    for page in pages(ids):
        properties = _properties(connection, _artifact_property, "artifact_id", page, schema)
        for key, type_id, state, ms in connection.execute(select(*columns).where(_artifact.c.id.in_(page))):
            type_ = names.get(type_id, str(type_id))
            found[key] = ArtifactRecord(key, type_, state, int(ms or 0), properties.get(key, {}))
    return found


def _properties(
    connection: Connection, of: TableClause, key: str, ids: Sequence[int], schema: Schema
) -> dict[int, Properties]:
    """Properties by owner, always in the same order; a custom property replaces a declared one of its name."""
    columns = [of.c[each] for each in (key, "name", *_VALUES)]
    if schema.has_bools:
        columns.append(of.c.bool_value)
    query = select(*columns).where(of.c[key].in_(ids)).order_by(of.c.is_custom_property, of.c.name)
    found: dict[int, Properties] = defaultdict(dict)
    for owner, text, whole, real, string, *flag in connection.execute(query):
        if flag and flag[0] is not None:
            value = scalar(bool(flag[0]))
        elif string is not None:
            value = None if string.startswith(_STRUCT) else scalar(string)
        else:
            value = scalar(whole if whole is not None else real)
        if value is not None and text:
            found[owner][name(text)] = value
    return found
