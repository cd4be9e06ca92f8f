"""What the document of the API says of acts of people on flags."""

from __future__ import annotations

from stream_app.alerts.flag_acts import PROLONG_MAX_MS, REASON_MAX, FlagAct
from stream_app.core.units import HOUR_MS
from stream_app.web.flag_routes import FLAGS
from stream_app.web.openapi_parts import TEXT, TIME, Json, in_path, object_of, operation, ref

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
    }  # fmt: skip


def act_schemas() -> Json:
    """The schemas of acts."""
    prolong = object_of({"reason": _REASON, "until": TIME, "hours": _HOURS}, "reason")
    made: Json = {
        "flag": TEXT, "act": {"enum": [str(each) for each in FlagAct]}, "by": TEXT, "reason": TEXT, "time": TIME,
        "value": {"type": "boolean"}, "until": TIME,
    }  # fmt: skip
    return {
        "Word": object_of({"reason": _REASON, "value": _VALUE}, "reason"),
        "Prolong": {**prolong, "oneOf": [{"required": ["until"]}, {"required": ["hours"]}]},
        "Act": object_of(made, "flag", "act", "by", "reason", "time"),
    }
