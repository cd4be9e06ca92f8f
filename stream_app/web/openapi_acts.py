"""What the document of the API says of acts of people on flags and pipelines."""

from __future__ import annotations

from stream_app.alerts.flag_acts import PROLONG_MAX_MS, REASON_MAX, FlagAct
from stream_app.core.ladder import Step
from stream_app.core.units import HOUR_MS
from stream_app.options.detector import BETWEEN_HOURS_MAX
from stream_app.web.flag_routes import FLAGS
from stream_app.web.openapi_parts import TEXT, TIME, Json, in_path, object_of, operation, ref
from stream_app.web.tokens import POLICIES

#: The id of a flag; a slash in it is quoted.
_FLAG = in_path("flag", {"type": "string", "minLength": 1}, "ads/run:17")
_REASON: Json = {"type": "string", "minLength": 1, "maxLength": REASON_MAX, "description": "Why; it is kept."}
_VALUE: Json = {"type": "boolean", "default": True, "description": "False takes an earlier act back."}
_HOURS: Json = {"type": "number", "exclusiveMinimum": 0, "maximum": PROLONG_MAX_MS // HOUR_MS}
_SUMMARIES = {
    FlagAct.KEEP: "Decides that a flagged run goes on, whatever is predicted of it.",
    FlagAct.PROLONG: "Decides that a flagged run is not stopped before a time.",
    FlagAct.WRONG: "Says that a flag is wrong: its run goes on.",
}


def act_paths() -> Json:
    """The paths of acts."""
    return {
        f"{FLAGS}/{{flag}}/{act.value}": {
            "parameters": [_FLAG],
            "post": operation(
                f"{act.value}Flag", f"{_SUMMARIES[act]} Answered once that is stored.", {"202": ref("Act")}, [],
                ref("Prolong" if act is FlagAct.PROLONG else "Word"), more=("404",),
            ),
        }
        for act in FlagAct
    } | {
        f"{FLAGS}/{{flag}}/{what}": {
            "parameters": [_FLAG],
            "post": operation(
                f"{what}Flag", f"Sends subscriptions no messages about a flag {how}. Nothing else changes.",
                {"200": ref("QuietFlag")}, [], ref(what.capitalize()), more=("404",),
            ),
        }
        for what, how in (("snooze", "for a while"), ("mute", "any more"))
    }  # fmt: skip


def policy_paths() -> Json:
    """The paths of policies."""
    reason = {"name": "reason", "in": "query", "required": True, "schema": _REASON}
    return {
        f"{POLICIES}/{{pipeline}}": {
            "parameters": [in_path("pipeline", {"type": "string", "minLength": 1}, "ads")],
            "get": operation(
                "getPolicy", "Shows how far flags of a pipeline lead, and who decided it.", {"200": ref("Policy")},
                more=("404",),
            ),
            "put": operation(
                "setPolicy", "Decides it, whatever the settings say; `act` is for administrators.",
                {"200": ref("Policy")}, [], ref("NewPolicy"), more=("404",),
            ),
            "delete": operation(
                "clearPolicy", "Lets the settings hold again.", {"200": ref("Policy")}, [reason], more=("404", "422"),
            ),
        },
    }  # fmt: skip


def act_schemas() -> Json:
    """The schemas of acts."""
    prolong = object_of({"reason": _REASON, "until": TIME, "hours": _HOURS}, "reason")
    made: Json = {
        "flag": TEXT, "act": {"enum": [str(each) for each in FlagAct]}, "by": TEXT, "reason": TEXT, "time": TIME,
        "value": {"type": "boolean"}, "until": TIME,
    }  # fmt: skip
    whose = {"subscription": {**TEXT, "minLength": 1}, "owner": {**TEXT, "minLength": 1}}
    snooze = object_of({"reason": _REASON, "until": TIME, "hours": _HOURS, **whose}, "reason")
    quiet: Json = {
        "flag": TEXT, "subscriptions": {"type": "array", "items": TEXT}, "until": {"type": ["string", "null"]},
        "by": TEXT, "reason": TEXT, "time": TIME,
    }  # fmt: skip
    nullable, texts = {"type": ["string", "null"]}, {"type": "array", "items": TEXT}
    ladder: Json = {
        "last": {"enum": [str(each) for each in Step]},
        "between_hours": {"type": "number", "minimum": 0, "maximum": BETWEEN_HOURS_MAX},
        "exempt_labels": {**texts, "description": "Such as `tier=prod*`: these runs are never stopped."},
        "exempt_hours": {**TEXT, "description": "Such as `22:00-06:00 Europe/Berlin`; empty for none."},
    }  # fmt: skip
    labels = {"type": "object", "additionalProperties": TEXT}
    rule: Json = {"pipeline": TEXT, "owner": TEXT, "labels": labels, "ladder": ref("Ladder")}
    policy: Json = {
        "pipeline": TEXT, "source": {"enum": ["act", "settings"]},
        "ladder": {"anyOf": [ref("Ladder"), {"type": "null"}]}, "by": nullable, "reason": nullable, "time": nullable,
        "rules": {"type": "array", "items": object_of(rule, *rule)},
    }  # fmt: skip
    return {
        "Ladder": object_of(ladder, *ladder),
        "NewPolicy": object_of({**ladder, "reason": _REASON}, "last", "reason"),
        "Policy": object_of(policy, *policy),
        "Word": object_of({"reason": _REASON, "value": _VALUE}, "reason"),
        "Prolong": {**prolong, "oneOf": [{"required": ["until"]}, {"required": ["hours"]}]},
        "Snooze": {**snooze, "oneOf": [{"required": ["until"]}, {"required": ["hours"]}]},
        "Mute": object_of({"reason": _REASON, **whose}, "reason"),
        "QuietFlag": object_of(quiet, *quiet),
        "Act": object_of(made, "flag", "act", "by", "reason", "time"),
    }
