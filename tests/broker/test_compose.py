"""The commands of docker-compose.yml, run by hand on a broker: topics, worker, notifier, and a fleet in real time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import orjson
import yaml
from kafka.admin import KafkaAdminClient

from stream_app.kafka.clients.topics import Names
from tests.broker.broker import Broker
from tests.broker.cluster import REPOSITORY, Cluster

SERVICES = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
#: The line with the address of the probes begins so.
PROBES = "probes and metrics are at"


class Deployment:
    """The services as processes, with their variables, on another Kafka."""

    def __init__(self, bootstrap: str, group: str, folder: Path) -> None:
        self._folder = folder
        self._given = {
            "STREAM_APP_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
            "STREAM_APP_KAFKA_GROUP": group,
            "STREAM_APP_KAFKA_SOURCES": json.dumps([f"{group}-source"]),
            "STREAM_APP_KAFKA_METRICS_PORT": "0",
            "STREAM_APP_SERVE_PORT": "0",
            "FLEET_PIPELINES": "3",
            "FLEET_DAYS_PAST": "1",
            "FLEET_RUNS_PER_DAY": "48",
        }

    def start(self, service: str) -> subprocess.Popen[str]:
        """As Compose would: the entry point of the image or of the service, then its command."""
        defined = SERVICES[service]
        entry = defined.get("entrypoint", [sys.executable, "-m", "stream_app"])
        mounted = {"/fleet.sh": str(REPOSITORY / "deploy" / "fleet.sh")}
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        home = self._folder / service
        home.mkdir(exist_ok=True)
        own = {"STREAM_APP_KAFKA_FOLDER": str(home / "state")}
        return subprocess.Popen(
            [mounted.get(part, part) for part in (*entry, *defined.get("command", []))],
            cwd=home,
            env={**os.environ, "PATH": path, **defined["environment"], **self._given, **own},
            stdout=subprocess.PIPE,
            stderr=(home / "log").open("a"),
            text=True,
            start_new_session=True,
        )

    def log(self, service: str) -> str:
        return (self._folder / service / "log").read_text()


def test_up_gives_verdicts_of_a_fleet_in_real_time(
    broker: Broker, admin: KafkaAdminClient, prefix: str, tmp_path: Path
) -> None:
    """Topics are made, the fleet's past is published at once and the rest as it happens, the worker issues verdicts.

    The notifier runs beside it, and answers.
    """
    names = Names(prefix, (f"{prefix}-source",))
    cluster = Cluster(broker.bootstrap, admin, tmp_path, names, partitions=12)
    deployment = Deployment(broker.bootstrap, prefix, tmp_path)
    topics = deployment.start("topics")
    made, _ = topics.communicate()
    running = [deployment.start(service) for service in ("worker", "notify", "fleet")]
    try:
        asyncio.run(until_verdicts(cluster, deployment, running))
        healthy = [
            subprocess.run(healthcheck(deployment, each), check=False).returncode for each in ("worker", "notify")
        ]
        events = asyncio.run(cluster.read(names.sources[0], 12))
    finally:
        for process in running:
            os.killpg(process.pid, signal.SIGTERM)
    times = [orjson.loads(record.value)["time"] for record in events]
    began = (tmp_path / "fleet" / "began").read_text().strip()

    assert topics.returncode == 0
    assert f"created {names.events} with 12 partitions" in made
    assert f"created {names.alert_log} with 1 partitions" in made
    assert healthy == [0, 0]
    assert [process.wait(25) for process in running[:2]] == [0, 0]
    assert min(times)[:19] == began[:19]
    assert max(times) <= datetime.now(UTC).isoformat()


async def until_verdicts(cluster: Cluster, deployment: Deployment, running: list[subprocess.Popen[str]]) -> None:
    """Until the worker has issued some, and the notifier has its probes."""
    end = time.monotonic() + 120
    while PROBES not in deployment.log("notify") or not await cluster.read(cluster.names.verdicts, 12):
        assert time.monotonic() < end
        assert all(process.poll() is None for process in running)
        await asyncio.sleep(0.5)


def healthcheck(deployment: Deployment, service: str) -> list[str]:
    """That of a service, at the port that it has taken."""
    port = re.findall(rf"{PROBES} http://[^:]+:(\d+)", deployment.log(service))[0]
    _, _, script, *arguments = SERVICES[service]["healthcheck"]["test"]
    assert script == "/opt/stream-app/health.py"
    return [sys.executable, str(REPOSITORY / "deploy" / "health.py"), *arguments, "--metrics-port", port]
