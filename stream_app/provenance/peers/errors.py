"""What may be wrong between peers."""

from __future__ import annotations

from stream_app.errors import StreamAppError


class MessageError(StreamAppError):
    """A question or an answer is not what this version of the program exchanges; the message says what is expected."""


class MovedError(StreamAppError):
    """A pipeline or a part of it is not, or no longer, where it was: the question can be asked again."""
