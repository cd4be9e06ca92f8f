"""`/v1/subscriptions`: makes, changes, shows and tries subscriptions, and shows what they were sent."""

from __future__ import annotations

import asyncio
import functools
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, ParamSpec

import orjson
from aiohttp import web

from stream_app.alerts.access import Principal
from stream_app.alerts.act_service import NotStoredError
from stream_app.alerts.flag_acts import ActError
from stream_app.alerts.messages import Fate
from stream_app.alerts.registered import Registered, shown
from stream_app.alerts.saved import AlertStoreError, Delivery
from stream_app.alerts.subscribers import ConflictError, ForbiddenError, NotFoundError
from stream_app.alerts.subscription_service import SubscriptionService
from stream_app.alerts.subscriptions import State, SubscriptionError
from stream_app.times import text_to_time, time_to_text
from stream_app.web.bodies import JSON, Bodies
from stream_app.web.problems import ProblemError
from stream_app.web.tokens import PRINCIPAL

PATH = "/v1/subscriptions"
ONE = f"{PATH}/{{id}}"
OWNER = "/v1/owners/{owner}"
MERGE_PATCH = "application/merge-patch+json"
#: Bytes of a body, and how deep it may be nested.
BODY_BYTES, DEPTH_MAX = 64 << 10, 40
#: Subscriptions or deliveries in one answer, by default and at most.
LIMIT, LIMIT_MAX = 100, 1_000
#: Characters of an Idempotency-Key.
KEY_MAX = 255
_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")

_Given = ParamSpec("_Given")


def problems_of(handle: Callable[_Given, Awaitable[web.Response]]) -> Callable[_Given, Awaitable[web.Response]]:
    """Turns errors of the services of subscriptions and of acts into problems."""

    @functools.wraps(handle)
    async def handled(*given: _Given.args, **named: _Given.kwargs) -> web.Response:
        try:
            return await handle(*given, **named)
        except NotFoundError as error:
            raise ProblemError(404, str(error)) from None
        except ForbiddenError as error:
            raise ProblemError(403, str(error)) from None
        except ConflictError as error:
            raise ProblemError(409, str(error)) from None
        except (SubscriptionError, ActError) as error:
            raise ProblemError(422, str(error), field=error.field) from None
        except (AlertStoreError, NotStoredError) as error:
            raise ProblemError(503, str(error), {"Retry-After": "5"}) from None

    return handled


