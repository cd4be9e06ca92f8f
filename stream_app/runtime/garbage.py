"""The garbage collector, calmed for a process whose heap is its state.

Nearly all that lives here stays, and what goes is freed by its reference count: state is cut loose when it is
evicted, events hold no cycles. The collector's default thresholds would walk the whole state again and again for
nothing (measured: 40 % of the time at 100,000 events).
"""

from __future__ import annotations

import gc


def calm() -> None:
    """Sets what exists aside from collection and lets the collector come by rarely. Cycles are still found."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 50)
