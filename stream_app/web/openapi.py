"""The document of the API of alerts in OpenAPI 3.1: `python -m stream_app.web.openapi schemas/openapi.json`."""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from stream_app.alerts.filters import TEXTS
from stream_app.alerts.flags import Change, FlagOutcome
from stream_app.alerts.messages import Fate
from stream_app.alerts.registered import HIDDEN
from stream_app.alerts.subscriptions import Subscription
from stream_app.web.flag_routes import AUDIT, EVENT_STREAM, FLAGS, STREAM
from stream_app.web.subscription_routes import BODY_BYTES, KEY_MAX, LIMIT, LIMIT_MAX, MERGE_PATCH, ONE, OWNER, PATH

_PROBLEMS = {
    "400": "The request is not what it should be.",
    "401": "There is no valid token.",
    "403": "The token does not allow this.",
    "404": "There is no such thing, or the token does not see it.",
    "405": "The path has no such method.",
    "409": "It does not fit what is there.",
    "412": "The subscription has another version.",
    "413": f"The body has more than {BODY_BYTES:,} bytes.",
    "415": "The body has another type.",
    "422": "A field of the body is wrong.",
    "429": "There are too many requests.",
    "503": "It cannot be done now.",
}
_ALWAYS = ("400", "401", "403", "405", "429", "503")
_BODY = ("413", "415", "422")
_TIME = {"type": "string", "format": "date-time"}
_TEXT = {"type": "string"}
_NUMBER = {"type": "integer", "minimum": 1}

Json = dict[str, Any]

_ID: Json = {"name": "id", "in": "path", "required": True, "schema": _TEXT, "example": "ads-oncall"}
_SHOWN: Json = {"$ref": "#/components/schemas/ShownSubscription"}
_NEW: Json = {"$ref": "#/components/schemas/NewSubscription"}


