"""The command `stream-app`.

Commands import what they run only when they run, so that `--help` is quick and no command needs what another does.
"""

from stream_app.cli.main import main

__all__ = ["main"]
