"""One pass over a store: everything that changed since the cursor, as events in the order of their times.

Executions are read in the order of their creation, one page in a transaction, and their events wait in a heap until no
unread execution can have an earlier one. Memory therefore holds the executions that run at the same time, not the
store.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from sqlalchemy import Connection

from stream_app.core.events import Event
from stream_app.errors import OptionsError
from stream_app.sources.mlmd import queries
from stream_app.sources.mlmd.cursor import HOT_MS, WINDOW_MS, Cursor, Ids
from stream_app.sources.mlmd.events import events_of, is_dated, pipeline_of
from stream_app.sources.mlmd.queries import ARTIFACTS, ASSOCIATIONS, EDGES, EXECUTIONS, Contexts
from stream_app.sources.mlmd.records import PARENT_DAG, Record
from stream_app.sources.mlmd.rules import Rules
from stream_app.sources.mlmd.store import Store
from stream_app.sources.ordering import in_order
from stream_app.wire import event_to_dict

logger = logging.getLogger(__name__)


def follow(store: Store, cursor: Cursor, rules: Rules | None = None) -> Iterator[Event]:
    """Yields the events of what changed since the cursor, which moves once the last of them was taken.

    A pass that is interrupted leaves the cursor where it was, and the next one repeats its events, which changes
    nothing. A pass over an unchanged store yields nothing.

    Parameters
    ----------
    store
        The store.
    cursor
        The position, changed in place.
    rules
        The rules; by default `Rules()`.

    Yields
    ------
    Event
        One event after another, by time.

    Raises
    ------
    StoreUnavailable
        The store does not answer; the cursor has not moved.
    """
    yield from _follow(store, cursor, rules or Rules(), _Ignored())


@dataclass(slots=True)
class _Ignored:
    """Executions of a pass without events."""

    #: In no pipeline context.
    unplaced: int = 0
    #: The types of the contexts that these are in.
    context_types: set[str] = field(default_factory=set)
    #: From no possible time.
    undated: int = 0

    def add(self, record: Record, rules: Rules) -> None:
        """Counts an execution that has no events."""
        if pipeline_of(record, rules) is None:
            self.unplaced += 1
            self.context_types.update(kind for kind, _ in record.contexts)
        elif not is_dated(record):
            self.undated += 1

    def reason(self, rules: Rules) -> str:
        """Why executions have no events, and the setting that changes it; empty when there are none."""
        if not self.unplaced:
            return f"executions created at no possible time: {self.undated}" if self.undated else ""
        as_one = 'mlmd.pipeline = "name" reads them as one pipeline'
        if not self.context_types:
            return f"executions in no context, so that their pipeline is not known: {self.unplaced}; {as_one}"
        wanted, found = (", ".join(map(repr, each)) for each in (rules.pipeline_contexts, sorted(self.context_types)))
        return (
            f"executions in no pipeline context ({wanted}): {self.unplaced}; their contexts are of type {found}: name "
            f'the type that is the pipeline with mlmd.pipeline_contexts = ["type"], or {as_one}'
        )


def _follow(store: Store, cursor: Cursor, rules: Rules, ignored: _Ignored) -> Iterator[Event]:
    with store.connect() as connection:
        names = queries.types(connection)
        kinds = _Kinds.of(names, rules)
        changes = _first(connection) if not cursor.frontier_ms else _changes(connection, cursor, kinds)

    def changed_pages() -> Iterator[tuple[int, list[Event]]]:
        for records in _records(store, [key for _, key in changes.executions], kinds):
            page: list[Event] = []
            for record in records:
                events = events_of(record, rules)
                if not events:
                    ignored.add(record, rules)
                elif _is_changed(record, events, cursor, changes.cursor):
                    page += events
            yield min((record.created_ms for record in records), default=0), page

    yield from in_order(changed_pages())
    reason = ignored.reason(rules)
    if reason:
        proposed = {"mlmd": {"pipeline": Path(store.name).stem}} if ignored.unplaced else {}
        logger.warning("%s: ignored: %s", store.name, reason, extra={"settings": proposed})  # `check` proposes them
    cursor.move_to(changes.cursor)


@dataclass(frozen=True, slots=True)
class _Kinds:
    """The types of a store."""

    #: Type -> name.
    names: dict[int, str]
    #: The types of executions that contain others.
    dags: frozenset[int]
    #: The names of types of contexts that stand for a run.
    runs: frozenset[str]

    @classmethod
    def of(cls, names: dict[int, str], rules: Rules) -> _Kinds:
        """The types of a store by the rules."""
        dags = frozenset(key for key, text in names.items() if text in rules.dag_types)
        return cls(names, dags, frozenset(rules.run_contexts))

    def run_of(self, execution: int, contexts: Contexts) -> int | None:
        """The context that is the run of an execution."""
        return next((key for key in contexts.of.get(execution, ()) if contexts.named[key][0] in self.runs), None)


def _records(store: Store, executions: list[int], kinds: _Kinds) -> Iterator[list[Record]]:
    """Yields the full records of some executions, page by page."""
    for chunk in queries.pages(executions, queries.CHUNK):
        with store.connect() as connection:
            contexts = queries.contexts(connection, chunk, kinds.names)
        for page in queries.pages(chunk):
            with store.connect() as connection:
                records = queries.records(connection, page, kinds.names, store.schema)
                for record in records:
                    record.contexts = [contexts.named[key] for key in contexts.of.get(record.id, ())]
                if kinds.dags:
                    _add_runs(connection, records, contexts, kinds)
            yield records


def _add_runs(connection: Connection, records: list[Record], contexts: Contexts, kinds: _Kinds) -> None:
    """Gives each outermost DAG what the executions of its run say about the run."""
    dags = {kinds.names[key] for key in kinds.dags}
    found: dict[int, list[Record]] = defaultdict(list)
    for record in records:
        if record.type in dags and not record.properties.get(PARENT_DAG):
            run = kinds.run_of(record.id, contexts)
            if run is not None:
                found[run].append(record)
    for run, state in queries.runs(connection, sorted(found), kinds.dags).items():
        for record in found[run]:
            record.run = state


def messages(url: str, rules: Rules | None = None) -> Iterator[bytes]:
    """Yields every event of a store in its native JSON form, in the order of their times.

    Parameters
    ----------
    url
        A SQLite file, or a URL as `Store` takes it.
    rules
        The rules; by default `Rules()`.

    Yields
    ------
    bytes
        One JSON object after another.

    Raises
    ------
    OptionsError
        The store cannot be read, or there is nothing in it that can be: the text names the setting.
    StoreUnavailable
        The store does not answer, or is damaged.
    """
    rules = rules or Rules()
    with Store(url) as store:
        store.check()
        found, ignored = False, _Ignored()
        for event in _follow(store, Cursor(), rules, ignored):
            found = True
            yield orjson.dumps(event_to_dict(event))
        if not found:
            reason = ignored.reason(rules) or "it has no execution of a component yet"
            raise OptionsError(f"{store.name}: nothing to read: {reason}")


@dataclass(slots=True)
class _Changes:
    """The executions to read, and the cursor after it."""

    #: (time of creation, id), sorted.
    executions: list[tuple[int, int]]
    cursor: Cursor


def _first(connection: Connection) -> _Changes:
    edges = Ids().after(queries.latest_ids(connection, EDGES))
    associations = Ids().after(queries.latest_ids(connection, ASSOCIATIONS))
    executions = queries.updated_since(connection, EXECUTIONS, 0)
    artifacts = queries.updated_since(connection, ARTIFACTS, 0)
    moved = _moved(Cursor(), executions, artifacts, edges, associations)
    return _Changes(sorted(queries.all_created(connection)), moved)


def _changes(connection: Connection, cursor: Cursor, kinds: _Kinds) -> _Changes:
    edges = queries.added(connection, EDGES, cursor.edges)
    associations = queries.added(connection, ASSOCIATIONS, cursor.associations)
    since_ms = cursor.frontier_ms - WINDOW_MS
    executions = queries.updated_since(connection, EXECUTIONS, since_ms)
    artifacts = queries.updated_since(connection, ARTIFACTS, since_ms)
    changed = _differ(executions, cursor.executions, cursor.frontier_ms)
    changed.update(queries.writers(connection, sorted(_differ(artifacts, cursor.artifacts, cursor.frontier_ms))))
    changed.update(edges.values(), associations.values())
    if kinds.dags:
        # A DAG's state holds or does not by what the other executions of its run do, which does not touch it.
        for page in queries.pages(sorted(changed), queries.CHUNK):
            contexts = queries.contexts(connection, page, kinds.names)
            found = {run for each in page if (run := kinds.run_of(each, contexts)) is not None}
            changed.update(queries.dags_of(connection, sorted(found), kinds.dags))
    moved = _moved(cursor, executions, artifacts, cursor.edges.after(edges), cursor.associations.after(associations))
    return _Changes(sorted(queries.created(connection, sorted(changed))), moved)


def _differ(found: dict[int, int], seen: dict[int, int], frontier_ms: int) -> set[int]:
    """Ids of rows that changed, or may have changed within the millisecond in which they were seen."""
    return {key for key, ms in found.items() if seen.get(key) != ms or ms >= frontier_ms - HOT_MS}


def _moved(
    cursor: Cursor, executions: dict[int, int], artifacts: dict[int, int], edges: Ids, associations: Ids
) -> Cursor:
    latest_ms = max((*executions.values(), *artifacts.values()), default=0)
    frontier_ms = max(cursor.frontier_ms, min(latest_ms, time.time_ns() // 1_000_000))
    since_ms = frontier_ms - WINDOW_MS
    return Cursor(
        frontier_ms,
        {key: ms for key, ms in executions.items() if ms >= since_ms},
        {key: ms for key, ms in artifacts.items() if ms >= since_ms},
        edges,
        associations,
        {key: entry for key, entry in cursor.said.items() if entry[0] >= since_ms},
    )


def _is_changed(record: Record, events: list[Event], before: Cursor, after: Cursor) -> bool:
    """Whether these events differ from those of the last pass; records their digest for the next one."""
    run_ms = record.run.updated_ms if record.run else 0
    changed_ms = max(record.updated_ms, run_ms, *(artifact.updated_ms for artifact in record.outputs))
    known = before.said.get(record.id)
    recent = changed_ms >= after.frontier_ms - WINDOW_MS
    if known is None and not recent:
        return True
    encoded = orjson.dumps([event_to_dict(event) for event in events], option=orjson.OPT_SORT_KEYS)
    digest = hashlib.blake2b(encoded, digest_size=8).hexdigest()
    if recent:
        after.said[record.id] = (changed_ms, digest)
    return known is None or known[1] != digest
