"""T14: URLs of sinks that lead where a subscriber may not look. The amount is the flags that are then delivered.

It runs in a network of its own, in which every address of the world is this machine and every name is resolved here,
so that no connection can be missed: listeners note the address that was meant, and the kernel counts all connections.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.reliability.flagging import Flagging, flagging
from tests.reliability.rig import REPOSITORY, until
from tests.support.url_forms import FORMS

NAME = "URLs of sinks that lead where a subscriber may not look"
AMOUNT = 3
#: A public address, which may be connected to.
PUBLIC = "8.8.8.8"
#: Names with a public address and one that is not, and names that are resolved anew to these addresses.
BOTH = "both.example"
REBOUND = ("127.0.0.1", "::1", "169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1", "fd00:ec2::254", "0.0.0.0")
#: Names that lead here wherever they are asked, beside the forms that the guard is tried with.
NAMES = ("http://127.0.0.1.nip.io:{port}/", "http://localtest.me:{port}/", "http://printer.local:{port}/")
REDIRECTS = (301, 302, 303, 307, 308)
#: Seconds for which the client remembers an address.
REMEMBERED_SECONDS = 11


def run(work: Path, so_far: dict[str, Any], amount: int) -> Iterator[dict[str, Any]]:
    """Everything in one network."""
    if so_far:
        return
    command = ["unshare", "-n", "-m", sys.executable, "-m", "tests.reliability.fault_addresses", str(work), str(amount)]
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-n", "true"], check=False).returncode:
        yield {"not tried": "a network of its own needs root and unshare (`apt-get install util-linux iproute2`)"}
        return
    own = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False).stdout.split()
    done = subprocess.run([*command, *own], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0, "the trial ended early; see what it printed"
    yield json.loads(done.stdout.splitlines()[-1])


class Network:
    """Listeners on every address, and a server of names."""

    def __init__(self) -> None:
        #: The addresses that were meant, of the connections so far.
        self.meant: list[str] = []
        #: What names resolve to that do not lead to this machine.
        self.names: dict[str, list[str]] = {
            "metadata.google.internal": ["169.254.169.254"],
            BOTH: [PUBLIC, "127.0.0.1"],
        }
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Listens on a free port, on those of HTTP, and on that of names."""
        network = self

        class Names(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                question, replying = self.request
                replying.sendto(network.resolved(question), self.client_address)

        class Trap(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                network.meant.append(self.connection.getsockname()[0].removeprefix("::ffff:"))
                self.connection.settimeout(5)
                path = self.rfile.readline().decode(errors="replace").split(" ")[1:2]
                code = path[0].strip("/") if path else ""
                moved = f"{code} Moved\r\nLocation: http://127.0.0.1:{network.port}/" if code.isdigit() else "204 Taken"
                self.wfile.write(f"HTTP/1.1 {moved}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode())

        class Listener(socketserver.ThreadingTCPServer):
            address_family, daemon_threads, request_queue_size = socket.AF_INET6, True, 200

        servers: list[socketserver.BaseServer] = [socketserver.ThreadingUDPServer(("127.0.0.1", 53), Names)]
        servers += [Listener(("::", port), Trap) for port in (0, 80, 443)]
        self.port = servers[1].server_address[1]  # type: ignore[index]
        for server in servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            for server in servers:
                server.shutdown()
                server.server_close()

    def resolved(self, question: bytes) -> bytes:
        """The answer to a question of the domain name system: of addresses, without a time to live."""
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1 : at + 1 + question[at]].decode(errors="replace"))
            at += 1 + question[at]
        (kind,) = struct.unpack(">H", question[at + 1 : at + 3])
        family = {1: socket.AF_INET, 28: socket.AF_INET6}.get(kind)
        addresses = self.names.get(".".join(labels).lower(), ["127.0.0.1", "::1"])
        of_kind = [each for each in addresses if (":" in each) == (family == socket.AF_INET6)] if family else []
        records = [socket.inet_pton(family, each) for each in of_kind] if family else []
        head = question[:2] + b"\x81\x80" + struct.pack(">HHHH", 1, len(records), 0, 0)
        answers = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(each)) + each for each in records)
        return head + question[12 : at + 5] + answers


