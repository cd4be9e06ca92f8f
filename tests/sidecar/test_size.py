"""The sidecar stays small because it imports neither the detector nor what the figures are made with."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("faust", "jinja2", "pandas", "river", "scipy", "sqlalchemy")
IMPORTS = """
import sys
from stream_app.cli import emit, main
from stream_app.cli.kafka_flags import load_kafka_options
from stream_app.cli.assembly import connection_of, names_of
options = load_kafka_options(None, "localhost:9092")
connection_of(options.kafka), names_of(options.kafka)
import stream_app.sidecar.process, stream_app.sidecar.http_target, stream_app.sidecar.kafka_target
print(*sys.modules)
"""


def test_it_imports_nothing_heavy() -> None:
    ran = subprocess.run([sys.executable, "-c", IMPORTS], capture_output=True, text=True, check=True)

    assert [name for name in HEAVY if name in ran.stdout.split()] == []
