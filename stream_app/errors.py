"""The errors that this project raises on purpose, by who must act. Any other exception is a defect of this project."""

from __future__ import annotations


class StreamAppError(Exception):
    """Base of all errors that this project raises on purpose; it is never raised itself."""


class MalformedEvent(StreamAppError):  # noqa: N818 - it names the event, as its readers do
    """The sender must act: the message goes to the dead letters with this reason, and the stream continues."""


class OptionsError(StreamAppError):
    """The user must act: one line that says what to change; the command exits with code 2."""


class StateError(StreamAppError):
    """Stored state cannot be read; the program refuses to start with it."""
