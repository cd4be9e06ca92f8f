"""One pass over a store: everything that changed since the cursor, as events in the order of their times.

Executions are read in the order of their creation, one page in a transaction, and their events wait in a heap until no
unread execution can have an earlier one. Memory therefore holds the executions that run at the same time, not the
store.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection

from stream_app.core.events import Event
from stream_app.errors import OptionsError
from stream_app.sources.mlmd import queries
from stream_app.sources.mlmd.cursor import HOT_MS, WINDOW_MS, Cursor, Ids
from stream_app.sources.mlmd.events import events_of
from stream_app.sources.mlmd.queries import ARTIFACTS, ASSOCIATIONS, EDGES, EXECUTIONS
from stream_app.sources.mlmd.records import Record
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
    rules = rules or Rules()
    with store.connect() as connection:
        changes = _first(connection) if not cursor.frontier_ms else _changes(connection, cursor)
        names = queries.types(connection)
    unplaced: list[int] = []

    def changed_pages() -> Iterator[tuple[int, list[Event]]]:
        for records in _records(store, [key for _, key in changes.executions], names):
            page: list[Event] = []
            for record in records:
                events = events_of(record, rules)
                if not events:
                    unplaced.append(record.id)
                elif _is_changed(record, events, cursor, changes.cursor):
                    page += events
            yield min((record.created_ms for record in records), default=0), page

    yield from in_order(changed_pages())
    if unplaced:
        logger.warning(
            "%s: %d changed executions are in no pipeline context; see the rules mlmd.pipeline and "
            "mlmd.pipeline_contexts",
            store.name,
            len(unplaced),
        )
    cursor.move_to(changes.cursor)


def _records(store: Store, executions: list[int], names: dict[int, str]) -> Iterator[list[Record]]:
    """Yields the full records of some executions, page by page."""
    for chunk in queries.pages(executions, queries.CHUNK):
        with store.connect() as connection:
            contexts = queries.contexts(connection, chunk, names)
        for page in queries.pages(chunk):
            with store.connect() as connection:
                records = queries.records(connection, page, names, store.schema)
            for record in records:
                record.contexts = contexts.get(record.id, [])
            yield records


def messages(path: str, rules: Rules | None = None) -> Iterator[bytes]:
    """Yields every event of a store in its native JSON form, in the order of their times.

    Parameters
    ----------
    path
        As the URL of `Store`.
    rules
        The rules; by default `Rules()`.

    Yields
    ------
    bytes
        One JSON object after another.

    Raises
    ------
    OptionsError
        The store cannot be read, or none of its executions is in a pipeline.
    StoreUnavailable
        The store does not answer.
    """
    with Store(path) as store:
        found = False
        for event in follow(store, Cursor(), rules):
            found = True
            yield orjson.dumps(event_to_dict(event))
        if not found:
            raise OptionsError(
                f"{path}: no execution in it is in a pipeline context; see mlmd.pipeline and mlmd.pipeline_contexts"
            )


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


def _changes(connection: Connection, cursor: Cursor) -> _Changes:
    edges = queries.added(connection, EDGES, cursor.edges)
    associations = queries.added(connection, ASSOCIATIONS, cursor.associations)
    since_ms = cursor.frontier_ms - WINDOW_MS
    executions = queries.updated_since(connection, EXECUTIONS, since_ms)
    artifacts = queries.updated_since(connection, ARTIFACTS, since_ms)
    changed = _differ(executions, cursor.executions, cursor.frontier_ms)
    changed.update(queries.writers(connection, sorted(_differ(artifacts, cursor.artifacts, cursor.frontier_ms))))
    changed.update(edges.values(), associations.values())
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
    changed_ms = max(record.updated_ms, *(artifact.updated_ms for artifact in record.outputs), 0)
    known = before.said.get(record.id)
    recent = changed_ms >= after.frontier_ms - WINDOW_MS
    if known is None and not recent:
        return True
    encoded = orjson.dumps([event_to_dict(event) for event in events])
    digest = hashlib.blake2b(encoded, digest_size=8).hexdigest()
    if recent:
        after.said[record.id] = (changed_ms, digest)
    return known is None or known[1] != digest
