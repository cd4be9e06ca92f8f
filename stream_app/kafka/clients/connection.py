"""How to reach Kafka: addresses, TLS and logins, as settings of each client library."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError

from stream_app.errors import OptionsError, StreamAppError
from stream_app.kafka.clients import tolerant_records
from stream_app.kafka.clients.handshake import Refusal, refusal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

_ADMIN_MS = 5_000

tolerant_records.install()  # every client is made from here


class UnreachableError(StreamAppError):
    """Kafka does not answer, or refuses the login; the message says which and what to check. Exit code 1."""


class RefusedError(UnreachableError):
    """Kafka answers and refuses the connection: the certificates, the protocol or the login are wrong. Exit code 1."""


@dataclass(frozen=True)
class Connection:
    """Where Kafka is and how to log in. Its `repr` does not contain the password.

    Raises
    ------
    OptionsError
        The parts do not fit together.
    """

    #: `host:port`, several separated by commas.
    bootstrap_servers: str
    protocol: Protocol = "PLAINTEXT"
    #: PEM file of the certificate authorities to trust instead of the system's.
    ca_file: Path | None = None
    #: Client certificate and its key, both PEM, for brokers that ask for one.
    certificate_file: Path | None = None
    key_file: Path | None = None
    mechanism: Mechanism = "SCRAM-SHA-512"
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for server in self.servers:
            host, _, port = server.rpartition(":")
            if not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
                raise OptionsError(f"bootstrap server {server!r}: expected host:port, such as localhost:9092")
        if self.sasl and not (self.username and self.password):
            raise OptionsError(f"protocol {self.protocol} needs a user name and a password")
        if not self.sasl and (self.username or self.password):
            raise OptionsError(f"a user name or password is of no use with protocol {self.protocol}: use SASL_SSL")

    @property
    def servers(self) -> list[str]:
        """The addresses, each `host:port`."""
        return [server.strip() for server in self.bootstrap_servers.split(",")]

    @property
    def sasl(self) -> bool:
        """Whether the protocol needs a login."""
        return self.protocol.startswith("SASL_")

    def tls(self) -> ssl.SSLContext | None:
        """TLS 1.2 or later with the host name checked; None for a protocol without TLS.

        Raises
        ------
        OptionsError
            A certificate file cannot be read.
        """
        if not self.protocol.endswith("SSL"):
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate_file is not None:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except OSError as error:  # ssl.SSLError is one
            raise OptionsError(f"cannot read the certificates for {self.bootstrap_servers}: {error}") from error
        return context

    def client(self) -> dict[str, Any]:
        """Settings of an aiokafka or kafka-python client."""
        settings: dict[str, Any] = {
            "bootstrap_servers": self.servers,
            "security_protocol": self.protocol,
            "ssl_context": self.tls(),
        }
        if self.sasl:
            settings["sasl_mechanism"] = self.mechanism
            settings["sasl_plain_username"] = self.username
            settings["sasl_plain_password"] = self.password
        return settings

    def admin(self) -> KafkaAdminClient:
        """An admin client; the caller closes it.

        Raises
        ------
        UnreachableError
            Kafka does not answer.
        RefusedError
            It answers and refuses the connection.
        """
        refused = self.refusal()
        if refused is not None:
            kind = RefusedError if refused.answered else UnreachableError
            raise kind(f"cannot reach Kafka at {self.bootstrap_servers}: {refused.text}")
        try:
            return KafkaAdminClient(**self.client(), bootstrap_timeout_ms=_ADMIN_MS, request_timeout_ms=_ADMIN_MS * 6)
        except KafkaError as error:
            why = f"it does not answer as a Kafka broker; check the protocol ({self.protocol})"
            raise UnreachableError(f"cannot reach Kafka at {self.bootstrap_servers}: {why}") from error

    def refusal(self) -> Refusal | None:
        """Why no server takes the connection, the login included; None when one does.

        Raises
        ------
        OptionsError
            A certificate file cannot be read.
        """
        settings, found = self.client(), []
        for server in self.servers:
            refused = refusal(server, settings, certificate=self.certificate_file is not None)
            if refused is None:
                return None
            found.append(refused)
        return next((each for each in found if each.answered), found[0])