def document() -> Json:
    """The document.

    Returns
    -------
    dict
        In its JSON form. What it says of subscriptions is made from their model.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "stream-app: alerts",
            "version": "1",
            "description": "Subscriptions to flags and findings, what they were sent, and the flags themselves.",
        },
        "security": [{}, {"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
        },
    }


def _paths() -> Json:
    return {**_subscription_paths(), **_action_paths(), **_delivery_paths(), **_flag_paths(), **_owner_paths()}


def _subscription_paths() -> Json:
    key = _header("Idempotency-Key", {"type": "string", "pattern": f"^[!-~]{{1,{KEY_MAX}}}$"})
    version = _header("If-Match", {"type": "string", "pattern": "^[!-~]+$"})
    location = {"Location": {"schema": _TEXT}}
    return {
        PATH: {
            "get": _operation(
                "listSubscriptions", "Lists subscriptions by id.", {"200": _page("subscriptions", _SHOWN, _TEXT)},
                [_query("after", _TEXT), _limit()],
            ),
            "post": _operation(
                "createSubscription", "Makes a subscription. The secret of a webhook is in this answer alone.",
                {"201": _NEW}, [key], _ref("Draft"), more=("409",), headers=location,
            ),
        },
        f"{PATH}/preview": {
            "post": _operation(
                "previewSubscription", "Counts what a draft would have sent over the days for which flags are kept.",
                {"200": _ref("Preview")}, [], {"type": "object"},
            )
        },
        ONE: {
            "parameters": [_ID],
            "get": _operation("getSubscription", "Shows a subscription.", {"200": _SHOWN}, more=("404",)),
            "patch": _operation(
                "changeSubscription", "Changes a subscription by a JSON merge patch (RFC 7396).", {"200": _SHOWN},
                [version], {"type": "object"}, more=("404", "409", "412"), content=MERGE_PATCH,
            ),
            "delete": _operation(
                "deleteSubscription", "Deletes a subscription, and the messages that wait for it.", {"204": None},
                [version], more=("404", "412"),
            ),
        },
    }  # fmt: skip


def _action_paths() -> Json:
    acting = ("404", "409", "422")
    return {
        f"{ONE}/test": {
            "parameters": [_ID],
            "post": _operation(
                "testSubscription", "Sends a made-up flag or finding.",
                {"200": _object({"succeeded": {"type": "boolean"}, "reason": _TEXT}, "succeeded", "reason")},
                more=("404",),
            ),
        },
        f"{ONE}/pause": {
            "parameters": [_ID],
            "post": _operation("pauseSubscription", "Sends nothing for now.", {"200": _SHOWN}, more=acting),
        },
        f"{ONE}/resume": {
            "parameters": [_ID],
            "post": _operation("resumeSubscription", "Sends again.", {"200": _SHOWN}, more=acting),
        },
        f"{ONE}/rotate-secret": {
            "parameters": [_ID],
            "post": _operation(
                "rotateSecret", "Gives a webhook a new secret; the former one signs beside it for a day.",
                {"200": _NEW}, more=acting,
            ),
        },
    }  # fmt: skip


def _delivery_paths() -> Json:
    recovery = _object({"since": _TIME, "dry_run": {"type": "boolean", "default": False}}, "since")
    fate = {"type": "array", "items": {"enum": [str(each) for each in Fate]}}
    number = _in_path("number", _NUMBER, 1)
    return {
        f"{ONE}/recover": {
            "parameters": [_ID],
            "post": _operation(
                "recoverMessages", "Sends again what was given up since a time, or only counts it.",
                {"200": _object({"messages": {"type": "integer", "minimum": 0}}, "messages")}, [], recovery,
                more=("404",),
            ),
        },
        f"{ONE}/deliveries": {
            "parameters": [_ID],
            "get": _operation(
                "listDeliveries", "Lists attempts, and records that were not sent, newest first.",
                {"200": _page("deliveries", _ref("Delivered"), {"type": "integer"})},
                [_query("fate", fate), _query("before", _NUMBER), _limit()], more=("404",),
            ),
        },
        f"{ONE}/deliveries/{{number}}/redeliver": {
            "parameters": [_ID, number],
            "post": _operation("redeliver", "Sends a message again.", {"202": None}, more=("404",)),
        },
    }  # fmt: skip


def _flag_paths() -> Json:
    return {
        FLAGS: {
            "get": _operation(
                "listFlags", "Lists the last record of each of the latest flags, newest first.",
                {"200": _object({"flags": {"type": "array", "items": _ref("Flag")}}, "flags")},
                [_query("pipeline", _TEXT), _query("open", {"type": "boolean"}), _limit()],
            )
        },
        STREAM: {
            "get": _operation(
                "streamFlags", "Sends records as they come: CloudEvents, whose ids a client returns to go on.",
                {"200": _TEXT},
                [_query("pipeline", _TEXT), _header("Last-Event-ID", {"type": "string", "pattern": "^[0-9]{1,18}$"})],
                answer=EVENT_STREAM,
            )
        },
        AUDIT: {
            "get": _operation(
                "listAudit", "Lists who changed what, newest first; for administrators.",
                {"200": _object({"entries": {"type": "array", "items": _ref("AuditEntry")}}, "entries")}, [_limit()],
            )
        },
    }  # fmt: skip


def _owner_paths() -> Json:
    counts: Json = {"subscriptions": _COUNT, "deliveries": _COUNT, "audit_entries": _COUNT, "days": _NUMBER}
    forgotten: Json = {"owner": _TEXT, "named_in": {"type": "array", "items": _TEXT}, **counts}
    return {
        OWNER: {
            "parameters": [_in_path("owner", {"type": "string", "minLength": 1}, "ads")],
            "delete": _operation(
                "forgetOwner", "Deletes an owner's subscriptions and what is logged of them; for administrators.",
                {"200": _object(forgotten, *forgotten)},
            ),
        }
    }  # fmt: skip


def _operation(
    name: str,
    summary: str,
    answers: Mapping[str, Json | None],
    parameters: Sequence[Json] = (),
    body: Json | None = None,
    more: Sequence[str] = (),
    content: str = "application/json",
    answer: str = "application/json",
    headers: Json | None = None,
) -> Json:
    """An operation: its answers by status, and the problems beside those that any may have."""
    statuses = sorted({*_ALWAYS, *(_BODY if body is not None else ()), *more})
    made: Json = {"operationId": name, "summary": summary, "parameters": list(parameters), "responses": {}}
    if body is not None:
        made["requestBody"] = {"required": True, "content": {content: {"schema": body}}}
    for status, schema in answers.items():
        made["responses"][status] = {"description": "Done."}
        if schema is not None:
            made["responses"][status]["content"] = {answer: {"schema": schema}}
        if schema in (_SHOWN, _NEW):
            made["responses"][status]["headers"] = {"ETag": {"schema": _TEXT}, **(headers or {})}
    for status in statuses:
        problem = {"application/problem+json": {"schema": _ref("Problem")}}
        made["responses"][status] = {"description": _PROBLEMS[status], "content": problem}
    return made


def _schemas() -> Json:
    made = Subscription.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    models: Json = made.pop("$defs")
    _accept_texts(models["Filter"])
    draft = {**made, "title": "Draft", "required": [each for each in made["required"] if each != "id"]}
    answered = {f"Shown{name}": _shown(model) for name, model in models.items()}
    shown = _shown(made)
    shown["title"] = "ShownSubscription"
    shown["properties"] |= {"version": _NUMBER, "created": _TIME, "updated": _TIME}
    shown["required"] += ["version", "created", "updated", "state", "types", "filter", "delivery"]
    fresh = copy.deepcopy(shown)
    fresh["title"] = "NewSubscription"
    fresh["properties"]["secret"] = {"type": "string", "description": "The secret of a webhook, shown once."}
    return {
        **models,
        **answered,
        "Draft": draft,
        "ShownSubscription": shown,
        "NewSubscription": fresh,
        "Problem": _object(
            {
                "type": _TEXT, "title": _TEXT, "status": {"type": "integer"}, "detail": _TEXT,
                "field": {"type": "string", "description": "The field or parameter that is wrong."},
            },
            "type", "title", "status", "detail",
        ),
        "Preview": _object(
            {
                "days": _NUMBER, "messages": _COUNT, "flags": _COUNT, "findings": _COUNT, "pushed": _COUNT,
                "node_hours": {"type": "number"}, "money": {"type": ["number", "null"]},
                "dropped": {"type": "object", "additionalProperties": _COUNT},
            },
            "days", "messages", "flags", "findings", "pushed", "node_hours", "money", "dropped",
        ),
        "Delivered": _object(
            {
                "number": _NUMBER, "time": _TIME, "message": _TEXT, "fate": {"enum": [str(each) for each in Fate]},
                "attempt": _COUNT, "reason": _TEXT, "records": {"type": "array", "items": _TEXT},
            },
            "number", "time", "message", "fate", "attempt", "reason", "records",
        ),
        "AuditEntry": _object(
            {"time": _TIME, "who": _TEXT, "what": _TEXT, "subscription": _TEXT},
            "time", "who", "what", "subscription",
        ),
        "Flag": flag_schema(),
    }  # fmt: skip


_COUNT = {"type": "integer", "minimum": 0}


def flag_schema() -> Json:
    """The schema of a flag record in its JSON form."""
    reason = _object({"feature": _TEXT, "value": {"type": "number"}, "effect": {"type": "number"}},
                     "feature", "value", "effect")  # fmt: skip
    nullable, amount = {"type": ["string", "null"]}, {"type": "number", "minimum": 0}
    graphlet: Json = {
        "graphlet": _TEXT, "trainer": nullable, "job": nullable, "stage": _TEXT, "p_push": _SHARE,
        "threshold": {"type": ["number", "null"]}, "score": {"type": "number"}, "model": _TEXT, "cost": amount,
        "cost_left": amount, "reasons": {"type": "array", "items": reason}, "verdict": _TEXT,
    }  # fmt: skip
    flag: Json = {
        "id": _TEXT, "flag": _TEXT, "revision": _NUMBER, "change": {"enum": [str(each) for each in Change]},
        "pipeline": _TEXT, "run": nullable, "owner": _TEXT,
        "labels": {"type": "object", "additionalProperties": _TEXT},
        "graphlets": {"type": "array", "items": _object(graphlet, *graphlet), "maxItems": 20},
        "p_push": _SHARE, "cost": amount, "cost_left": amount,
        "policy": _object({"mode": {"enum": ["observe", "enforce"]}, "budget": _SHARE}, "mode", "budget"),
        "raised": _TIME, "time": _TIME, "outcome": {"enum": [*(str(each) for each in FlagOutcome), None]},
        "cause": nullable, "correction": {"type": "boolean"},
    }  # fmt: skip
    return _object(flag, *flag)


_SHARE = {"type": "number", "minimum": 0, "maximum": 1}


def _accept_texts(model: Json) -> None:
    """One text stands for a list of one in a filter that is sent."""
    for name in TEXTS:
        model["properties"][name]["anyOf"].append({"type": "string", "minLength": 1, "maxLength": 500})


def _shown(schema: Any) -> Any:
    """A schema of answers: secrets are hidden, and models refer to those of answers."""
    if isinstance(schema, list):
        return [_shown(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("writeOnly"):
        return {"const": HIDDEN}
    made = {name: _shown(each) for name, each in schema.items()}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = made["$ref"].replace("/schemas/", "/schemas/Shown")
    if isinstance(made.get("mapping"), dict):
        made["mapping"] = {name: each.replace("/schemas/", "/schemas/Shown") for name, each in made["mapping"].items()}
    return made


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _page(name: str, item: Json, following: Json) -> Json:
    cursor = {"anyOf": [following, {"type": "null"}]}
    return _object({name: {"type": "array", "items": item}, "next": cursor}, name, "next")


def _query(name: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _header(name: str, schema: Json) -> Json:
    return {"name": name, "in": "header", "required": False, "schema": schema}


def _in_path(name: str, schema: Json, example: object) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": example}


def _limit() -> Json:
    return _query("limit", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT})


def write(path: Path) -> None:
    """Writes the document into a file.

    Parameters
    ----------
    path
        The file.
    """
    path.write_bytes(orjson.dumps(document(), option=orjson.OPT_INDENT_2) + b"\n")


if __name__ == "__main__":
    for each in sys.argv[1:]:
        write(Path(each))
