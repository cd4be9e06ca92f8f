"""Says in one sentence why there is no graphlet, or no push."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_app.core.operators import DEPLOY, TRAIN, Operators

#: Types that a sentence lists.
_LISTED = 5


def why_nothing(types: Mapping[str, int], operators: Operators, graphlets: int, pushes: int) -> str | None:
    """Says why there is no graphlet, or none that was pushed.

    Parameters
    ----------
    types
        Execution type to a number of events or executions, whichever is at hand: the most frequent are named.
    operators
        Maps execution types to operator groups.
    graphlets
        The number of graphlets.
    pushes
        How many of them were pushed.

    Returns
    -------
    str or None
        One sentence; None where there is a pushed graphlet.

    Examples
    --------
    >>> why_nothing({"Fit": 3, "Pusher": 1}, Operators(), 0, 0)
    'no graphlet: no execution is of group train (types seen: Fit, Pusher)'
    >>> why_nothing({"Trainer": 3, "Upload": 1}, Operators(), 3, 0)
    'no push: no execution is of group deploy (types seen: Trainer, Upload)'
    """
    if graphlets and pushes:
        return None
    if not types:
        return "no graphlet: no execution was seen"
    by_group: dict[str, list[str]] = {}
    for name in sorted(types, key=lambda each: (-types[each], each)):
        by_group.setdefault(operators.group(name), []).append(name)
    seen = f"types seen: {_list(sorted(types, key=lambda each: (-types[each], each)))}"
    if not graphlets:
        if TRAIN not in by_group:
            return f"no graphlet: no execution is of group train ({seen})"
        return f"no graphlet: no execution of group train ({_list(by_group[TRAIN])}) ran; all of them ended CACHED"
    if DEPLOY not in by_group:
        return f"no push: no execution is of group deploy ({seen})"
    deploys = _list(by_group[DEPLOY])
    return f"no push: no execution of group deploy ({deploys}) that completed and pushed comes after a trainer"


def _list(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:_LISTED]) + (f" and {len(every) - _LISTED} more" if len(every) > _LISTED else "")
