"""`stream-app` that logs at DEBUG, as one who looks for a fault would have it, and flags whatever may be flagged."""

from __future__ import annotations

import logging
from typing import Any

from stream_app.cli.main import main
from tests.web.steered_service import steer

_configure = logging.basicConfig


def configure(**given: Any) -> None:
    """Configures logging as asked, but at DEBUG."""
    _configure(**{**given, "level": logging.DEBUG})


if __name__ == "__main__":
    logging.basicConfig = configure  # type: ignore[assignment]
    steer()
    main()