def trial(work: Path, amount: int, own: list[str]) -> dict[str, Any]:
    """All forms through the API, the trial of a sink, and the delivery of flags."""
    network, broken = Network(), list[str]()
    folder = work / "network"
    folder.mkdir(parents=True, exist_ok=True)
    isolate(folder)
    with network.running():
        proxy = f"http://127.0.0.1:{network.port}"
        variables = {"HTTP_PROXY": proxy, "http_proxy": proxy, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy}
        with flagging(folder, "", variables) as service:
            forms = [form.replace("{port}", str(network.port)) for form in (*FORMS, *NAMES)]
            forms += [f"http://{f'[{each}]' if ':' in each else each}:{network.port}/" for each in own]
            forms += [f"{service.service.url}/v1/subscriptions", f"http://{BOTH}:{network.port}/"]
            before = connections() - service.asked
            made = subscribed(service, network, forms, broken)
            rebound = rebind(service, network, broken)
            attempts, said = delivered(service, made, rebound, amount, broken)
            opened = connections() - before - service.asked
    public = network.meant.count(PUBLIC)
    caught = len(network.meant) - public
    broken += [f"a connection to {each}" for each in sorted({*network.meant} - {PUBLIC})]
    if opened != public:
        broken.append(f"the kernel counted {opened} connections, of which {public} were to the public address")
    return {
        "forms": len(forms), "subscriptions": len(made), "refused_at_once": 3 * len(forms) + len(REDIRECTS) - len(made),
        "rebound": len(rebound), "attempts": attempts, "connections": caught, "public_connections": public,
        "connections_by_kernel": opened, "reasons": said, "broken": broken,
    }  # fmt: skip


def isolate(folder: Path) -> None:
    """Every address is this machine, and names are asked for here; of this process and what it starts alone."""
    resolver = folder / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    for command in (
        "ip link set lo up",
        "ip route add local 0.0.0.0/0 dev lo",
        "ip -6 route add local ::/0 dev lo",
        "ip -6 addr add fe80::1/64 dev lo",
        # The C library asks for addresses of a family only where there is one that is not of the loopback.
        "ip addr add 10.200.0.1/32 dev lo",
        "ip -6 addr add fd00:200::1/128 dev lo",
        f"mount --bind {resolver} /etc/resolv.conf",
    ):
        subprocess.run(command.split(), check=True)


def connections() -> int:
    """The connections that were begun in this network, as the kernel counts them; also those that nobody takes."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:")
    )
    return int(dict(zip(names, values, strict=True))["ActiveOpens"])


def subscribed(service: Flagging, network: Network, forms: list[str], broken: list[str]) -> list[str]:
    """Each form in each field that takes a URL, also by a change, and tried; the subscriptions that could be made."""
    public = f"http://{PUBLIC}:{network.port}"
    assert service.subscribe("changed", {"kind": "webhook", "url": public}).status == 201
    sinks = [
        (f"{field}-{number}{'-both' if BOTH in form else ''}", {"kind": kind, field: form})
        for number, form in enumerate(forms)
        for kind, field in (("webhook", "url"), ("slack", "webhook_url"), ("alertmanager", "url"))
    ]
    sinks = [(f"{sink['kind']}-{name}", sink) for name, sink in sinks]
    sinks += [(f"moved-{code}", {"kind": "webhook", "url": f"{public}/{code}"}) for code in REDIRECTS]
    made = []
    for number, (name, sink) in enumerate(sinks):
        status = service.subscribe(name, sink, owner=f"ann{number % 8}").status
        if status == 201:
            made.append(name)
            tried = service.ask("POST", f"/v1/subscriptions/{name}/test", {}).json
            if tried["succeeded"] and BOTH not in str(sink):
                broken.append(f"the trial of {sink} succeeded")
            continue
        changed = service.ask("PATCH", "/v1/subscriptions/changed", {"sink": {"kind": None, **sink}}).status
        if (status, changed) != (422, 422):
            broken.append(f"{sink} was answered with {status}, and with {changed} as a change")
    service.ask("DELETE", "/v1/subscriptions/changed")
    return made


def rebind(service: Flagging, network: Network, broken: list[str]) -> list[str]:
    """Sinks whose names lead to a public address when they are tried, and elsewhere when a flag is delivered."""
    names = [f"rebound-{number}" for number in range(len(REBOUND))]
    for name in names:
        network.names[f"{name}.example"] = [PUBLIC]
        service.hook(name, f"http://{name}.example:{network.port}/", owner="bob")
        if not service.ask("POST", f"/v1/subscriptions/{name}/test", {}).json["succeeded"]:
            broken.append(f"{name} did not reach the public address, so that its failures show nothing")
    for name, address in zip(names, REBOUND, strict=True):
        network.names[f"{name}.example"] = [address]
    time.sleep(REMEMBERED_SECONDS)
    return names


def delivered(
    service: Flagging, made: list[str], rebound: list[str], amount: int, broken: list[str]
) -> tuple[int, dict[str, int]]:
    """Flags are delivered to all; the number of attempts that failed, and how often each reason was given."""
    service.begin(amount)
    for number in range(amount):
        service.flag(number)
    said: Counter[str] = Counter()
    for name in [*made, *rebound]:
        logged = until(lambda name=name: service.deliveries(name, "failed", "sent"), f"{name} was tried", 120)  # type: ignore[misc]
        said.update(re.sub(r"\S*\d\S*(?= is no public)", "ADDRESS", each["reason"]) for each in logged)
        if any(each["fate"] == "sent" for each in logged) and not name.endswith("-both"):
            broken.append(f"a message of {name} was sent")
    return sum(said.values()), dict(said)


if __name__ == "__main__":
    found = trial(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    sys.stdout.write(json.dumps(found) + "\n")
