"""Settings of a connection that do not fit together, and secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_app.errors import OptionsError
from stream_app.kafka.clients.connection import Connection


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"bootstrap_servers": "localhost"}, "expected host:port, such as localhost:9092"),
        ({"bootstrap_servers": "a:1,b:x"}, "bootstrap server 'b:x'"),
        ({"bootstrap_servers": "a:65536"}, "bootstrap server 'a:65536'"),
        ({"protocol": "SASL_SSL", "username": "u"}, "needs a user name and a password"),
        ({"password": "p"}, "of no use with protocol PLAINTEXT: use SASL_SSL"),
    ],
)
def test_parts_that_do_not_fit_are_refused(settings: dict[str, str], message: str) -> None:
    """The user is told in one line what to change."""
    with pytest.raises(OptionsError, match=message):
        Connection(**{"bootstrap_servers": "localhost:9092", **settings})  # type: ignore[arg-type]


def test_a_password_is_in_no_text() -> None:
    """Printing or logging a connection gives nothing away."""
    assert "swordfish" not in repr(Connection("localhost:9092", "SASL_SSL", username="u", password="swordfish"))


def test_a_certificate_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """The message names the place, not a traceback."""
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(OptionsError, match="cannot read the certificates for localhost:9092"):
        Connection("localhost:9092", "SSL", ca_file=tmp_path / "ca.pem").tls()
