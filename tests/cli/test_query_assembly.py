"""Settings of questions to workers: what is told to others, and that nobody else may ask."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from pydantic import SecretStr

from stream_app.cli.query_assembly import address_of, answering_of, query_token_of
from stream_app.errors import OptionsError
from stream_app.options import QueriesOptions, load

TOKEN = "0123456789abcdef"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "worker-1", "127.0.0.2"])
def test_other_machines_need_a_token(host: str) -> None:
    """Where only this machine can ask it needs none."""
    with pytest.raises(OptionsError, match=rf"^queries.host {host}: set queries.token before other machines may ask$"):
        answering_of(QueriesOptions(host=host))

    answering_of(QueriesOptions(host=host, token=SecretStr(TOKEN)))
    for local in ("127.0.0.1", "::1", "localhost"):
        answering_of(QueriesOptions(host=local))


@pytest.mark.parametrize("token", ["", "short", TOKEN[1:], f"{TOKEN}\n{TOKEN}", "é" * 20, "x" * 15 + "\x7f"])
def test_a_token_that_protects_nothing_is_refused(token: str) -> None:
    """And so is one that no header can hold; it is not repeated."""
    with pytest.raises(OptionsError, match=r"^queries.token: expected 16 printable characters of ASCII or more$"):
        query_token_of(QueriesOptions(token=SecretStr(token)))


def test_the_token_is_as_it_is_or_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    path.chmod(0o600)
    monkeypatch.setenv("STREAM_APP_QUERIES_TOKEN", TOKEN)

    assert query_token_of(load().queries) == TOKEN
    assert TOKEN not in repr(load())
    assert query_token_of(QueriesOptions(token_file=path)) == TOKEN
    assert query_token_of(QueriesOptions()) is None
    with pytest.raises(OptionsError, match="give one"):
        query_token_of(QueriesOptions(token=SecretStr(TOKEN), token_file=path))


@pytest.mark.parametrize(
    ("options", "address"),
    [
        ({}, "127.0.0.1:4711"),
        ({"host": "localhost"}, "localhost:4711"),
        ({"host": "::1"}, "[::1]:4711"),
        ({"host": "10.0.0.5"}, "10.0.0.5:4711"),
        ({"host": "0.0.0.0"}, f"{socket.gethostname()}:4711"),
        ({"host": "::"}, f"{socket.gethostname()}:4711"),
        ({"host": "0.0.0.0", "address": "worker-3.internal"}, "worker-3.internal:4711"),
        ({"host": "0.0.0.0", "address": "proxy:80"}, "proxy:80"),
        ({"address": "[2001:db8::1]"}, "[2001:db8::1]:4711"),
        ({"address": "[2001:db8::1]:80"}, "[2001:db8::1]:80"),
    ],
)
def test_others_are_told_how_to_reach_a_worker(options: dict[str, str], address: str) -> None:
    assert address_of(QueriesOptions(**options), 4711) == address


@pytest.mark.parametrize(
    "address", ["", "http://w", "w/x", "w:", "w:x", "u@w", "w w", "2001:db8::1", "w\n", "w:123456"]
)
def test_an_address_that_is_none_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_APP_QUERIES_ADDRESS", address)

    with pytest.raises(OptionsError, match="STREAM_APP_QUERIES_ADDRESS"):
        load()