class SubscriptionRoutes:
    """The handlers.

    Parameters
    ----------
    subscriptions
        Does what is asked.
    now_ms
        The clock, in ms since 1970 UTC.
    """

    def __init__(
        self, subscriptions: SubscriptionService, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    ) -> None:
        self._subscriptions = subscriptions
        self._now_ms = now_ms
        self._bodies = Bodies()

    def routes(self) -> list[web.RouteDef]:
        """The routes."""
        return [
            web.get(PATH, self.listed),
            web.post(PATH, self.create),
            web.post(f"{PATH}/preview", self.preview),
            web.get(ONE, self.get),
            web.patch(ONE, self.change),
            web.delete(ONE, self.delete),
            web.post(f"{ONE}/test", self.test),
            web.post(f"{ONE}/pause", functools.partial(self.set_state, state=State.PAUSED)),
            web.post(f"{ONE}/resume", functools.partial(self.set_state, state=State.ACTIVE)),
            web.post(f"{ONE}/rotate-secret", self.rotate),
            web.post(f"{ONE}/recover", self.recover),
            web.get(f"{ONE}/deliveries", self.deliveries),
            web.post(f"{ONE}/deliveries/{{number}}/redeliver", self.redeliver),
            web.delete(OWNER, self.forget),
        ]

    @problems_of
    async def listed(self, request: web.Request) -> web.Response:
        """The subscriptions that the token may see, by id, from the one after `after` on."""
        query = queried(request, "after", "limit")
        limit = number_of(query.get("limit"), "limit", LIMIT, LIMIT_MAX)
        found = self._subscriptions.listed(_who(request), query.get("after", ""), limit + 1)
        following = found[limit - 1]["id"] if len(found) > limit else None
        return answer({"subscriptions": found[:limit], "next": following})

    @problems_of
    async def create(self, request: web.Request) -> web.Response:
        """Makes a subscription; its secret is in this answer alone."""
        key = request.headers.get("Idempotency-Key")
        if key is not None and not _KEY.match(key):
            raise ProblemError(400, f"expected at most {KEY_MAX} visible ASCII characters", field="Idempotency-Key")
        given = await self._object(request)
        made, secret = self._subscriptions.create(_who(request), given, self._now_ms(), key)
        location = {"Location": f"{PATH}/{made.subscription.id}"}
        return await self._answer(made, 201, {"secret": secret} if secret is not None else {}, location)

    @problems_of
    async def get(self, request: web.Request) -> web.Response:
        """A subscription, without its secrets."""
        found = self._subscriptions.get(_who(request), request.match_info["id"])
        return answer(shown(found), headers={"ETag": found.etag})

    @problems_of
    async def change(self, request: web.Request) -> web.Response:
        """Changes a subscription by a JSON merge patch, where it still has the version of `If-Match`."""
        who, name = _who(request), request.match_info["id"]
        given = await self._object(request, MERGE_PATCH, JSON)
        self._check_version(request, self._subscriptions.get(who, name))
        return await self._answer(self._subscriptions.change(who, name, given, None, self._now_ms()))

    @problems_of
    async def delete(self, request: web.Request) -> web.Response:
        """Deletes a subscription, and the messages that wait for it."""
        who, name = _who(request), request.match_info["id"]
        self._check_version(request, self._subscriptions.get(who, name))
        self._subscriptions.delete(who, name, self._now_ms())
        await self._subscriptions.saved()
        return web.Response(status=204)

    @problems_of
    async def preview(self, request: web.Request) -> web.Response:
        """What a draft would have sent."""
        given = await self._object(request)
        return answer(await self._subscriptions.preview(_who(request), given, self._now_ms()))

    @problems_of
    async def test(self, request: web.Request) -> web.Response:
        """Sends a made-up flag."""
        return answer(await self._subscriptions.test(_who(request), request.match_info["id"], self._now_ms()))

    async def set_state(self, request: web.Request, state: State) -> web.Response:
        """Pauses or resumes a subscription."""

        @problems_of
        async def handle(_: object, request: web.Request) -> web.Response:
            name = request.match_info["id"]
            return await self._answer(self._subscriptions.set_state(_who(request), name, state, self._now_ms()))

        return await handle(self, request)

    @problems_of
    async def rotate(self, request: web.Request) -> web.Response:
        """Gives a webhook a new secret, which is in this answer alone."""
        made, secret = self._subscriptions.rotate(_who(request), request.match_info["id"], self._now_ms())
        return await self._answer(made, 200, {"secret": secret})

    @problems_of
    async def deliveries(self, request: web.Request) -> web.Response:
        """The delivery log of a subscription, newest first."""
        query = queried(request, "limit", "before", "fate")
        limit = number_of(query.get("limit"), "limit", LIMIT, LIMIT_MAX)
        before = number_of(query["before"], "before", 0, 1 << 62) if "before" in query else None
        fates = [_fate(each) for each in request.query.getall("fate", [])]
        ask = (_who(request), request.match_info["id"], limit + 1, before, fates)
        found = await asyncio.to_thread(self._subscriptions.deliveries, *ask)
        following = found[limit - 1].number if len(found) > limit else None
        return answer({"deliveries": [_delivery(each) for each in found[:limit]], "next": following})

    @problems_of
    async def redeliver(self, request: web.Request) -> web.Response:
        """Sends the message of a delivery again."""
        number = number_of(request.match_info["number"], "number", 0, 1 << 62)
        self._subscriptions.redeliver(_who(request), request.match_info["id"], number, self._now_ms())
        await self._subscriptions.saved()
        return web.Response(status=202)

    @problems_of
    async def recover(self, request: web.Request) -> web.Response:
        """Sends again what was given up since a time, or counts it."""
        given = await self._object(request)
        since_ms, dry_run = _recovery(given)
        who, name = _who(request), request.match_info["id"]
        found = await asyncio.to_thread(self._subscriptions.given_up, who, name, since_ms)
        if not dry_run:
            self._subscriptions.send_again(who, name, found, self._now_ms())
            await self._subscriptions.saved()
        return answer({"messages": len(found)})

    @problems_of
    async def forget(self, request: web.Request) -> web.Response:
        """Deletes what is kept of an owner, and says what remains."""
        made = await self._subscriptions.forget(_who(request), request.match_info["owner"], self._now_ms())
        return answer(asdict(made))

    async def _answer(
        self,
        made: Registered,
        status: int = 200,
        more: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> web.Response:
        """A subscription that was changed, once the change is saved."""
        await self._subscriptions.saved()
        return answer({**shown(made), **(more or {})}, status, {"ETag": made.etag, **(headers or {})})

    async def _object(self, request: web.Request, *types: str) -> dict[str, Any]:
        """The JSON object in a body; raises ProblemError."""
        async with self._bodies.read(request, BODY_BYTES, *types) as body:
            return read_object(body)

    def _check_version(self, request: web.Request, current: Registered) -> None:
        given = [each.strip() for each in request.headers.get("If-Match", "*").split(",")]
        if "*" not in given and current.etag not in given:
            raise ProblemError(412, f"the subscription has changed; it has the version {current.etag} now")


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body.

    Parameters
    ----------
    body
        The body.

    Raises
    ------
    ProblemError
        400: it is no JSON. 422: it is no object, or nested too deep.
    """
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ProblemError(400, f"the body is no JSON: {error}"[:300]) from None
    level = [given]
    for _ in range(DEPTH_MAX):
        level = [
            inner
            for each in level
            if isinstance(each, dict | list)
            for inner in (each.values() if isinstance(each, dict) else each)
        ]
    if level:
        raise ProblemError(422, f"the body is nested more than {DEPTH_MAX} deep")
    if not isinstance(given, dict):
        raise ProblemError(422, "expected an object")
    return given


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer of JSON."""
    return web.Response(status=status, body=orjson.dumps(body), content_type=JSON, headers=headers)


def queried(request: web.Request, *known: str) -> dict[str, str]:
    """The parameters of a request; raises ProblemError for one that is not known."""
    unknown = sorted(set(request.query) - set(known))
    if unknown:
        name = unknown[0][:80]
        raise ProblemError(400, f"there is no parameter {name!r}; there are {', '.join(known)}", field=name)
    return {name: request.query[name] for name in known if name in request.query}


def number_of(text: str | None, name: str, default: int, most: int) -> int:
    """A number from 1 to `most`; the default for None. Raises ProblemError."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and 1 <= int(text) <= most):
        raise ProblemError(400, f"{name}: expected a number from 1 to {most}", field=name)
    return int(text)


def _who(request: web.Request) -> Principal:
    return request[PRINCIPAL]


def _fate(text: str) -> Fate:
    try:
        return Fate(text)
    except ValueError:
        raise ProblemError(400, f"fate: expected one of {', '.join(Fate)}", field="fate") from None


def _delivery(each: Delivery) -> dict[str, Any]:
    entry = each.entry
    return {
        "number": each.number,
        "time": time_to_text(entry.time_ms),
        "message": entry.message,
        "fate": entry.fate.value,
        "attempt": entry.attempt,
        "reason": entry.reason,
        "records": list(entry.records),
    }


def _recovery(given: dict[str, Any]) -> tuple[int, bool]:
    """Since when, and whether messages are only counted."""
    unknown = sorted(given.keys() - {"since", "dry_run"})
    if unknown:
        raise ProblemError(422, f"{unknown[0][:80]}: there is no such field", field=unknown[0][:80])
    try:
        since_ms = text_to_time(given["since"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ProblemError(
            422, "since: expected an RFC 3339 time, such as 2026-03-01T00:00:00Z", field="since"
        ) from None
    dry_run = given.get("dry_run", False)
    if not isinstance(dry_run, bool):
        raise ProblemError(422, "dry_run: expected true or false", field="dry_run")
    return since_ms, dry_run
