"""Three brokers and a controller, each a process of its own, of which brokers can be killed and started again."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from tests.broker.broker import CLUSTER, fetch_kafka, free_port, java, wait_for_port

CONTROLLER = 100
BROKERS = (1, 2, 3)
#: Sessions and lags are short, so that a killed broker is believed dead within seconds.
PROPERTIES = """process.roles={role}
node.id={node}
controller.quorum.voters=100@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
{listeners}
log.dirs={folder}/data
auto.create.topics.enable=false
message.max.bytes=16777216
default.replication.factor=3
min.insync.replicas=2
offsets.topic.replication.factor=3
offsets.topic.num.partitions=3
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=6000
"""


@dataclass
class Node:
    """A broker or the controller."""

    folder: Path
    port: int
    heap: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            command = [*java(f"-Xmx{self.heap}"), "kafka.Kafka", str(self.folder / "server.properties")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def wait_for_port(self) -> None:
        wait_for_port(self.port, 120, self.process)

    def kill(self) -> None:
        """As a power failure does to a process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


@dataclass
class ThreeBrokers:
    """The cluster; nodes by their numbers."""

    nodes: dict[int, Node] = field(default_factory=dict)

    @property
    def bootstrap(self) -> str:
        return ",".join(f"127.0.0.1:{self.nodes[number].port}" for number in BROKERS)

    def admin(self) -> KafkaAdminClient:
        return KafkaAdminClient(bootstrap_servers=self.bootstrap.split(","))

    def kill(self, *numbers: int) -> None:
        for number in numbers:
            self.nodes[number].kill()

    def start(self, *numbers: int) -> None:
        for number in numbers:
            self.nodes[number].start()
        for number in numbers:
            self.nodes[number].wait_for_port()

    def leader(self, topic: str, partition: int = 0) -> int:
        """The broker that leads a partition."""
        with self.admin() as admin:
            [described] = admin.describe_topics([topic])
            return next(
                int(each["leader_id"]) for each in described["partitions"] if each["partition_index"] == partition
            )

    def wait_in_sync(self, topics: list[str], replicas: int = 3, seconds: float = 120) -> None:
        """Waits until every partition of some topics has that many replicas in sync."""
        end = time.monotonic() + seconds
        while not self._in_sync(topics, replicas):
            assert time.monotonic() < end, "replicas do not come back"
            time.sleep(0.5)

    def _in_sync(self, topics: list[str], replicas: int) -> bool:
        try:
            with self.admin() as admin:
                found = [each for topic in admin.describe_topics(topics) for each in topic["partitions"]]
        except KafkaError:
            return False
        return bool(found) and all(len(each["isr_nodes"]) == replicas for each in found)


@contextmanager
def three_brokers() -> Iterator[ThreeBrokers]:
    """The cluster, started; stopped and deleted in the end."""
    fetch_kafka()
    folder = Path(tempfile.mkdtemp(prefix="stream-app-brokers-"))
    cluster, controller = ThreeBrokers(), free_port()
    try:
        for number in (CONTROLLER, *BROKERS):
            leads = number == CONTROLLER
            port = controller if leads else free_port()
            node = Node(folder / str(number), port, "128m" if leads else "320m")
            node.folder.mkdir()
            properties = node.folder / "server.properties"
            name = "CONTROLLER" if leads else "PLAINTEXT"
            properties.write_text(
                PROPERTIES.format(
                    role="controller" if leads else "broker",
                    node=number,
                    controller=controller,
                    listeners=f"listeners={name}://127.0.0.1:{port}",
                    folder=node.folder,
                )
            )
            formatting = ["format", "-t", CLUSTER, "-c", str(properties)]
            subprocess.run([*java(), "kafka.tools.StorageTool", *formatting], check=True, capture_output=True)
            cluster.nodes[number] = node
        cluster.start(CONTROLLER, *BROKERS)
        yield cluster
    finally:
        for node in cluster.nodes.values():
            if node.process is not None and node.process.poll() is None:
                node.kill()
        shutil.rmtree(folder, ignore_errors=True)
