"""Toxiproxy, a TCP proxy that delays, throttles, holds and resets what goes through it; fetched by Go where missing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.broker.broker import free_port, wait_for_port

FOLDER = Path(__file__).resolve().parents[2] / ".venv" / "toxiproxy"
BINARY = FOLDER / "server"
MODULE = "github.com/Shopify/toxiproxy/v2/cmd/server@v2.12.0"
HELP = f"the faults of the network need toxiproxy: install Go (`apt-get install golang`), which fetches {MODULE}"
#: The two directions of a connection.
STREAMS = ("upstream", "downstream")


class UnavailableError(Exception):
    """What a fault needs cannot be had here; the message says how to get it."""


def fetch() -> Path:
    """The program, built where it is missing."""
    if not BINARY.exists():
        go = shutil.which("go")
        if go is None:
            raise UnavailableError(HELP)
        built = subprocess.run(
            [go, "install", MODULE],
            env={**os.environ, "GOBIN": str(FOLDER)},
            capture_output=True,
            text=True,
            check=False,
        )
        if built.returncode:
            raise UnavailableError(f"{HELP}: {built.stderr.strip()[-300:]}")
    return BINARY


class Toxiproxy:
    """One proxy in front of one port: `with Toxiproxy(listen, upstream) as proxy: ...`.

    Parameters
    ----------
    listen, upstream
        Ports on loopback: where clients connect, and what they reach.
    """

    def __init__(self, listen: int, upstream: int) -> None:
        self._listen = listen
        self._upstream = upstream
        self._api = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Toxiproxy:
        self._process = subprocess.Popen(
            [str(fetch()), "-host", "127.0.0.1", "-port", str(self._api)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self._api, 30, self._process)
        addresses = {"listen": f"127.0.0.1:{self._listen}", "upstream": f"127.0.0.1:{self._upstream}"}
        self._call("POST", "/proxies", {"name": "kafka", "enabled": True, **addresses})
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        assert self._process is not None
        self.resume()
        self._process.kill()
        self._process.wait()

    def add(self, kind: str, streams: tuple[str, ...] = STREAMS, **attributes: int) -> None:
        """Add a toxic of a kind to the given directions."""
        for stream in streams:
            toxic = {"name": f"{kind}-{stream}", "type": kind, "stream": stream, "attributes": attributes}
            self._call("POST", "/proxies/kafka/toxics", toxic)

    def heal(self) -> None:
        """Remove all toxics, and let connections in."""
        self._call("POST", "/reset")

    def refuse(self) -> None:
        """Close all connections and refuse new ones."""
        self._call("POST", "/proxies/kafka", {"enabled": False})

    def pause(self) -> None:
        """Stop the process: connections stay, new ones are accepted by the kernel, and nobody ever answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> None:
        given = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self._api}{path}", given, method=method)
        urllib.request.urlopen(request, timeout=30).close()
