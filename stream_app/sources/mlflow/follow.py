"""One pass over a tracking server and its registry: what changed since the cursor, as events by time.

MLflow has no log of changes, and a run has no time of its last change. A pass queries the runs that started or ended
since the last pass (with an hour's overlap, since clients give these times), and those that had not ended.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import orjson

from stream_app.core.events import Event
from stream_app.errors import StreamAppError
from stream_app.sources.mlflow.cursor import OPEN_MAX_MS, WINDOW_MS, Cursor
from stream_app.sources.mlflow.registry import Origin, pushed
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.mlflow.runs import events_of, is_over, parent_of
from stream_app.sources.mlflow.tracking import Tracking
from stream_app.sources.ordering import in_order
from stream_app.wire import event_to_dict

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)


class TrackingUnavailable(StreamAppError):  # noqa: N818 - it names a state, which may pass
    """The tracking server does not answer, or refuses. The cursor has not moved; try again."""


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
        The cursor has not moved.
    """
    from mlflow.exceptions import MlflowException

    following = _Following(client, cursor, now_ms, rules or Rules())
    try:
        yield from in_order(following.pages())
    except MlflowException as error:
        raise TrackingUnavailable(f"MLflow: {error.message}") from None
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
        A function of (model, version). It raises TrackingUnavailable when the server does not answer.
    """
    from mlflow.exceptions import MlflowException

    def origin_of(model: str, version: str) -> Origin | None:
        try:
            tracking = Tracking(client, rules or Rules())
            return tracking.origin(tracking.version(model, version))
        except MlflowException as error:
            raise TrackingUnavailable(f"MLflow: {error.message}") from None

    return origin_of


class _Following:
    """One pass: its queries, and the cursor after it."""

    def __init__(self, client: MlflowClient, cursor: Cursor, now_ms: int, rules: Rules) -> None:
        self._client, self._before, self._now_ms, self._rules = client, cursor, now_ms, rules
        self._after = Cursor(cursor.started_ms, cursor.ended_ms)
        self._parents = set(cursor.parents)

    def pages(self) -> Iterator[tuple[int, list[Event]]]:
        """Pages as `in_order` takes them; the registry's page comes first and waits for the runs."""
        tracking = Tracking(self._client, self._rules)
        yield 0, self._pushes(tracking)
        for page in self._changed(tracking):
            events = self._changed_events(tracking, page)
            yield min((event.time_ms for event in events), default=0), events

    def moved(self) -> Cursor:
        """The cursor after the pass."""
        after = self._after
        since_ms = max(after.started_ms, after.ended_ms) - WINDOW_MS
        kept = {
            key: entry
            for key, entry in {**self._before.said, **after.said}.items()
            if entry[0] >= since_ms or key in after.open
        }
        after.said, after.parents = kept, sorted(self._parents & (kept.keys() | after.open.keys()))
        return after

    def _changed(self, tracking: Tracking) -> Iterator[list[Run]]:
        before = self._before
        if not before.started_ms:
            yield from tracking.runs()
            return
        found: dict[str, Run] = {}
        for condition in (
            f"attributes.start_time >= {before.started_ms - WINDOW_MS}",
            f"attributes.end_time >= {max(before.ended_ms, 1) - min(before.ended_ms, WINDOW_MS)}",
        ):
            for page in tracking.runs(condition):
                found.update((run.info.run_id, run) for run in page)
        for run in tracking.runs_by_id(sorted(before.open.keys() - found.keys())):
            found[run.info.run_id] = run
        yield sorted(found.values(), key=lambda run: (run.info.start_time or 0, run.info.run_id))

    def _changed_events(self, tracking: Tracking, page: list[Run]) -> list[Event]:
        """The events of changed runs in a page, and of runs outside it that prove to be parents now."""
        tracking.know(page)
        here = {run.info.run_id for run in page}
        named = {parent for run in page if (parent := parent_of(run)) is not None}
        outside = [tracking.run(key) for key in sorted(named - self._parents - here)]
        self._parents |= named
        events = []
        for run in (*page, *(run for run in outside if run is not None)):
            root = tracking.root(run)
            found = events_of(
                run,
                tracking.pipelines[run.info.experiment_id],
                root,
                is_parent=run.info.run_id in self._parents,
                rules=self._rules,
            )
            self._see(run)
            if found and self._is_changed(run, found):
                events += found
        return events

    def _see(self, run: Run) -> None:
        after, start_ms = self._after, run.info.start_time or 0
        after.started_ms = max(after.started_ms, min(start_ms, self._now_ms))
        after.ended_ms = max(after.ended_ms, min(run.info.end_time or 0, self._now_ms))
        if not is_over(run) and start_ms > self._now_ms - OPEN_MAX_MS:
            after.open[run.info.run_id] = start_ms

    def _is_changed(self, run: Run, events: list[Event]) -> bool:
        encoded = orjson.dumps([event_to_dict(event) for event in events])
        digest = hashlib.blake2b(encoded, digest_size=8).hexdigest()
        self._after.said[run.info.run_id] = (events[-1].time_ms, digest)
        known = self._before.said.get(run.info.run_id)
        return known is None or known[1] != digest

    def _pushes(self, tracking: Tracking) -> list[Event]:
        """The events of aliases and stages that name a version as pushed and did not at the last pass."""
        rules, events = self._rules, []
        for model in tracking.registered_models():
            named = [(f"@{alias}", str(version)) for alias, version in sorted(model.aliases.items())]
            pushed_versions = [(by, version) for by, version in named if by[1:] in rules.pushed_aliases]
            for version in model.latest_versions or ():
                if version.current_stage in rules.pushed_stages:
                    pushed_versions.append((f"#{version.current_stage}", str(version.version)))
            for by, number in pushed_versions:
                key = f"{model.name}{by}"
                self._after.pushed[key] = number
                if self._before.pushed.get(key) != number:
                    event = self._push(tracking, model.name, number, by)
                    events += [event] if event is not None else []
        return events

    def _push(self, tracking: Tracking, model: str, number: str, by: str) -> Event | None:
        version = tracking.version(model, number)
        origin = tracking.origin(version)
        if origin is None:
            if not self._rules.experiments:  # else its experiment may be one that is not read
                logger.warning(
                    "MLflow: %s/%s%s: its run is not known; see the rule mlflow.registered_models", model, number, by
                )
            return None
        by_alias = by.startswith("@") and self._before.started_ms
        time_ms = self._now_ms if by_alias else version.last_updated_timestamp or version.creation_timestamp
        return pushed(model, number, by, origin, time_ms)
