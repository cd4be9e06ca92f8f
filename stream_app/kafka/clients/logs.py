"""Limits repeated log lines of the Kafka clients, and of our own retries.

While Kafka is away, every task of a client logs it many times a second.
"""

from __future__ import annotations

import logging

#: Seconds in which a line of the same call is not logged again, whatever its arguments.
QUIET_SECONDS = 30.0

_CHATTY = (
    "aiokafka",
    "aiokafka.cluster",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "aiokafka.consumer.subscription_state",
    "aiokafka.producer.sender",
)
#: Our own loggers of retries.
_RETRYING = (
    "stream_app.kafka.engine.assignment",
    "stream_app.kafka.processing.rekeying",
    "stream_app.kafka.engine.ticks",
)
#: Faust's log of its services; the worker logs what matters of it.
_FAUST = ("faust", "mode")
#: Warns that Faust's timers are late, as they are whenever a slice is computed or Kafka is waited for, and that they
#: overlap, as commits do throughout an outage. It never names a cause. Real problems show elsewhere: in the histograms
#: of the event loop's lag and of commits, and in the consumer's lag; the watchdog ends a process that hangs.
_TIMERS = "mode.timers"


class Repeats(logging.Filter):
    """Passes a warning or error of one call once in `QUIET_SECONDS`, whatever its arguments."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_at: dict[tuple[str, int], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        place = (record.pathname, record.lineno)
        since = record.created - self._logged_at.get(place, 0.0)
        if 0 <= since < QUIET_SECONDS:  # before the last one is later: the clock was set back
            return False
        self._logged_at[place] = record.created
        return True


def quieten() -> None:
    """Installs the limits; called once, where logging is configured.

    The clients log nothing below WARNING, whatever the configured level: their DEBUG lines contain passwords.
    """
    repeats = Repeats()
    for name in (*_CHATTY, *_RETRYING):
        logging.getLogger(name).addFilter(repeats)
    for name in (*_CHATTY, *_FAUST):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(_TIMERS).setLevel(logging.ERROR)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # a failing admin call raises, and its error is reported
