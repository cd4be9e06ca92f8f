"""`/v1/...`: verdicts, graphlets, and whether a run should stop."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson
from aiohttp import web

from stream_app.acting.gate import Gate
from stream_app.core.ids import graphlet_id
from stream_app.core.outputs import CONTINUE, PRUNE, WARN
from stream_app.errors import OptionsError
from stream_app.service.answers import Answers
from stream_app.service.verdict_index import VerdictRecord, deciding
from stream_app.web.problems import ProblemError
from stream_app.wire import graphlet_to_dict, outcome_of

#: Verdicts in one response, by default and at most.
LIMIT, LIMIT_MAX = 100, 1_000
_DECISIONS = (CONTINUE, WARN, PRUNE)
#: Whether a run should stop of which nothing is known.
NOT_KNOWN: Mapping[str, Any] = {
    "known": False, "decision": None, "p_push": None, "why": [], "prune": False, "why_not": None, "verdict": None,
}  # fmt: skip


class QueryRoutes:
    """The handlers of the routes of queries.

    Parameters
    ----------
    answers
        Answers the questions.
    gate
        Decides whether a flagged run may be stopped now; None: one with a kill switch that is on.
    """

    def __init__(self, answers: Answers, gate: Gate | None = None) -> None:
        self._answers = answers
        self._gate = gate or Gate()

    def routes(self) -> list[web.RouteDef]:
        """The routes. The id of a graphlet contains slashes; that of its trainer alone will do if it is unique."""
        return [
            web.get("/v1/verdicts", self.verdicts),
            web.get("/v1/verdicts/{graphlet:.+}", self.verdict),
            web.get("/v1/decisions/{verdict:.+}", self.decision),
            web.get("/v1/graphlets/{graphlet:.+}/diff", self.difference),
            web.get("/v1/graphlets/{graphlet:.+}", self.graphlet),
            web.get("/v1/should-prune", self.should_prune),
        ]

    async def verdicts(self, request: web.Request) -> web.Response:
        """The latest verdicts, newest first, filtered by `run`, `pipeline`, `decision` and `limit`."""
        query = _query(request, "run", "pipeline", "decision", "limit")
        decision = query.get("decision")
        if decision is not None and decision not in _DECISIONS:
            raise ProblemError(400, f"decision: expected one of {', '.join(_DECISIONS)}")
        limit = query.get("limit", str(LIMIT))
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 6 and 1 <= int(limit) <= LIMIT_MAX):
            raise ProblemError(400, f"limit: expected a number from 1 to {LIMIT_MAX}")
        index = self._answers.verdicts
        pipeline = query.get("pipeline")
        if "run" in query:
            found = [
                verdict
                for verdict in reversed(index.of_run(query["run"]))
                if pipeline in (None, verdict["pipeline"]) and decision in (None, verdict["decision"])
            ][: int(limit)]
        else:
            found = index.latest(int(limit), pipeline, decision)
        return _json({"verdicts": await self._with_nearest(found)})

    async def verdict(self, request: web.Request) -> web.Response:
        """The last verdict on a graphlet, or on a run (`<pipeline>/run:<run>`)."""
        name = request.match_info["graphlet"]
        index = self._answers.verdicts
        found = index.get(name) or index.get(_of_trainer(name, await self._answers.pipelines_of_trainer(name)))
        if found is None:
            raise ProblemError(404, "there is no verdict on such a graphlet")
        [answer] = await self._with_nearest([found])
        return _json(answer)

    async def decision(self, request: web.Request) -> web.Response:
        """All that a verdict was made of, and what was done about it."""
        name = request.match_info["verdict"]
        graphlet = name.rpartition("#")[0]
        verdict = self._answers.verdicts.get(graphlet)
        if verdict is None:
            raise _no_record("there is no verdict on such a graphlet; expected an id such as ads/train-1#2")
        if verdict["id"] != name:
            raise _no_record(f"the last verdict on this graphlet is {verdict['id'][:200]}, and others are not kept")
        try:
            found = await self._answers.decision(verdict)
        except OptionsError as error:  # it is of an early release
            raise _no_record(f"there is none of this verdict: {error}") from None
        if found is None:
            raise _no_record("what this verdict was made of is not kept any more")
        return _json(found)

    async def _with_nearest(self, verdicts: Sequence[VerdictRecord]) -> list[dict[str, Any]]:
        """The verdicts, each with the past graphlets that are most alike, which are found only when asked for."""
        found = await self._answers.nearest(verdicts)
        return [{**verdict, "nearest": nearest} for verdict, nearest in zip(verdicts, found, strict=True)]

    async def graphlet(self, request: web.Request) -> web.Response:
        """A graphlet with its members, cost and outcome, and the last verdict on it."""
        return await self._graphlet(request.match_info["graphlet"])

    async def difference(self, request: web.Request) -> web.Response:
        """What differs between a graphlet and the last push before it, or the graphlet `against`."""
        query = _query(request, "against")
        name = request.match_info["graphlet"]
        record = await self._found(name)
        if record is None:  # it may be that of a trainer whose id ends like this route
            return await self._graphlet(f"{name}/diff")
        against = query.get("against")
        other = await self._found(against) if against is not None else None
        if against is not None and other is None:
            raise ProblemError(404, f"against: there is no such graphlet as {against[:80]!r}")
        compared = await self._answers.difference(record["graphlet"], other["graphlet"] if other is not None else None)
        if compared is None:  # dropped meanwhile
            raise _no_graphlet()
        return _json(compared)

    async def _graphlet(self, name: str) -> web.Response:
        record = await self._found(name)
        if record is None:
            raise _no_graphlet()
        verdict = self._answers.verdicts.get(record["graphlet"])
        return _json({"graphlet": graphlet_to_dict(record), "outcome": outcome_of(record), "verdict": verdict})

    async def _found(self, name: str) -> dict[str, Any] | None:
        """The graphlet of an id, or of the id of a trainer alone; raises ProblemError when there are several."""
        found = await self._answers.graphlet(name)
        if found is not None:
            return found
        return await self._answers.graphlet(_of_trainer(name, await self._answers.pipelines_with(name)))

    async def should_prune(self, request: web.Request) -> web.Response:
        """Whether a run, or a trainer (`execution`), should stop, and the verdict that decides it."""
        query = _query(request, "run", "pipeline", "execution")
        empty = [name for name, value in query.items() if not value]
        if empty:
            raise ProblemError(400, f"{empty[0]}: expected a text that is not empty")
        verdicts = await self._deciding(query.get("run"), query.get("pipeline"), query.get("execution"))
        if not verdicts:
            return _json(NOT_KNOWN)
        found = verdicts[-1]
        is_flagged = found["decision"] == PRUNE
        enforces = all(map(self._answers.enforces, verdicts))
        refusal = self._gate.refusal(verdicts, enforces) if is_flagged else None
        return _json(
            {
                "known": True,
                "decision": found["decision"],
                "p_push": found["p_push"],
                "why": found["reasons"],
                "prune": is_flagged and refusal is None,
                "why_not": refusal.to_dict() if refusal is not None else None,
                "verdict": found["id"],
            }
        )

    async def _deciding(self, run: str | None, pipeline: str | None, execution: str | None) -> list[VerdictRecord]:
        """The verdicts that decide; raises ProblemError for an ambiguous query."""
        index = self._answers.verdicts
        if run is None:
            if execution is None:
                raise ProblemError(400, "run: missing; expected run, or execution")
            if pipeline is not None:
                name = graphlet_id(pipeline, execution)
            else:
                name = _of_trainer(execution, await self._answers.pipelines_of_trainer(execution))
            found = index.get(name)
            return [found] if found is not None else []
        verdicts = index.of_run(run, pipeline)
        # A trainer without a run may know no other id than its own.
        alone = [verdict for verdict in index.of_trainer(run, pipeline) if verdict["run"] is None]
        if pipeline is None:
            known = await self._answers.pipelines_of_run(run)
            if len(known | {verdict["pipeline"] for verdict in alone}) > 1:
                raise _ambiguous("run")
        return deciding(verdicts or alone, execution)


def _of_trainer(execution: str, pipelines: Collection[str]) -> str:
    """The id of the graphlet of a trainer; "" when there is none; raises ProblemError when there are several."""
    if len(pipelines) > 1:
        raise _ambiguous(f"trainer {execution[:80]!r}")
    return "".join(graphlet_id(pipeline, execution) for pipeline in pipelines)


def _no_record(why: str) -> ProblemError:
    return ProblemError(404, f"{why}; stream-app explain --record makes the record of any verdict from the events")


def _no_graphlet() -> ProblemError:
    return ProblemError(404, "there is no such graphlet")


def _ambiguous(what: str) -> ProblemError:
    return ProblemError(409, f"{what}: more than one pipeline has this id; give pipeline as well")


def _query(request: web.Request, *known: str) -> dict[str, str]:
    unknown = sorted(set(request.query) - set(known))
    if unknown:
        raise ProblemError(400, f"unknown parameter {unknown[0][:80]!r}; there are {', '.join(known)}")
    return {name: request.query[name] for name in known if name in request.query}


def _json(body: Any) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json")
