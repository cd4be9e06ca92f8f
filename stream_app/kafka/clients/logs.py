"""Log lines of the Kafka clients, and ours about waiting for it, made fit to be read.

While Kafka is away they say so many times a second, each of their tasks for itself.
"""

from __future__ import annotations

import logging

#: Seconds in which a line that differs from an earlier one only in its figures is not said again.
QUIET_SECONDS = 30.0

_CHATTY = (
    "aiokafka",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.consumer.subscription_state",
    "aiokafka.producer.sender",
)
#: Where we say that we wait.
_WAITING = (
    "stream_app.kafka.engine.assignment",
    "stream_app.kafka.processing.rekeying",
    "stream_app.kafka.engine.ticks",
)
#: Faust's own account of its services; what matters of it the worker says itself.
_FAUST = ("faust", "mode")
#: Says of Faust's timers that they were late, as they are whenever a slice is computed or Kafka is waited for, and that
#: they overlap, as committing does all through an outage. It never names a cause. Real trouble shows elsewhere: in the
#: histograms of the event loop's lag and of commits, in the consumer's lag, and the watchdog ends what hangs.
_TIMERS = "mode.timers"


class Repeats(logging.Filter):
    """Lets a warning or error through once in `QUIET_SECONDS`, whatever its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        place = (record.pathname, record.lineno)
        if record.created - self._said.get(place, 0.0) < QUIET_SECONDS:
            return False
        self._said[place] = record.created
        return True


def quieten() -> None:
    """Call once, where logging is set up.

    The clients are never heard below WARNING, whatever the level asked for: their DEBUG lines hold passwords.
    """
    repeats = Repeats()
    for name in (*_CHATTY, *_WAITING):
        logging.getLogger(name).addFilter(repeats)
    for name in (*_CHATTY, *_FAUST):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_TIMERS).setLevel(logging.ERROR)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # a failing admin call raises, and we say why
