"""The document of the API of alerts in OpenAPI 3.1: `python -m stream_app.web.openapi schemas/openapi.json`."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import orjson

from stream_app.acting.switch import PATTERN_MAX
from stream_app.alerts.filters import TEXTS
from stream_app.alerts.flags import Change, FlagOutcome
from stream_app.alerts.messages import Fate
from stream_app.alerts.registered import HIDDEN
from stream_app.alerts.subscriptions import Subscription
from stream_app.core.ladder import Step
from stream_app.web.acting_routes import REASON_MAX
from stream_app.web.flag_routes import AUDIT, EVENT_STREAM, FLAGS, STREAM
from stream_app.web.openapi_acts import act_paths, act_schemas, policy_paths
from stream_app.web.openapi_parts import (
    COUNT,
    ID,
    NEW,
    NUMBER,
    SHARE,
    SHOWN,
    TEXT,
    TIME,
    Json,
    header,
    in_path,
    limit,
    object_of,
    operation,
    page,
    query,
    ref,
)
from stream_app.web.subscription_routes import KEY_MAX, MERGE_PATCH, ONE, OWNER, PATH
from stream_app.web.tokens import ACTING


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
    return {
        **_subscription_paths(),
        **_action_paths(),
        **_delivery_paths(),
        **_flag_paths(),
        **_owner_paths(),
        **_acting_paths(),
        **act_paths(),
        **policy_paths(),
    }


def _subscription_paths() -> Json:
    key = header("Idempotency-Key", {"type": "string", "pattern": f"^[!-~]{{1,{KEY_MAX}}}$"})
    version = header("If-Match", {"type": "string", "pattern": "^[!-~]+$"})
    location = {"Location": {"schema": TEXT}}
    return {
        PATH: {
            "get": operation(
                "listSubscriptions", "Lists subscriptions by id.", {"200": page("subscriptions", SHOWN, TEXT)},
                [query("after", TEXT), limit()],
            ),
            "post": operation(
                "createSubscription", "Makes a subscription. The secret of a webhook is in this answer alone.",
                {"201": NEW}, [key], ref("Draft"), more=("409",), headers=location,
            ),
        },
        f"{PATH}/preview": {
            "post": operation(
                "previewSubscription", "Counts what a draft would have sent over the days for which flags are kept.",
                {"200": ref("Preview")}, [], {"type": "object"},
            )
        },
        ONE: {
            "parameters": [ID],
            "get": operation("getSubscription", "Shows a subscription.", {"200": SHOWN}, more=("404",)),
            "patch": operation(
                "changeSubscription", "Changes a subscription by a JSON merge patch (RFC 7396).", {"200": SHOWN},
                [version], {"type": "object"}, more=("404", "409", "412"), content=MERGE_PATCH,
            ),
            "delete": operation(
                "deleteSubscription", "Deletes a subscription, and the messages that wait for it.", {"204": None},
                [version], more=("404", "412"),
            ),
        },
    }  # fmt: skip


def _action_paths() -> Json:
    acting = ("404", "409", "422")
    return {
        f"{ONE}/test": {
            "parameters": [ID],
            "post": operation(
                "testSubscription", "Sends a made-up flag or finding.",
                {"200": object_of({"succeeded": {"type": "boolean"}, "reason": TEXT}, "succeeded", "reason")},
                more=("404",),
            ),
        },
        f"{ONE}/pause": {
            "parameters": [ID],
            "post": operation("pauseSubscription", "Sends nothing for now.", {"200": SHOWN}, more=acting),
        },
        f"{ONE}/resume": {
            "parameters": [ID],
            "post": operation("resumeSubscription", "Sends again.", {"200": SHOWN}, more=acting),
        },
        f"{ONE}/rotate-secret": {
            "parameters": [ID],
            "post": operation(
                "rotateSecret", "Gives a webhook a new secret; the former one signs beside it for a day.",
                {"200": NEW}, more=acting,
            ),
        },
    }  # fmt: skip


def _delivery_paths() -> Json:
    recovery = object_of({"since": TIME, "dry_run": {"type": "boolean", "default": False}}, "since")
    fate = {"type": "array", "items": {"enum": [str(each) for each in Fate]}}
    number = in_path("number", NUMBER, 1)
    return {
        f"{ONE}/recover": {
            "parameters": [ID],
            "post": operation(
                "recoverMessages", "Sends again what was given up since a time, or only counts it.",
                {"200": object_of({"messages": {"type": "integer", "minimum": 0}}, "messages")}, [], recovery,
                more=("404",),
            ),
        },
        f"{ONE}/deliveries": {
            "parameters": [ID],
            "get": operation(
                "listDeliveries", "Lists attempts, and records that were not sent, newest first.",
                {"200": page("deliveries", ref("Delivered"), {"type": "integer"})},
                [query("fate", fate), query("before", NUMBER), limit()], more=("404",),
            ),
        },
        f"{ONE}/deliveries/{{number}}/redeliver": {
            "parameters": [ID, number],
            "post": operation("redeliver", "Sends a message again.", {"202": None}, more=("404",)),
        },
    }  # fmt: skip


def _flag_paths() -> Json:
    return {
        FLAGS: {
            "get": operation(
                "listFlags", "Lists the last record of each of the latest flags, newest first.",
                {"200": object_of({"flags": {"type": "array", "items": ref("Flag")}}, "flags")},
                [query("pipeline", TEXT), query("open", {"type": "boolean"}), limit()],
            )
        },
        STREAM: {
            "get": operation(
                "streamFlags", "Sends records as they come: CloudEvents, whose ids a client returns to go on.",
                {"200": TEXT},
                [query("pipeline", TEXT), header("Last-Event-ID", {"type": "string", "pattern": "^[0-9]{1,18}$"})],
                answer=EVENT_STREAM,
            )
        },
        AUDIT: {
            "get": operation(
                "listAudit", "Lists who changed what, newest first; for administrators.",
                {"200": object_of({"entries": {"type": "array", "items": ref("AuditEntry")}}, "entries")}, [limit()],
            )
        },
    }  # fmt: skip


def _owner_paths() -> Json:
    counts: Json = {"subscriptions": COUNT, "deliveries": COUNT, "audit_entries": COUNT, "days": NUMBER}
    forgotten: Json = {"owner": TEXT, "named_in": {"type": "array", "items": TEXT}, **counts}
    return {
        OWNER: {
            "parameters": [in_path("owner", {"type": "string", "minLength": 1}, "ads")],
            "delete": operation(
                "forgetOwner", "Deletes an owner's subscriptions and what is logged of them; for administrators.",
                {"200": object_of(forgotten, *forgotten)},
            ),
        }
    }  # fmt: skip


def _acting_paths() -> Json:
    turned = {"acting": {"type": "boolean"}, "pipeline": _text_of(PATTERN_MAX), "reason": _text_of(REASON_MAX)}
    return {
        ACTING: {
            "get": operation("showActing", "Shows for which pipelines no run is stopped.", {"200": ref("Acting")}),
            "put": operation(
                "turnActing",
                "Switches acting off, or for administrators on again, for the fleet or for pipelines.",
                {"200": ref("Acting")}, [], object_of(turned, "acting", "reason"), more=("409",),
            ),
        }
    }  # fmt: skip


def _text_of(most: int) -> Json:
    return {"type": "string", "minLength": 1, "maxLength": most}


def _schemas() -> Json:
    made = Subscription.model_json_schema(by_alias=True, ref_template="#/components/schemas/{model}")
    models: Json = made.pop("$defs")
    _accept_texts(models["Filter"])
    draft = {**made, "title": "Draft", "required": [each for each in made["required"] if each != "id"]}
    answered = {f"Shown{name}": _shown(model) for name, model in models.items()}
    shown = _shown(made)
    shown["title"] = "ShownSubscription"
    shown["properties"] |= {"version": NUMBER, "created": TIME, "updated": TIME}
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
        "Problem": object_of(
            {
                "type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT,
                "field": {"type": "string", "description": "The field or parameter that is wrong."},
            },
            "type", "title", "status", "detail",
        ),
        "Preview": object_of(
            {
                "days": NUMBER, "messages": COUNT, "flags": COUNT, "findings": COUNT, "pushed": COUNT,
                "node_hours": {"type": "number"}, "money": {"type": ["number", "null"]},
                "dropped": {"type": "object", "additionalProperties": COUNT},
            },
            "days", "messages", "flags", "findings", "pushed", "node_hours", "money", "dropped",
        ),
        "Delivered": object_of(
            {
                "number": NUMBER, "time": TIME, "message": TEXT, "fate": {"enum": [str(each) for each in Fate]},
                "attempt": COUNT, "reason": TEXT, "records": {"type": "array", "items": TEXT},
            },
            "number", "time", "message", "fate", "attempt", "reason", "records",
        ),
        "AuditEntry": object_of(
            {"time": TIME, "who": TEXT, "what": TEXT, "subscription": TEXT},
            "time", "who", "what", "subscription",
        ),
        "Acting": object_of(
            {
                "acting": {"type": "boolean"}, "off": {"type": "array", "items": ref("ActingOff")},
                "detail": {"type": ["string", "null"]},
            },
            "acting", "off", "detail",
        ),
        "ActingOff": object_of(
            {"pipeline": TEXT, "by": TEXT, "reason": TEXT, "since": TIME}, "pipeline", "by", "reason", "since"
        ),
        "Flag": flag_schema(),
        **act_schemas(),
    }  # fmt: skip


def flag_schema() -> Json:
    """The schema of a flag record in its JSON form."""
    reason = object_of({"feature": TEXT, "value": {"type": "number"}, "effect": {"type": "number"}},
                     "feature", "value", "effect")  # fmt: skip
    nullable, amount = {"type": ["string", "null"]}, {"type": "number", "minimum": 0}
    graphlet: Json = {
        "graphlet": TEXT, "trainer": nullable, "job": nullable, "stage": TEXT, "p_push": SHARE,
        "threshold": {"type": ["number", "null"]}, "score": {"type": "number"}, "model": TEXT, "cost": amount,
        "cost_left": amount, "reasons": {"type": "array", "items": reason}, "verdict": TEXT,
        "ladder": _ladder_schema(),
    }  # fmt: skip
    flag: Json = {
        "id": TEXT, "flag": TEXT, "revision": NUMBER, "change": {"enum": [str(each) for each in Change]},
        "pipeline": TEXT, "run": nullable, "owner": TEXT,
        "labels": {"type": "object", "additionalProperties": TEXT},
        "graphlets": {"type": "array", "items": object_of(graphlet, *graphlet), "maxItems": 20},
        "p_push": SHARE, "cost": amount, "cost_left": amount,
        "policy": object_of({"mode": {"enum": ["observe", "enforce"]}, "budget": SHARE}, "mode", "budget"),
        "raised": TIME, "time": TIME, "outcome": {"enum": [*(str(each) for each in FlagOutcome), None]},
        "cause": nullable, "correction": {"type": "boolean"}, "ladder": _ladder_schema(),
    }  # fmt: skip
    return object_of(flag, *flag)


def _ladder_schema() -> Json:
    """What a flag leads to; null where that is not known."""
    at: Json = {"type": ["string", "null"], "format": "date-time"}
    ladder: Json = {
        "last": {"enum": [str(each) for each in Step]}, "warn_again": at, "stop_from": at, "exempt_hours": TEXT
    }  # fmt: skip
    return {"anyOf": [object_of(ladder, *ladder), {"type": "null"}]}


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
