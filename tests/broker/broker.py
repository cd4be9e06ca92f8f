"""A real Kafka broker for tests: the first found of a given one, Docker, and Java 17 with Maven.

`KAFKA_BOOTSTRAP_SERVERS` names a broker that is running already. Docker runs the `apache/kafka` image.
Maven fetches Kafka's own jars once, into `.venv/kafka` at the top of the repository, and Java runs them in
KRaft mode.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.broker.certificates import make_authority, make_certificate

VERSION = "4.1.0"
CACHE = Path(__file__).resolve().parents[2] / ".venv" / "kafka" / VERSION
HELP = (
    "The tests in tests/broker need a Kafka broker and found none. Give them one of: "
    "KAFKA_BOOTSTRAP_SERVERS=host:port of a running Kafka 3.7 or later; a running Docker engine; Java 17, "
    "Maven and OpenSSL (`apt-get install openjdk-17-jre-headless maven openssl`), which fetch and start one."
)
#: The user of the listeners with a login.
USER, PASSWORD = "worker", "correct horse"
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PLAIN = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
#: Listeners beside the one without TLS, and their protocols. All but LOGIN have a certificate of their own.
LISTENERS = {
    "SECURE": "SASL_SSL",
    "LOGIN": "SASL_PLAINTEXT",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "ELSEWHERE": "SSL",
}
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qg"
POM = """<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>broker</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
<version>{version}</version></dependency></dependencies></project>
"""
PROPERTIES = """process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listeners=PLAINTEXT://127.0.0.1:{plain},CONTROLLER://127.0.0.1:{controller},{listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,{protocols}
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512,PLAIN
listener.name.secure.scram-sha-256.sasl.jaas.config={scram}
listener.name.secure.scram-sha-512.sasl.jaas.config={scram}
listener.name.secure.plain.sasl.jaas.config={login}
listener.name.login.sasl.enabled.mechanisms=PLAIN
listener.name.login.plain.sasl.jaas.config={login}
listener.name.mutual.ssl.client.auth=required
listener.name.mutual.ssl.truststore.type=PEM
listener.name.mutual.ssl.truststore.location={folder}/ca.pem
listener.name.expired.ssl.keystore.location={folder}/expired.pem
listener.name.elsewhere.ssl.keystore.location={folder}/elsewhere.pem
ssl.keystore.type=PEM
ssl.keystore.location={folder}/server.pem
log.dirs={folder}/data
num.partitions=1
auto.create.topics.enable=false
message.max.bytes=16777216
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.cleaner.backoff.ms=300
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, seconds: float, still_alive: subprocess.Popen[bytes] | None = None) -> None:
    """Return when `port` on loopback accepts connections.

    Raises:
        RuntimeError: it did not within `seconds`, or the process that should open it ended.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if still_alive is not None and still_alive.poll() is not None:
            raise RuntimeError(f"the broker ended with exit code {still_alive.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port} after {seconds:.0f} s")


@dataclass
class Broker:
    """A broker that runs already, which tests may use but not stop."""

    bootstrap: str
    #: host:port of a listener with TLS and SCRAM; None where the broker has none that is known.
    secure: str | None = None
    #: File with the certificate authority of that listener.
    ca: Path | None = None
    #: host:port of each of `LISTENERS`, where the broker has them.
    listeners: Mapping[str, str] = field(default_factory=dict)

    def close(self) -> None:
        """Stop what was started; a given broker is left alone."""


@dataclass
class DockerBroker(Broker):
    container: str = ""

    def close(self) -> None:
        subprocess.run(["docker", "rm", "-f", self.container], check=False, capture_output=True)


@dataclass
class JavaBroker(Broker):
    """Kafka as a child process in a temporary folder; it can be stopped and started again with its data."""

    folder: Path = field(default_factory=Path)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "broker.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*java("-Xmx768m", "-Xms256m"), "kafka.Kafka", str(self.folder / "server.properties")],
                stdout=log,
                stderr=log,
            )
        wait_for_port(int(self.bootstrap.rpartition(":")[2]), 180, self.process)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout=60)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def java(*options: str) -> list[str]:
    return ["java", "-XX:TieredStopAtLevel=1", *options, "-cp", f"{CACHE}/*"]


def fetch_kafka() -> None:
    if CACHE.exists():
        return
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as work:
        Path(work, "pom.xml").write_text(POM.format(version=VERSION))
        jars = Path(work, "jars")
        subprocess.run(
            ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"],
            cwd=work,
            check=True,
        )
        jars.rename(CACHE)


def start_java() -> JavaBroker:
    """Start a broker of our own from Kafka's jars; it has a second listener with TLS and SCRAM.

    Raises:
        RuntimeError: Java, Maven or OpenSSL is missing; the message says how to get them.
    """
    if not all(shutil.which(tool) for tool in ("java", "mvn", "openssl")):
        raise RuntimeError(HELP)
    fetch_kafka()
    folder = Path(tempfile.mkdtemp(prefix="stream-app-kafka-"))
    ca = make_authority(folder)
    make_certificate(folder, "server")
    make_certificate(folder, "client")
    make_certificate(folder, "expired", days=-1)
    make_certificate(folder, "elsewhere", host="DNS:kafka.example")
    plain, controller = free_port(), free_port()
    listeners = {name: f"127.0.0.1:{free_port()}" for name in LISTENERS}
    properties = folder / "server.properties"
    properties.write_text(
        PROPERTIES.format(
            plain=plain,
            controller=controller,
            listeners=",".join(f"{name}://{address}" for name, address in listeners.items()),
            protocols=",".join(f"{name}:{protocol}" for name, protocol in LISTENERS.items()),
            folder=folder,
            scram=SCRAM,
            login=PLAIN,
        )
    )
    users = [f"{mechanism}=[name={USER},password={PASSWORD}]" for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    scram = [part for user in users for part in ("--add-scram", user)]
    formatting = ["format", "-t", CLUSTER, "-c", str(properties), *scram]
    subprocess.run([*java(), "kafka.tools.StorageTool", *formatting], check=True, capture_output=True)
    broker = JavaBroker(f"127.0.0.1:{plain}", listeners["SECURE"], ca, listeners, folder)
    broker.start()
    return broker


def start_docker() -> DockerBroker:
    port = free_port()
    settings = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:19093",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENERS": f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://localhost:19093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_MESSAGE_MAX_BYTES": "16777216",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
        "KAFKA_LOG_CLEANER_BACKOFF_MS": "300",
    }
    flags = [flag for name, value in settings.items() for flag in ("-e", f"{name}={value}")]
    command = [
        "docker",
        "run",
        "-d",
        "--rm",
        "-p",
        f"127.0.0.1:{port}:{port}",
        *flags,
        f"apache/kafka:{VERSION}",
    ]
    container = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    broker = DockerBroker(f"127.0.0.1:{port}", container=container)
    wait_for_port(port, 60)
    return broker


def docker_runs() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "version"], check=False, capture_output=True, timeout=20).returncode == 0


def find_broker() -> Broker:
    """A broker for a test session; close it afterwards.

    Raises:
        RuntimeError: there is none and none can be started; the message says how to get one.
    """
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        return Broker(given)
    if docker_runs():
        return start_docker()
    return start_java()
