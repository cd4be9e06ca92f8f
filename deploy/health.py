"""The health check of the image: asks the command that the container runs whether it answers.

    health.py [COMMAND [ARGUMENT...]]

Without arguments it takes the command line of process 1. `worker`, `notify`, `serve` and `emit` have a port; any other
command is healthy while it runs.
"""

from __future__ import annotations

import os
import sys
import urllib.request
from pathlib import Path

_PROBES = ("--metrics-port", "STREAM_APP_KAFKA_METRICS_PORT", 9464)
#: Command -> the flag and the variable of its port, and the port unless they are set.
PORTS = {
    "worker": _PROBES,
    "notify": _PROBES,
    "serve": ("--port", "STREAM_APP_SERVE_PORT", 8484),
    "emit": ("--port", "STREAM_APP_EMIT_PORT", 8486),
}


def port_of(line: list[str]) -> int | None:
    """The port of the command in a command line; None where it has none. A port in a file of settings is not seen."""
    command = next((word for word in line if word in PORTS), None)
    if command is None:
        return None
    flag, variable, port = PORTS[command]
    for word, following in zip(line, [*line[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name == flag and (value or following).isdigit():
            return int(value or following)
    return int(os.environ.get(variable, port))


def main() -> int:
    """Asks; returns the exit code."""
    line = sys.argv[1:] or Path("/proc/1/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    port = port_of(line)
    if port is None:
        return 0
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=4):
            return 0
    except OSError as error:
        print(f"port {port}: {error}", file=sys.stderr)  # noqa: T201 - Docker keeps it for `docker inspect`
        return 1


if __name__ == "__main__":
    sys.exit(main())
