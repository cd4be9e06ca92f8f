"""Collects what sources warn of while they are checked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

#: Warnings that are kept.
_NOTES_MAX = 100
#: The loggers of the sources.
_SOURCES_LOG = "stream_app.sources"


class SourceNotes(logging.Handler):
    """What sources warn of: settings that match nothing, rows that are not read, and what to set."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: dict[str, None] = {}
        self.settings: dict[str, dict[str, object]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a warning, and the settings that it proposes."""
        if len(self.lines) < _NOTES_MAX:
            self.lines[record.getMessage()] = None
        for section, table in getattr(record, "settings", {}).items():
            self.settings.setdefault(section, {}).update(table)


@contextmanager
def notes_of_sources() -> Iterator[SourceNotes]:
    """Collects the warnings of sources instead of logging them."""
    logger, notes = logging.getLogger(_SOURCES_LOG), SourceNotes()
    before = logger.propagate
    logger.addHandler(notes)
    logger.propagate = False
    try:
        yield notes
    finally:
        logger.removeHandler(notes)
        logger.propagate = before
