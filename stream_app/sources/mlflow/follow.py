"""One pass over a tracking server and its registry: what changed since the cursor, as events by time.

MLflow has no log of changes, and a run has no time of its last change. A pass queries the runs that started or ended
since the last pass (with an hour's overlap, since clients give these times), those that run or had not ended, and those
of model versions that are new. The first pass reads all runs, page by page.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import orjson

from stream_app.core.events import Event
from stream_app.sources.mlflow.cursor import OPEN_MAX_MS, WINDOW_MS, Cursor
from stream_app.sources.mlflow.errors import unavailable
from stream_app.sources.mlflow.family import Family
from stream_app.sources.mlflow.registry import Origin
from stream_app.sources.mlflow.registry_pass import RegistryChanges, RegistryPass
from stream_app.sources.mlflow.roles import EARLIER_MAX, parent_of
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.mlflow.runs import ended_before, events_of, is_over, own_node_ms
from stream_app.sources.mlflow.tracking import Tracking
from stream_app.sources.ordering import in_order
from stream_app.wire import event_to_dict

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def follow(client: MlflowClient, cursor: Cursor, now_ms: int, rules: Rules | None = None) -> Iterator[Event]:
    """Yields the events of what changed since the cursor, which moves once the last of them was taken.

    A pass that is interrupted leaves the cursor where it was; a pass without changes yields nothing.

    Parameters
    ----------
    client
        The client of the server.
    cursor
        The position, changed in place.
    now_ms
        The time in ms since 1970 UTC. The registry does not record when an alias was set: an alias that was not there
        at the last pass counts as set now; at the first pass, as set when its version was last changed.
    rules
        The rules; by default `Rules()`.

    Yields
    ------
    Event
        One event after another, by time.

    Raises
    ------
    TrackingUnavailable
        The server does not answer; the cursor has not moved.
    OptionsError
        The server refuses the login, or the file of promotions cannot be read; the cursor has not moved.
    """
    from mlflow.exceptions import MlflowException

    following = _Following(client, cursor, now_ms, rules or Rules())
    try:
        yield from in_order(following.pages())
    except MlflowException as error:
        raise unavailable(error) from None
    cursor.move_to(following.moved())


def origins(client: MlflowClient, rules: Rules | None = None) -> Callable[[str, str], Origin | None]:
    """Makes a function that queries the server for the origin of a model version, for `decode_webhook`.

    Parameters
    ----------
    client
        The client of the server.
    rules
        The rules; by default `Rules()`.

    Returns
    -------
    callable
        A function of (model, version). It raises TrackingUnavailable when the server does not answer, and OptionsError
        when it refuses the login.
    """
    from mlflow.exceptions import MlflowException

    def origin_of(model: str, version: str) -> Origin | None:
        try:
            tracking = Tracking(client, rules or Rules())
            found = tracking.version(model, version)
            return None if found is None else tracking.origin(found)
        except MlflowException as error:
            raise unavailable(error) from None

    return origin_of


logger = logging.getLogger(__name__)


class _Following:
    """One pass: its queries, and the cursor after it."""

    def __init__(self, client: MlflowClient, cursor: Cursor, now_ms: int, rules: Rules) -> None:
        self._client, self._before, self._now_ms, self._rules = client, cursor, now_ms, rules
        self._after = Cursor(cursor.started_ms, cursor.ended_ms)
        self._unknown = set(cursor.unknown)
        #: Runs that the next pass may read again although they are older: parents, and those of new versions.
        self._recent: set[str] = set()
        self._above: dict[str, str] = {}

    def pages(self) -> Iterator[tuple[int, list[Event]]]:
        """Pages as `in_order` takes them; the registry's page comes first and waits for the runs."""
        before = self._before
        self._tracking = Tracking(self._client, self._rules)
        registry = RegistryPass(self._tracking, before, self._after, self._now_ms, self._rules).read()
        self._report_missing()
        yield 0, registry.pushes
        self._family = Family(self._tracking, self._rules, before.parents, registry.registered.union(before.registered))
        self._unknown |= registry.unknown
        self._recent |= registry.recent
        if before.started_ms:
            yield 0, list(self._changed_events(registry))
            return
        self._family.read_all()
        deleted = self._tracking.deleted_runs(self._family.parents | self._family.registered)
        self._family.add(deleted)
        yield 0, [event for run in deleted for event in self._events(run)]
        for page in self._tracking.runs():
            self._tracking.know(page, forget=True)
            self._family.add(page)
            earliest_ms = min((run.info.start_time or 0 for run in page), default=0) - EARLIER_MAX
            yield max(0, earliest_ms), [event for run in page for event in self._events(run)]

    def _report_missing(self) -> None:
        """Names each experiment of the rules that does not exist once."""
        new = sorted({f"={name}" for name in self._tracking.missing}.difference(self._before.ignored))
        self._after.ignored += new
        if new:
            logger.warning(
                "MLflow: experiments that do not exist, or are deleted: %s; see the rule mlflow.experiments",
                ", ".join(each[1:] for each in new),
            )

    def moved(self) -> Cursor:
        """The cursor after the pass."""
        before, after = self._before, self._after
        since_ms = max(after.started_ms, after.ended_ms) - WINDOW_MS
        said = {**before.said, **after.said}
        near = {key for key, entry in said.items() if entry[0] >= since_ms} | after.open.keys() | self._recent
        near |= {self._above[key] for key in near if key in self._above}
        after.said = {key: entry for key, entry in said.items() if key in near}
        after.parents = sorted(near & self._family.parents)
        after.registered = sorted(near & self._family.registered)
        after.unknown = sorted(near & self._unknown)
        after.resumed = {key: gaps for key, gaps in {**before.resumed, **after.resumed}.items() if key in near}
        return after

    def _changed_events(self, registry: RegistryChanges) -> Iterator[Event]:
        """The events of all runs that changed since the last pass."""
        handled: dict[str, Run] = {}
        waiting = self._candidates(registry)
        while waiting:
            handled.update((run.info.run_id, run) for run in waiting)
            self._prepare(waiting)
            found: list[Run] = []
            for run in waiting:
                events = self._events(run)
                yield from events
                if events and self._family.role(run).searches:
                    found += self._family.children(run.info.run_id)
            found += self._new_parents(waiting)
            waiting = [run for run in _by_start(found) if run.info.run_id not in handled]

    def _candidates(self, registry: RegistryChanges) -> list[Run]:
        before = self._before
        found: dict[str, Run] = {}
        for condition in (
            f"attributes.start_time >= {before.started_ms - WINDOW_MS}",
            f"attributes.end_time >= {max(before.ended_ms, 1) - min(before.ended_ms, WINDOW_MS)}",
            f"attributes.status = 'RUNNING' AND attributes.start_time >= {max(self._now_ms - OPEN_MAX_MS, 0)}",
        ):
            for page in self._tracking.runs(condition):
                found.update((run.info.run_id, run) for run in page)
        named = (before.open.keys() | registry.runs) - found.keys()
        return _by_start([*found.values(), *self._tracking.runs_by_id(sorted(named))])

    def _prepare(self, runs: list[Run]) -> None:
        """Learns what the roles of runs depend on.

        A run of which the cursor remembers nothing may have been registered before; the others were seen since.
        """
        self._tracking.know(runs, forget=False)
        self._family.add(runs)
        since_ms = self._before.started_ms - WINDOW_MS
        relatives = {run.info.run_id: run for each in runs for run in (each, *self._tracking.ancestors(each))}
        self._family.ask_registered(
            [
                key
                for key, run in relatives.items()
                if key not in self._before.said and (run.info.start_time or 0) < since_ms
            ]
        )

    def _new_parents(self, runs: list[Run]) -> list[Run]:
        """The parents of runs that were not known to be parents at the last pass."""
        parents = (above for run in runs for above in self._tracking.ancestors(run)[:1])
        return [run for run in parents if run.info.run_id not in self._before.parents]

    def _events(self, run: Run) -> list[Event]:
        """The events of a run if they changed since the last pass."""
        self._see(run)
        events = self._made(run)
        if events and self._differ(run, events) and self._family.ask_parent(run):
            events = self._made(run)
        if not events or not self._differ(run, events):
            return []
        role, last = self._family.role(run), events[-1]
        if role.searches and is_over(run) and last.node_ms is None:
            nodes = self._rules.operators.nodes.get(role.type, 1)
            last.node_ms = own_node_ms(events, self._family.spans(run.info.run_id), nodes)
        return events

    def _made(self, run: Run) -> list[Event]:
        run_id = run.info.run_id
        return events_of(
            run,
            self._tracking.pipelines[run.info.experiment_id],
            self._tracking.root(run),
            self._family.role(run),
            self._rules,
            resumed=self._after.resumed.get(run_id, ()),
            is_unknown=run_id in self._unknown,
        )

    def _see(self, run: Run) -> None:
        after, run_id, start_ms = self._after, run.info.run_id, run.info.start_time or 0
        parent = parent_of(run)
        if parent is not None:
            self._above[run_id] = parent
        after.started_ms = max(after.started_ms, min(start_ms, self._now_ms))
        after.ended_ms = max(after.ended_ms, min(run.info.end_time or 0, self._now_ms))
        gaps = list(self._before.resumed.get(run_id, ()))
        end_ms = ended_before(run)
        if end_ms is not None and (not gaps or gaps[-1][0] != end_ms):
            gaps.append((end_ms, max(self._now_ms, end_ms)))
        if gaps:
            after.resumed[run_id] = gaps
        if not is_over(run) and max(start_ms, gaps[-1][1] if gaps else 0) > self._now_ms - OPEN_MAX_MS:
            after.open[run_id] = start_ms

    def _differ(self, run: Run, events: list[Event]) -> bool:
        """Whether events are others than those of the last pass; records their digest for the next one."""
        encoded = orjson.dumps([event_to_dict(event) for event in events])
        digest = hashlib.blake2b(encoded, digest_size=8).hexdigest()
        read_ms = self._now_ms if self._before.started_ms else 0
        self._after.said[run.info.run_id] = (max(events[-1].time_ms, read_ms), digest)
        known = self._before.said.get(run.info.run_id)
        return known is None or known[1] != digest


def _by_start(runs: Iterable[Run]) -> list[Run]:
    return sorted(
        {run.info.run_id: run for run in runs}.values(), key=lambda run: (run.info.start_time or 0, run.info.run_id)
    )
