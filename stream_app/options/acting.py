"""Options of acting: what keeps runs from being stopped."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from stream_app.options.values import FROZEN


class ActingOptions(BaseModel):
    """Whether flagged runs may be stopped."""

    model_config = FROZEN

    #: A file whose presence switches acting off for the fleet.
    off_file: Path | None = None
