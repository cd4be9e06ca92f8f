"""Reads the registry in one pass: which versions were pushed since the last one, and what cannot be known.

The registry keeps what holds now: its aliases have no times, and a version that an alias left does not show it. What an
alias named at a pass and did not at the one before was pushed now. Before the first pass only tags and the file of
promotions tell more.

A push is remembered by its id, such as `ads/1@champion`. A model that was deleted and made anew may have the same
version again; then the time of its creation differs, and is added to the id.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from stream_app.core.events import Event
from stream_app.sources.mlflow.cursor import PUSHES_MS, REGISTRY_WINDOW_MS, Cursor
from stream_app.sources.mlflow.promotions import read_promotions, time_of
from stream_app.sources.mlflow.registry import pushed
from stream_app.sources.mlflow.rules import Rules
from stream_app.sources.mlflow.tracking import Tracking, Version

logger = logging.getLogger(__name__)

#: Names of aliases and stages that probably mean a push.
_IN_PRODUCTION = re.compile(
    r"(?!.*(pre|non|old|former|previous|shadow))"
    r".*(?<![a-z])(prod|production|champion|live|serving|deployed|released|online|current)(?![a-z])",
    re.IGNORECASE,
)

ARCHIVED = "Archived"
_NO_STAGE = "None"
#: What reports a push that only the file of promotions tells.
_PROMOTIONS = "?promotions"
#: When the version was created whose push was named, but which does not exist.
_MISSING = -1
_IGNORED_MAX = 1000


@dataclass(slots=True)
class RegistryChanges:
    """What one pass found in the registry."""

    pushes: list[Event] = field(default_factory=list)
    #: Ids of the runs of versions that were registered, pushed or archived since the last pass.
    runs: set[str] = field(default_factory=set)
    #: Those of versions that the next pass reads again.
    recent: set[str] = field(default_factory=set)
    #: Ids of the runs that versions come from; at the first pass all of them.
    registered: set[str] = field(default_factory=set)
    #: Ids of the runs for which the registry cannot tell whether they were pushed.
    unknown: set[str] = field(default_factory=set)


class RegistryPass:
    """One pass over the registry.

    Parameters
    ----------
    tracking
        Answers queries.
    before, after
        The cursor of the last pass, and the one to be written.
    now_ms
        The time of the pass in ms since 1970 UTC.
    rules
        The rules.
    """

    def __init__(self, tracking: Tracking, before: Cursor, after: Cursor, now_ms: int, rules: Rules) -> None:
        self._tracking, self._before, self._after = tracking, before, after
        self._now_ms, self._rules = now_ms, rules
        self._is_first = not before.started_ms
        self._found = RegistryChanges()
        self._versions: dict[tuple[str, str], Version] = {}
        self._promotions = {} if rules.promotions is None else read_promotions(rules.promotions)
        #: Model and number of the versions that were ever pushed, as far as is known.
        self._pushed: set[tuple[str, str]] = set()
        self._lost: list[str] = []

    def read(self) -> RegistryChanges:
        """Reads it.

        Raises
        ------
        OptionsError
            The file of promotions cannot be read.
        """
        after, since_ms = self._after, self._before.versions_ms - REGISTRY_WINDOW_MS
        after.pushes = dict(self._before.pushes)
        after.versions_ms = self._before.versions_ms
        for version in self._tracking.versions(0 if self._is_first else since_ms):
            self._versions[version.model, version.number] = version
            after.versions_ms = max(after.versions_ms, min(version.changed_ms, self._now_ms))
        changed = list(self._versions.values())
        if not self._is_first:
            for version in self._tracking.promoted_versions():
                self._versions.setdefault((version.model, version.number), version)
        named = self._named()
        for model, number, by in named:
            self._push(model, number, by)
        self._forget(since_ms=self._now_ms - PUSHES_MS)
        self._find_runs(changed)
        self._find_unknown(changed, {(model, number) for model, number, by in named if by[0] != "?"})
        if self._lost:
            logger.warning(
                "MLflow: %d pushed versions do not exist any more, and their pushes are not read: %s",
                len(self._lost),
                _some(self._lost),
            )
        return self._found

    def _named(self) -> list[tuple[str, str, str]]:
        """Model, number and what reports it, of the pushes that the registry and the promotions tell now."""
        found: list[tuple[str, str, str]] = []
        ignored: set[str] = set()
        for model in self._tracking.registered_models():
            for alias, number in sorted(model.aliases.items()):
                if self._rules.means_pushed("@", alias):
                    found.append((model.name, str(number), f"@{alias}"))
                else:
                    ignored.add(f"@{alias}")
        for version in self._versions.values():
            if version.stage and self._rules.means_pushed("#", version.stage):
                found.append((version.model, version.number, f"#{version.stage}"))
            elif version.stage not in (None, _NO_STAGE, ARCHIVED):
                ignored.add(f"#{version.stage}")
            if version.promoted is not None and time_of(version.promoted) is not None:
                found.append((version.model, version.number, f"?{self._rules.promoted_tag}"))
        found += [(model, number, _PROMOTIONS) for model, number in self._promotions]
        self._report_ignored(ignored)
        return found

    def _report_ignored(self, ignored: set[str]) -> None:
        new = sorted(ignored.difference(self._before.ignored))
        self._after.ignored = [*self._before.ignored, *new][:_IGNORED_MAX]
        if new:
            logger.warning(
                "MLflow: aliases (@) and stages (#) that mean no push: %s; see the rules mlflow.pushed_aliases and "
                "mlflow.pushed_stages",
                ", ".join(new),
                extra={"settings": self._settings(new)},  # `check` proposes them
            )

    def _settings(self, ignored: Iterable[str]) -> dict[str, dict[str, list[str]]]:
        """The settings with which those of the ignored names that speak of production mean a push."""
        rules, found = self._rules, dict[str, list[str]]()
        given = {"pushed_aliases": ("@", rules.pushed_aliases), "pushed_stages": ("#", rules.pushed_stages)}
        for key, (mark, known) in given.items():
            names = [each[1:] for each in ignored if each[0] == mark and _IN_PRODUCTION.match(each)]
            if names:
                found[key] = [*known, *names]
        return {"mlflow": found} if found else {}

    def _push(self, model: str, number: str, by: str) -> None:
        before, after, key = self._before, self._after, f"{model}/{number}{by}"
        version = self._versions.get((model, number))
        if version is None and key in before.named:
            after.named[key] = before.named[key]
            return
        version = version or self._tracking.version(model, number)
        after.named[key] = _MISSING if version is None else version.created_ms
        if version is None:
            self._lost.append(key)
            return
        self._pushed.add((model, number))
        created_ms, _ = before.pushes.get(key, (version.created_ms, 0))
        again = "" if created_ms == version.created_ms else f"~{version.created_ms}"
        if key + again in after.pushes:
            return
        time_ms = self._time(version, by)
        after.pushes[key + again] = (version.created_ms, time_ms)
        origin = self._tracking.origin(version)
        if origin is not None:
            self._found.pushes.append(pushed(model, number, by, origin, time_ms, again=again))
            self._found.runs.update([origin.run_id] if origin.run_id else [])
        elif not self._rules.experiments:  # else its experiment may be one that is not read
            logger.warning("MLflow: %s: its run is not known; see the rule mlflow.registered_models", key)

    def _time(self, version: Version, by: str) -> int:
        """When a version was pushed that was not at the last pass."""
        recorded_ms = self._recorded_ms(version)
        if recorded_ms is not None:
            return min(recorded_ms, self._now_ms)
        if by[0] == "@" and not self._is_first:
            return self._now_ms
        return min(version.changed_ms or version.created_ms, self._now_ms)

    def _recorded_ms(self, version: Version) -> int | None:
        recorded = [self._promotions.get((version.model, version.number)), time_of(version.promoted or "")]
        return min((ms for ms in recorded if ms is not None), default=None)

    def _forget(self, since_ms: int) -> None:
        after = self._after
        after.pushes = {key: push for key, push in after.pushes.items() if push[1] >= since_ms or key in after.named}

    def _find_runs(self, changed: Iterable[Version]) -> None:
        since_ms = self._before.versions_ms - REGISTRY_WINDOW_MS
        for version in changed:
            if not self._is_first and version.created_ms < since_ms:
                continue
            run_id = self._tracking.run_of(version)
            if run_id is not None:
                self._found.runs.add(run_id)
                if version.created_ms >= self._after.versions_ms - REGISTRY_WINDOW_MS:
                    self._found.recent.add(run_id)
        self._found.registered |= self._found.runs

    def _find_unknown(self, changed: Iterable[Version], present: set[tuple[str, str]]) -> None:
        """Finds the versions that may have been pushed before the registry was first read."""
        champions: dict[str, int] = {}
        recorded: dict[str, int] = {}
        for (model, number), version in self._versions.items():
            if (model, number) in present:
                champions[model] = max(version.order, champions.get(model, 0))
            if self._recorded_ms(version) is not None:
                recorded[model] = min(version.order, recorded.get(model, version.order))
        limits = {model: min(order, recorded.get(model, order)) for model, order in champions.items()}
        unknown = [
            version
            for version in changed
            if (version.model, version.number) not in self._pushed
            and not self._was_pushed(version)
            and (version.stage == ARCHIVED or (self._is_first and version.order < limits.get(version.model, 0)))
        ]
        runs = {run_id for version in unknown if (run_id := self._tracking.run_of(version)) is not None}
        self._tracking.fetch(sorted(runs - self._pushed_runs()))
        self._found.unknown = {
            run_id for run_id in runs - self._pushed_runs() if self._tracking.run(run_id) is not None
        }
        new = self._found.unknown.difference(self._before.unknown)
        self._found.runs |= new
        if new:
            logger.warning(
                "MLflow: whether %d registered runs were ever pushed cannot be known: they count as unknown, not as "
                "negatives; see the rules mlflow.promoted_tag and mlflow.promotions",
                len(new),
            )

    def _was_pushed(self, version: Version) -> bool:
        """Whether an earlier pass saw a version pushed."""
        start = f"{version.model}/{version.number}"
        return any(
            key.startswith(start) and key[len(start)] in "@#?" and created_ms == version.created_ms
            for key, (created_ms, _) in self._before.pushes.items()
        )

    def _pushed_runs(self) -> set[str | None]:
        """Runs of versions that were pushed."""
        found = (self._versions.get(each) for each in self._pushed)
        return {self._tracking.run_of(version) for version in found if version is not None}


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
