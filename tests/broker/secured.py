"""Connections to the listeners of a broker with TLS and logins: right ones, and each that is wrong in one thing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from stream_app.kafka.clients.connection import Connection
from tests.broker.broker import PASSWORD, USER, JavaBroker

#: A password that no broker knows; it must be in no text.
WRONG = "swordfish-of-nobody"


def right(broker: JavaBroker) -> dict[str, Connection]:
    """One for each way of logging in."""
    secure = Connection(
        broker.listeners["SECURE"], "SASL_SSL", broker.ca, mechanism="SCRAM-SHA-256", username=USER, password=PASSWORD
    )
    return {
        "SCRAM-SHA-256": secure,
        "SCRAM-SHA-512": replace(secure, mechanism="SCRAM-SHA-512"),
        "PLAIN": replace(secure, mechanism="PLAIN"),
        "PLAIN without TLS": replace(
            secure, bootstrap_servers=broker.listeners["LOGIN"], protocol="SASL_PLAINTEXT", mechanism="PLAIN"
        ),
        "client certificate": Connection(
            broker.listeners["MUTUAL"], "SSL", broker.ca, broker.folder / "client.crt", broker.folder / "client.key"
        ),
    }


def wrong(broker: JavaBroker, other_ca: Path) -> dict[str, tuple[Connection, str]]:
    """What a user may get wrong, and a pattern of what must be said about it."""
    at, good = broker.listeners, right(broker)
    scram, mutual = good["SCRAM-SHA-256"], good["client certificate"]
    plaintext = Connection(broker.bootstrap)
    no_login = replace(scram, protocol="SSL", username=None, password=None)
    refused = r"it refused 'worker' \({}\); check user name and password"
    return {
        "password": (replace(scram, password=WRONG), refused.format("SCRAM-SHA-256")),
        "password, in plain": (replace(good["PLAIN"], password=WRONG), refused.format("PLAIN")),
        "user name": (replace(scram, username="nobody"), r"it refused 'nobody' \(SCRAM-SHA-256\); check user name"),
        "mechanism": (
            replace(scram, bootstrap_servers=at["LOGIN"], protocol="SASL_PLAINTEXT"),
            "it does not take SCRAM-SHA-256; set the mechanism to one that it takes: PLAIN",
        ),
        "authority": (replace(scram, ca_file=other_ca), r"certificate is not trusted \(.*\); check the CA file"),
        "no authority": (replace(scram, ca_file=None), r"certificate is not trusted \(.*\); check the CA file"),
        "host name": (
            replace(no_login, bootstrap_servers=at["ELSEWHERE"]),
            r"its certificate is of another host \(.*not valid for '127.0.0.1'\); use a name that the certificate has",
        ),
        "expired": (
            replace(no_login, bootstrap_servers=at["EXPIRED"]),
            r"its certificate is out of date \(certificate has expired\); the broker needs a new one",
        ),
        "no client certificate": (
            replace(mutual, certificate_file=None, key_file=None),
            r"it refuses TLS without a client certificate \(.*\); set certificate_file and key_file",
        ),
        "client certificate of another authority": (
            replace(mutual, certificate_file=other_ca, key_file=other_ca.with_name("ca.key")),
            r"it refuses our client certificate \(.*\); check certificate_file",
        ),
        "login where there is none": (
            replace(scram, bootstrap_servers=broker.bootstrap, protocol="SASL_PLAINTEXT"),
            r"it takes no login; check the protocol \(SASL_PLAINTEXT\), which without a login is PLAINTEXT",
        ),
        "login where certificates are asked for": (
            replace(mutual, protocol="SASL_SSL", username=USER, password=PASSWORD),
            r"it takes no login; check the protocol \(SASL_SSL\), which without a login is SSL",
        ),
        "TLS where there is none": (
            replace(no_login, bootstrap_servers=broker.bootstrap),
            r"no TLS there \(.*\); check the protocol \(SSL\), which without TLS is PLAINTEXT",
        ),
        "TLS and login where there is neither": (
            replace(scram, bootstrap_servers=broker.bootstrap),
            r"no TLS there \(.*\); check the protocol \(SASL_SSL\), which without TLS is SASL_PLAINTEXT",
        ),
        "no TLS": (
            replace(plaintext, bootstrap_servers=at["MUTUAL"]),
            r"there is TLS; check the protocol \(PLAINTEXT\), which with TLS is SSL",
        ),
        "no TLS, but a login": (
            replace(scram, protocol="SASL_PLAINTEXT"),
            r"there is TLS; check the protocol \(SASL_PLAINTEXT\), which with TLS is SASL_SSL",
        ),
        "no login": (
            no_login,
            r"it asks for a login; check the protocol \(SSL\), which with a user name and a password is SASL_SSL",
        ),
    }


def variables(connection: Connection) -> dict[str, str]:
    """The connection as settings of a command."""
    given = {
        "BOOTSTRAP_SERVERS": connection.bootstrap_servers,
        "PROTOCOL": connection.protocol,
        "CA_FILE": connection.ca_file,
        "CERTIFICATE_FILE": connection.certificate_file,
        "KEY_FILE": connection.key_file,
        "MECHANISM": connection.mechanism,
        "USERNAME": connection.username,
        "PASSWORD": connection.password,
        "REPLICATION": 1,
        "METRICS_PORT": 0,
    }
    return {f"STREAM_APP_KAFKA_{name}": str(value) for name, value in given.items() if value is not None}
