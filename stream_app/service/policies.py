"""The ladder of a pipeline: what holds, who decided it, and what people may decide."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from stream_app.alerts.access import Principal, Scope
from stream_app.alerts.act_service import SECONDS, NotStoredError
from stream_app.alerts.filters import matcher
from stream_app.alerts.flag_acts import ActError, WriteEvents, check_fields, read_reason
from stream_app.alerts.saved import AuditEntry
from stream_app.alerts.subscribers import ForbiddenError, NotFoundError
from stream_app.core.acts import policy
from stream_app.core.ladder import Ladder, LadderRule, Step
from stream_app.errors import StreamAppError
from stream_app.options.detector import LadderOptions
from stream_app.provenance import questions
from stream_app.service.answers import Keepers
from stream_app.times import time_to_text

_FIELDS = ("last", "between_hours", "exempt_labels", "exempt_hours")


class Policies:
    """Shows and changes the ladders of pipelines.

    Parameters
    ----------
    keepers
        Those who keep the state of pipelines.
    write
        Stores events.
    rules
        Those of the settings.
    audit
        Called with each change.
    now_ms
        The clock, in ms since 1970 UTC.
    """

    def __init__(
        self,
        keepers: Keepers,
        write: WriteEvents,
        rules: Sequence[LadderRule],
        audit: Callable[[AuditEntry], None] = lambda _: None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._keepers = keepers
        self._write = write
        self._rules = tuple(rules)
        self._now_ms = now_ms
        self._audit = audit

    async def get(self, who: Principal, pipeline: str) -> dict[str, Any]:
        """What holds for a pipeline.

        Parameters
        ----------
        who
            Whoever asks.
        pipeline
            Its name.

        Returns
        -------
        dict
            `pipeline`; `source`: `act` or `settings`; of an act its `ladder`, else None; of the last act `by`, `reason`
            and `time`, or None; `rules`: those of the settings that may hold for its runs, in order.

        Raises
        ------
        NotFoundError
            Whoever asks does not see it.
        """
        if not who.sees(pipeline):
            raise NotFoundError("there is no such pipeline")
        act = await self._keepers.ask(pipeline, questions.POLICY, of=pipeline) or {}
        ladder = act.get("ladder")
        return {
            "pipeline": pipeline,
            "source": "act" if ladder is not None else "settings",
            "ladder": ladder,
            **{name: act.get(name) for name in ("by", "reason", "time")},
            "rules": [_rule_to_dict(rule) for rule in self._rules_of(pipeline)],
        }

    async def set(self, who: Principal, pipeline: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Sets the ladder of a pipeline.

        Parameters
        ----------
        who
            Whoever asks.
        pipeline
            Its name.
        given
            `last` and `reason`, and perhaps `between_hours`, `exempt_labels` and `exempt_hours`.

        Returns
        -------
        dict
            As of `get`, as it will be.

        Raises
        ------
        NotFoundError, ForbiddenError
            Whoever asks does not see it, or may not do this.
        ActError
            A field is wrong.
        NotStoredError
            It is not known to be stored.
        """
        check_fields(given, {*_FIELDS, "reason"})
        reason, ladder = read_reason(given), _read_ladder(given)
        needed = Scope.ADMIN if ladder.last is Step.ACT else Scope.WRITE
        return await self._change(who, pipeline, ladder, reason, needed)

    async def clear(self, who: Principal, pipeline: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """Lets the rules of the settings hold for a pipeline again; all as of `set`, `given` has `reason`."""
        check_fields(given, {"reason"})
        needed = Scope.ADMIN if self._may_act(pipeline) else Scope.WRITE
        return await self._change(who, pipeline, None, read_reason(given), needed)

    async def _change(
        self, who: Principal, pipeline: str, ladder: Ladder | None, reason: str, needed: Scope
    ) -> dict[str, Any]:
        if not who.sees(pipeline):
            raise NotFoundError("there is no such pipeline")
        if who.owners:
            raise ForbiddenError("this token is bound to owners, and a pipeline may have runs of others")
        if not who.may(needed):
            why = " to let runs be stopped" if needed is Scope.ADMIN else ""
            raise ForbiddenError(f"this needs a token with the scope {needed.name.lower()}{why}")
        now_ms = self._now_ms()
        event = policy(pipeline, ladder, who.name, reason, now_ms)
        try:
            async with asyncio.timeout(SECONDS):
                await self._write([event])
        except TimeoutError:
            raise NotStoredError("the policy is not known to be stored in time; try again") from None
        except StreamAppError as error:
            raise NotStoredError(f"the policy cannot be stored now: {error}") from None
        word = f"policy {ladder.last}" if ladder is not None else "clear policy"
        self._audit(AuditEntry(now_ms, who.name, f"{word}: {reason}", pipeline))
        return {
            "pipeline": pipeline,
            "source": "act" if ladder is not None else "settings",
            "ladder": ladder.to_dict() if ladder is not None else None,
            "by": who.name,
            "reason": reason,
            "time": time_to_text(now_ms),
            "rules": [_rule_to_dict(rule) for rule in self._rules_of(pipeline)],
        }

    def _rules_of(self, pipeline: str) -> list[LadderRule]:
        """The rules that may hold for runs of a pipeline, up to the first that holds for all of them."""
        found = []
        for rule in self._rules:
            if matcher((rule.pipeline,))(pipeline):
                found.append(rule)
                if rule.owner == "*" and not rule.labels:
                    break
        return found

    def _may_act(self, pipeline: str) -> bool:
        """Whether the rules of the settings let some run of a pipeline be stopped."""
        found = self._rules_of(pipeline)
        decided = bool(found) and found[-1].owner == "*" and not found[-1].labels
        return not decided or any(rule.ladder.last is Step.ACT for rule in found)


def _read_ladder(given: Mapping[str, Any]) -> Ladder:
    """The ladder in what somebody asks for; raises ActError."""
    if "last" not in given:
        raise ActError("last", f"expected one of {', '.join(Step)}")
    labels = given.get("exempt_labels", ())
    if isinstance(labels, list | tuple) and any("," in each for each in labels if isinstance(each, str)):
        raise ActError("exempt_labels", "a condition cannot have a comma in it")
    try:
        return LadderOptions(**{name: given[name] for name in _FIELDS if name in given}).rule().ladder
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else ""
        raise ActError(field, first["msg"].removeprefix("Value error, ")) from None


def _rule_to_dict(rule: LadderRule) -> dict[str, Any]:
    conditions = {"pipeline": rule.pipeline, "owner": rule.owner, "labels": dict(rule.labels)}
    return {**conditions, "ladder": rule.ladder.to_dict()}
