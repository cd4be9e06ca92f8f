"""Why a server cannot be used, also one that is no Kafka; real brokers are in tests/broker/test_security.py."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stream_app.kafka.clients import handshake
from stream_app.kafka.clients.connection import Connection
from stream_app.kafka.clients.handshake import Refusal

#: Answers to a handshake: the mechanism is taken, or it is not among those that are.
TAKEN = struct.pack(">hi", 0, 0)
OTHERS = struct.pack(">hi", 33, 2) + b"\x00\x05PLAIN\x00\x06GSSAPI"


@contextmanager
def server(*answers: bytes | None) -> Iterator[str]:
    """Gives one answer to each request of one connection, None for none; then it closes the connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        over = threading.Event()

        def serve() -> None:
            with listening.accept()[0] as connected:
                for answer in answers:
                    connected.recv(4096)
                    if answer is None:
                        over.wait()
                    else:
                        connected.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def framed(body: bytes) -> bytes:
    """The answer to a request, with its length and the id that belongs to it."""
    return struct.pack(">ii", len(body) + 4, 0) + body


def refusal(address: str, login: bool = True) -> Refusal | None:
    given = ("SASL_PLAINTEXT", None, None, None, "SCRAM-SHA-256", "u", "p") if login else ()
    return Connection(address, *given).refusal()  # type: ignore[arg-type]


NONSENSE = [
    b"",
    b"\x00",
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    framed(b""),
    framed(b"\x00"),
    framed(struct.pack(">hi", 99, 0)),
    struct.pack(">ii", -1, 0),
]
CUT_OFF = [framed(OTHERS[:2]), framed(OTHERS[:14]), framed(struct.pack(">hi", 33, 1 << 20))]


@pytest.mark.parametrize(
    ("answer", "login"),
    [(answer, login) for answer in NONSENSE for login in (True, False)] + [(answer, True) for answer in CUT_OFF],
    ids=range(2 * len(NONSENSE) + len(CUT_OFF)),
)
def test_an_answer_that_is_none_is_left_to_the_clients(answer: bytes, login: bool) -> None:
    """They may know more of it; nothing crashes."""
    with server(answer) as address:
        assert refusal(address, login) is None


@pytest.mark.parametrize("said", [b"r=x,s=eA==,i=4096", b"", b"e=other"], ids=["nonce", "nothing", "nonsense"])
def test_a_login_that_is_answered_wrongly_is_told(said: bytes) -> None:
    """By a server that does not know the password either, or says nothing of sense."""
    answer = framed(struct.pack(">hhi", 0, -1, len(said)) + said)
    with server(framed(TAKEN), answer) as address:
        refused = refusal(address)

    assert refused == Refusal("its answer to the login of 'u' (SCRAM-SHA-256) is wrong; is it the right server?")


@pytest.mark.parametrize("answer", [b"", framed(b"\x00\x00")], ids=["closed", "short"])
def test_a_login_that_is_cut_off_is_left_to_the_clients(answer: bytes) -> None:
    with server(framed(TAKEN), answer) as address:
        assert refusal(address) is None


def test_mechanisms_that_are_taken_are_named() -> None:
    with server(framed(OTHERS)) as address:
        refused = refusal(address)

    assert refused == Refusal("it does not take SCRAM-SHA-256; set the mechanism to one that it takes: GSSAPI, PLAIN")


def test_silence_is_told_after_some_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is suspended takes connections and answers nothing."""
    monkeypatch.setattr(handshake, "_STEP_SECONDS", 0.2)
    with server(None) as address:
        assert refusal(address) == Refusal("no answer within 0 s", answered=False)


def test_a_name_that_cannot_be_one_is_told() -> None:
    assert refusal("a..b:9092", login=False) == Refusal("'a..b' is no host name", answered=False)
