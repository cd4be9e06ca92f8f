"""How events reach their reader: most at once, some late, a few twice, a few never."""

from __future__ import annotations

import math
from random import Random

from stream_app.core.units import HOUR_MS
from stream_app.simulator.traits import Traits

#: Late by ten seconds to three days, doubled within two hours.
LATE_LEAST_MS, LATE_MOST_MS = 10_000, 72 * HOUR_MS
DOUBLED_MOST_MS = 2 * HOUR_MS
#: Lost and doubled events per late one.
LOST, DOUBLED = 0.25, 1.0


def delays(traits: Traits, rng: Random) -> tuple[int, ...]:
    """The delays in ms after which an event arrives, one for each arrival.

    Draws one number for most events.
    """
    luck = rng.random() / traits.late
    if luck >= 1.0 + LOST + DOUBLED:
        return (0,)
    if luck < 1.0:
        return (round(LATE_LEAST_MS * math.exp(rng.random() * math.log(LATE_MOST_MS / LATE_LEAST_MS))),)
    if luck < 1.0 + LOST:
        return ()
    return (0, 1 + int(rng.random() * DOUBLED_MOST_MS))
