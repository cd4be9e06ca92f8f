"""Whose fault is it? One leaf for each answer; anything else that escapes is a defect of ours."""

from __future__ import annotations


class StreamAppError(Exception):
    """Base of all errors this project raises on purpose; never raised itself."""


class MalformedEvent(StreamAppError):  # noqa: N818 - it names the event, as its readers do
    """The sender's fault: the message goes to the dead letters with this reason, and the stream goes on."""


class OptionsError(StreamAppError):
    """The user's fault: one line that says what to change, exit code 2."""


class StateError(StreamAppError):
    """Saved state cannot be read: refuse to start with it."""
