"""What kind of fault a message has."""

from __future__ import annotations

import re

_INDEX = re.compile(r"\[\d+\]")
_SIZE = re.compile(r"^message of [\d,]+ bytes")


def kind_of(reason: str) -> str:
    """What a reason says apart from the values it repeats, so that reasons can be counted."""
    for kind in ("not JSON", "not UTF-8"):
        if reason.startswith(kind):
            return kind
    kind = reason.split(", got ", 1)[0]
    return _SIZE.sub("message too large", _INDEX.sub("[]", kind))
