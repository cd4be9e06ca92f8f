"""Groups the reasons of dead letters by kind."""

from __future__ import annotations

import re

_INDEX = re.compile(r"\[\d+\]")
_SIZE = re.compile(r"^message of [\d,]+ bytes")


def kind_of(reason: str) -> str:
    """The kind of a fault: its reason without the values that it repeats, so that reasons can be counted.

    Parameters
    ----------
    reason
        The reason of a `MalformedEvent`.

    Returns
    -------
    str
        The kind.

    Examples
    --------
    >>> kind_of("inputs[3].id: expected a non-empty string, got 7")
    'inputs[].id: expected a non-empty string'
    """
    for kind in ("not JSON", "not UTF-8"):
        if reason.startswith(kind) and not reason.startswith("not JSON alone"):
            return kind
    kind = reason.split(", got ", 1)[0]
    return _SIZE.sub("message too large", _INDEX.sub("[]", kind))
