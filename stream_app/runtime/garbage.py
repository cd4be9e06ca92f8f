"""Settings of the garbage collector for a process whose heap is its state.

Nearly all objects of the state live long, and those that do not are freed by their reference count: evicted state is
unlinked, and events hold no cycles. With its default thresholds the collector would walk the whole state again and
again for nothing (measured: 40 % of the time at 100,000 events).
"""

from __future__ import annotations

import gc

#: Allocations, less what was freed, after which the young objects are searched; and those after which older ones are.
_YOUNG, _MIDDLE = 200_000, 4_000_000
#: The same for a process that answers requests: each closed connection is a cycle of asyncio, of some 3 kB.
YOUNG_OF_SERVICES = 10_000


def tune(young: int = _YOUNG) -> None:
    """Exclude existing objects from collection and make collections rare. Cycles are still found.

    Parameters
    ----------
    young
        Allocations, less what was freed, after which young objects are searched. A smaller number costs no more: each
        object is young once, and the older ones are searched as seldom as with a larger one.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(young, _MIDDLE // young, 50)
