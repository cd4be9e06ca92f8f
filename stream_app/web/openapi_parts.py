"""What the document of the API is made of: operations, parameters and small schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_app.web.subscription_routes import BODY_BYTES, LIMIT, LIMIT_MAX

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
TIME = {"type": "string", "format": "date-time"}
TEXT = {"type": "string"}
NUMBER = {"type": "integer", "minimum": 1}

Json = dict[str, Any]

ID: Json = {"name": "id", "in": "path", "required": True, "schema": TEXT, "example": "ads-oncall"}
SHOWN: Json = {"$ref": "#/components/schemas/ShownSubscription"}
NEW: Json = {"$ref": "#/components/schemas/NewSubscription"}
COUNT = {"type": "integer", "minimum": 0}
SHARE = {"type": "number", "minimum": 0, "maximum": 1}


def operation(
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
        if schema in (SHOWN, NEW):
            made["responses"][status]["headers"] = {"ETag": {"schema": TEXT}, **(headers or {})}
    for status in statuses:
        problem = {"application/problem+json": {"schema": ref("Problem")}}
        made["responses"][status] = {"description": _PROBLEMS[status], "content": problem}
    return made


def ref(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def object_of(properties: Json, *required: str) -> Json:
    """The schema of an object with these fields and no other."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def page(name: str, item: Json, following: Json) -> Json:
    """The schema of a page: items, and what the next page is asked for with."""
    cursor = {"anyOf": [following, {"type": "null"}]}
    return object_of({name: {"type": "array", "items": item}, "next": cursor}, name, "next")


def query(name: str, schema: Json) -> Json:
    """A parameter of the query."""
    return {"name": name, "in": "query", "required": False, "schema": schema}


def header(name: str, schema: Json) -> Json:
    """A header."""
    return {"name": name, "in": "header", "required": False, "schema": schema}


def in_path(name: str, schema: Json, example: object) -> Json:
    """A part of the path."""
    return {"name": name, "in": "path", "required": True, "schema": schema, "example": example}


def limit() -> Json:
    """The parameter that bounds a list."""
    return query("limit", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT})
