"""TLS and SCRAM on a real broker; what goes wrong is said plainly, and no secret is ever said."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream_app.kafka.clients.connection import Connection, UnreachableError
from stream_app.kafka.clients.logs import quieten
from stream_app.kafka.clients.producer import make_producer, sender
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.engine.app import make_app
from stream_app.kafka.state.outbox import Message
from tests.broker.broker import PASSWORD, USER, Broker, free_port, start_java


@pytest.fixture(scope="module")
def secure(broker: Broker) -> Iterator[Broker]:
    """A broker with a secure listener: the session's, or one more where that has none."""
    if broker.secure is not None:
        yield broker
    else:
        own = start_java()
        yield own
        own.close()


def connection(broker: Broker, **changes: object) -> Connection:
    given: dict[str, object] = {
        "bootstrap_servers": broker.secure,
        "protocol": "SASL_SSL",
        "ca_file": broker.ca,
        "mechanism": "SCRAM-SHA-256",
        "username": USER,
        "password": PASSWORD,
    }
    return Connection(**{**given, **changes})  # type: ignore[arg-type]


def test_admin_and_producer_log_in(secure: Broker, prefix: str) -> None:
    """The same connection serves kafka-python and aiokafka."""
    admin = connection(secure).admin()
    admin.create_topics({prefix: {"num_partitions": 1, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()

    async def send() -> None:
        producer = make_producer(connection(secure))
        await producer.start()
        await sender(producer)([Message(prefix, b"k", b"v")])
        await producer.stop()

    asyncio.run(send())


def test_faust_logs_in(secure: Broker, prefix: str, tmp_path: Path) -> None:
    """A Faust app takes the same login, with our own authority."""
    settings = {"session_seconds": 6.0, "instance_id": None}
    app = make_app(connection(secure), Names(prefix), tmp_path, dict, print, **settings)  # type: ignore[arg-type]

    async def start() -> None:
        await app.producer.start()
        await app.producer.stop()

    asyncio.run(start())


def test_a_wrong_password_is_said(secure: Broker, caplog: pytest.LogCaptureFixture) -> None:
    """The message names the user and the mechanism, and neither it nor the log has the password."""
    caplog.set_level(logging.DEBUG)
    quieten()
    with pytest.raises(UnreachableError, match=r"it refused 'worker' .SCRAM-SHA-256.; check user name") as raised:
        connection(secure, password="swordfish").admin()

    assert "swordfish" not in str(raised.value) + caplog.text


def test_an_authority_that_is_not_trusted_is_said(secure: Broker) -> None:
    """Without our own authority the broker's certificate proves nothing."""
    with pytest.raises(UnreachableError, match=r"its certificate is not trusted .*; check the CA file"):
        connection(secure, ca_file=None).admin()


def test_a_wrong_protocol_is_said(secure: Broker) -> None:
    """TLS where there is none, and none where there is."""
    plain = {"protocol": "PLAINTEXT", "username": None, "password": None}
    with pytest.raises(UnreachableError, match=r"does not answer as a Kafka broker; check the protocol"):
        connection(secure, **plain).admin()
    with pytest.raises(UnreachableError, match=r"no TLS there .*; check the protocol"):
        connection(secure, bootstrap_servers=secure.bootstrap).admin()


def test_nobody_there_is_said() -> None:
    """An address at which nothing listens."""
    with pytest.raises(UnreachableError, match=r"cannot reach Kafka at 127.0.0.1:.*: Connection refused"):
        Connection(f"127.0.0.1:{free_port()}").admin()


def test_tls_is_1_2_or_later_with_the_name_checked(secure: Broker) -> None:
    """A certificate of another host is refused, and so are old protocols."""
    context = connection(secure).tls()

    assert context is not None
    assert context.check_hostname
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
