"""Finds out why Kafka refuses a connection, by the first steps of one: TCP, TLS and the login.

Kafka's clients do the same steps, but report most failures as a timeout, after having repeated them.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from kafka.net.sasl import get_sasl_mechanism

#: Seconds that a server has for each step.
_STEP_SECONDS = 5.0
_HANDSHAKE, _AUTHENTICATE = (17, 1), (36, 0)
_UNSUPPORTED_MECHANISM, _NO_LOGIN_HERE = 33, 34
_LARGEST_ANSWER = 1 << 16
#: What begins an answer in TLS: the type of an alert, and the major version.
_TLS_ALERT = b"\x15\x03"
#: OpenSSL's codes of certificates that cannot be trusted for a reason other than their authority.
_NOT_YET, _EXPIRED, _HOST_NAME, _HOST_ADDRESS = 9, 10, 62, 64


class Refusal(NamedTuple):
    """Why a server cannot be used."""

    text: str
    #: Whether it answered: what it refuses, it will refuse again until somebody changes something.
    answered: bool = True


class _RefusedError(Exception):
    """Carries a `Refusal` out of a step."""

    def __init__(self, text: str, *, answered: bool = True) -> None:
        super().__init__(text)
        self.refusal = Refusal(text, answered)


def refusal(server: str, settings: Mapping[str, Any], *, certificate: bool) -> Refusal | None:
    """Why a server cannot be used; None where it can, as far as these steps tell.

    Parameters
    ----------
    server
        `host:port`.
    settings
        Settings of a client, as of `Connection.client`.
    certificate
        Whether a client certificate is among the settings.
    """
    host, _, port = server.rpartition(":")
    host = host.strip("[]")
    try:
        with socket.create_connection((host, int(port)), _STEP_SECONDS) as plain:
            context: ssl.SSLContext | None = settings["ssl_context"]
            if context is None:
                _log_in(plain, settings)
            else:
                _with_tls(plain, host, settings, certificate=certificate)
    except _RefusedError as error:
        return error.refusal
    except TimeoutError:
        return Refusal(f"no answer within {_STEP_SECONDS:.0f} s", answered=False)
    except UnicodeError:
        return Refusal(f"{host!r} is no host name", answered=False)
    except OSError as error:
        return Refusal(error.strerror or str(error), answered=False)
    except struct.error:  # an answer that ends too soon
        return None
    return None


def _with_tls(plain: socket.socket, host: str, settings: Mapping[str, Any], *, certificate: bool) -> None:
    protocol = settings["security_protocol"]
    try:
        with settings["ssl_context"].wrap_socket(plain, server_hostname=host) as secured:
            _log_in(secured, settings)
    except ssl.SSLCertVerificationError as error:
        raise _RefusedError(_distrust(error)) from error
    except (ssl.SSLError, ConnectionError) as error:
        reason = (error.reason or "") if isinstance(error, ssl.SSLError) else (error.strerror or "")
        if "ALERT" not in reason:
            other = protocol.replace("SSL", "PLAINTEXT")
            text = f"no TLS there ({reason}); check the protocol ({protocol}), which without TLS is {other}"
            raise _RefusedError(text, answered=False) from error
        what = reason.lower().replace("_", " ")
        if certificate:
            raise _RefusedError(f"it refuses our client certificate ({what}); check certificate_file") from error
        raise _RefusedError(
            f"it refuses TLS without a client certificate ({what}); set certificate_file and key_file"
        ) from error


def _distrust(error: ssl.SSLCertVerificationError) -> str:
    """What is wrong with the server's certificate."""
    reason = error.verify_message.rstrip(".")
    if error.verify_code in (_EXPIRED, _NOT_YET):
        return f"its certificate is out of date ({reason}); the broker needs a new one"
    if error.verify_code in (_HOST_NAME, _HOST_ADDRESS):
        return f"its certificate is of another host ({reason}); use a name that the certificate has"
    return f"its certificate is not trusted ({reason}); check the CA file"


def _log_in(connected: socket.socket, settings: Mapping[str, Any]) -> None:
    """Asks for a login, and logs in where there is one to be given."""
    protocol = settings["security_protocol"]
    mechanism = settings.get("sasl_mechanism")
    answer = _ask(connected, _HANDSHAKE, _string(mechanism or "PLAIN"))
    if answer is not None and answer.startswith(_TLS_ALERT):
        other = protocol.replace("PLAINTEXT", "SSL")
        raise _RefusedError(f"there is TLS; check the protocol ({protocol}), which with TLS is {other}")
    if answer is None or len(answer) < 2:
        return  # it may still be one that Kafka's clients can use
    (code,) = struct.unpack_from(">h", answer)
    if mechanism is None:
        if code in (0, _UNSUPPORTED_MECHANISM):
            raise _RefusedError(
                f"it asks for a login; check the protocol ({protocol}), which with a user name and a password is "
                f"SASL_{protocol}"
            )
    elif code == _NO_LOGIN_HERE:
        without = protocol.removeprefix("SASL_")
        raise _RefusedError(f"it takes no login; check the protocol ({protocol}), which without a login is {without}")
    elif code == _UNSUPPORTED_MECHANISM:
        offered = ", ".join(sorted(_strings(answer[2:]))) or "no other"
        raise _RefusedError(f"it does not take {mechanism}; set the mechanism to one that it takes: {offered}")
    elif code == 0:
        _authenticate(connected, settings)


def _authenticate(connected: socket.socket, settings: Mapping[str, Any]) -> None:
    mechanism = get_sasl_mechanism(settings["sasl_mechanism"])(**settings)
    user = f"{settings['sasl_plain_username']!r} ({settings['sasl_mechanism']})"
    while not mechanism.is_done():
        message = mechanism.auth_bytes()
        answer = _ask(connected, _AUTHENTICATE, struct.pack(">i", len(message)) + message)
        if answer is None or len(answer) < 2:
            return
        if answer[:2] != b"\x00\x00":
            raise _RefusedError(f"it refused {user}; check user name and password")
        length = max(0, struct.unpack_from(">h", answer, 2)[0])  # of the text of an error
        try:
            mechanism.receive(answer[8 + length :][: struct.unpack_from(">i", answer, 4 + length)[0]])
        except (ValueError, KeyError) as error:
            raise _RefusedError(f"its answer to the login of {user} is wrong; is it the right server?") from error


def _ask(connected: socket.socket, api: tuple[int, int], body: bytes) -> bytes | None:
    """The body of the answer to a request, or an alert of TLS; None where the server closes the connection."""
    request = struct.pack(">hhi", *api, 0) + _string("stream-app") + body
    connected.sendall(struct.pack(">i", len(request)) + request)
    head = _receive(connected, 8)
    if head is None or head.startswith(_TLS_ALERT):
        return head
    (length,) = struct.unpack_from(">i", head)
    return _receive(connected, length - 4) if 4 < length < _LARGEST_ANSWER else None


def _receive(connected: socket.socket, length: int) -> bytes | None:
    received = b""
    while len(received) < length:
        more = connected.recv(length - len(received))
        if not more:
            return received if received.startswith(_TLS_ALERT) else None
        received += more
    return received


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _strings(array: bytes) -> list[str]:
    (count,) = struct.unpack_from(">i", array)
    found, at = [], 4
    for _ in range(count):
        (length,) = struct.unpack_from(">h", array, at)
        found.append(array[at + 2 : at + 2 + length].decode(errors="replace"))
        at += 2 + length
    return found
