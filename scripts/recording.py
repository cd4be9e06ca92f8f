"""What the recorders share: an environment, a receiver of events, and recordings without traces of the machine."""

from __future__ import annotations

import gzip
import json
import re
import socket
import subprocess
import sys
import tempfile
import threading
import venv
from collections.abc import Callable, Iterable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
#: Environments and the files of runs; `make clean` removes it.
WORK = ROOT / "build" / "recordings"
#: Where recordings are kept.
RECORDINGS = ROOT / "tests" / "recordings"
#: The place that stands for folders of this machine.
FOLDER = "/srv/ml"
#: Bytes of all recordings together.
LARGEST = 300_000

_TEMPORARY = re.compile(re.escape(tempfile.gettempdir()) + r"/[\w.-]+")
_SECRET = re.compile(r"(bearer |api_?key|password|secret|token\b|eyJ[\w-]{20})", re.IGNORECASE)

Event = dict[str, Any]


def environment(name: str, packages: Sequence[str]) -> Path:
    """Makes a Python environment, unless it is there with these packages.

    Parameters
    ----------
    name
        Of the environment.
    packages
        What pip installs.

    Returns
    -------
    Path
        The folder of its commands.
    """
    folder = WORK / name
    installed = folder / "packages.txt"
    wanted = "\n".join(packages)
    if not installed.exists() or installed.read_text() != wanted:
        report(f"installing {', '.join(packages)}")
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *packages], check=True)
        installed.write_text(wanted)
    return folder / "bin"


def report(text: str) -> None:
    """Tells the person what is going on."""
    sys.stderr.write(f"{text}\n")


class Receiver:
    """An HTTP server that keeps the OpenLineage events it is sent."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.changed = threading.Condition()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver.changed:
                    receiver.events.append(json.loads(body))
                    receiver.changed.notify_all()
                self.send_response(201)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def take(self, is_complete: Callable[[list[Event]], bool], seconds: float = 600.0) -> list[Event]:
        """Waits until what was received is complete, and hands it over.

        Parameters
        ----------
        is_complete
            Says whether these are all events.
        seconds
            How long to wait.

        Returns
        -------
        list of dict
            The events in the order in which they came.

        Raises
        ------
        TimeoutError
            They did not come; the message lists what came.
        """
        with self.changed:
            if not self.changed.wait_for(lambda: is_complete(self.events), seconds):
                came = [f"{each['eventType']} {each['job']['name']}" for each in self.events]
                raise TimeoutError(f"after {seconds:,.0f} s there were only: {', '.join(came) or 'none'}")
            taken, self.events = self.events, []
        return taken


def record(name: str, events: Iterable[Event], places: Mapping[str, str]) -> None:
    """Writes a recording below `tests/recordings`.

    Parameters
    ----------
    name
        Its path there, without the ending.
    events
        What was received.
    places
        What stands for names of this machine beyond the usual ones.

    Raises
    ------
    ValueError
        A trace of this machine or a secret is left, or the recordings are too large.
    """
    names = {**places, str(WORK): FOLDER, str(ROOT): FOLDER, str(Path.home()) + "/": f"{FOLDER}/"}
    for host in {socket.gethostname(), socket.getfqdn(), _address()}:
        names[host] = "host.example.com"
    lines = [json.dumps(_without(each, names), separators=(",", ":")) for each in events]
    for line in lines:
        left = [each for each in (*names, tempfile.gettempdir()) if each in line] + _SECRET.findall(line)
        if left:
            raise ValueError(f"{name}: {left} is left in {line[:2000]}")
    path = RECORDINGS / f"{name}.jsonl.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    report(f"{path.relative_to(ROOT)}: {len(lines)} events, {path.stat().st_size:,} bytes")
    total = sum(each.stat().st_size for each in RECORDINGS.rglob("*.gz"))
    if total > LARGEST:
        raise ValueError(f"the recordings have {total:,} bytes; at most {LARGEST:,} are kept")


def _without(value: Any, names: Mapping[str, str], key: str = "") -> Any:
    """The value with names of this machine and of its user replaced, the longest first."""
    if isinstance(value, dict):
        return {name: _without(each, names, name) for name, each in value.items()}
    if isinstance(value, list):
        return [_without(each, names, key) for each in value]
    if not isinstance(value, str):
        return value
    if "user" in key.lower():
        return "user"
    for each in sorted(names, key=len, reverse=True):
        value = value.replace(each, names[each])
    return _TEMPORARY.sub(f"{FOLDER}/temporary", value)


def _address() -> str:
    """The address of this machine in its network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address
