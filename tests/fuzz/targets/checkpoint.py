"""The reader of checkpoints: a file that no worker wrote is dropped, whoever signed it, and no code runs because of it.

The first byte of an input says what the rest is: a file; what is signed; a pickle in a signed file of this program; or
changes to the pickle of a real learner, each an offset of three bytes and the byte there.
"""

from __future__ import annotations

import hmac
import pickle
import pkgutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson

import stream_app.core
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model.checkpoint import Checkpoint

MAX_BYTES = 4096
_KEY, _END = b"a key", 100
_MAGIC = b"stream-app checkpoint 1\n"
_FILE, _SIGNED, _PICKLE, _CHANGES = b"fspc"
#: What no reading of a checkpoint does, by the beginnings of the names of Python's audit events.
_HARMFUL = ("exec", "compile", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.system", "subprocess", "pty")
_HARMFUL += ("socket", "ctypes", "shutil", "os.rename", "os.mkdir", "os.chmod", "urllib", "sqlite3", "code", "marshal")
#: What a pickle may name beside classes of the core.
_NAMED = {"collections", "river._river_rust.drift", "river.drift.adwin"}
_CORE = "stream_app.core."


class _Desk:
    """A folder with a checkpoint, and the means to write another."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.path = self.folder / "model.checkpoint"
        self.counts = Counts()
        self.checkpoint = Checkpoint(self.folder, _KEY, "topic-1", Settings(), self.counts)
        self.manifest, _, self.pickled = self.checkpoint.pack(Learner(), 7).body.partition(b"\n")

    def write(self, body: bytes) -> None:
        """Writes a signed file."""
        self.path.write_bytes(_MAGIC + hmac.digest(_KEY, _MAGIC + body, "sha256") + body)


_desk: _Desk | None = None
_watching = False
_seen: list[str] = []


def prepare() -> None:
    """Makes a checkpoint, imports whatever a pickle may name, and begins to watch what Python does."""
    global _desk
    if _desk is None:
        for module in pkgutil.walk_packages(stream_app.core.__path__, _CORE):
            import_module(module.name)
        _desk = _Desk()
        sys.addaudithook(_watch)


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in ("import", "pickle.find_class"):
        name = str(arguments[0])
        is_harmful = not name.startswith(_CORE) and name not in _NAMED
    elif event in ("open", "os.remove"):
        is_harmful = _desk is not None and Path(arguments[0]) != _desk.path
    else:
        is_harmful = event.startswith(_HARMFUL)
    if is_harmful:
        _seen.append(f"{event} {arguments!r:.200}")


def check(data: bytes) -> None:
    """A checkpoint is a learner or is dropped, which is counted; nothing else happens."""
    global _watching
    assert _desk is not None
    kind, rest = data[:1], data[1:]
    if kind == b"%c" % _FILE:
        _desk.path.write_bytes(rest)
    elif kind == b"%c" % _SIGNED:
        _desk.write(rest)
    elif kind == b"%c" % _PICKLE:
        _desk.write(_desk.manifest + b"\n" + rest)
    elif kind == b"%c" % _CHANGES:
        _desk.write(_desk.manifest + b"\n" + _changed(_desk.pickled, rest))
    else:
        return
    before = _desk.counts.checkpoints_dropped
    _seen.clear()
    _watching = True
    try:
        restored = _desk.checkpoint.read(_END)
    finally:
        _watching = False
    assert not _seen, _seen
    dropped = _desk.counts.checkpoints_dropped - before
    if restored is None:
        assert (dropped, _desk.path.exists()) == (1, False)
    else:
        assert (dropped, _desk.path.exists(), type(restored.learner)) == (0, True, Learner)
        assert kind != b"%c" % _FILE, "a file without a signature is believed"
        assert 0 <= restored.offset <= _END


def _changed(pickled: bytes, changes: bytes) -> bytes:
    changed = bytearray(pickled)
    for at in range(0, len(changes) - 3, 4):
        changed[int.from_bytes(changes[at : at + 3], "big") % len(changed)] = changes[at + 3]
    return bytes(changed)


def seeds() -> Iterator[bytes]:
    """A right file, parts of it, other manifests, and pickles that name what they must not."""
    prepare()
    assert _desk is not None
    manifest = orjson.loads(_desk.manifest)
    for body in (
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"7\n.",
        _desk.manifest,
        *(orjson.dumps({**manifest, **odd}) + b"\n." for odd in ({"offset": "7"}, {"offset": -1}, {"offset": 200})),
        *(orjson.dumps({**manifest, **odd}) + b"\n." for odd in ({"written": None}, {"core": "x"}, {"offset": None})),
    ):
        yield b"s" + body
        yield b"f" + body
    yield b"f" + _MAGIC + bytes(32) + _desk.manifest
    for thing in (Learner, [1, {"a": 2.5}], Settings(), Learner.__new__(Learner), Counts):
        for protocol in (0, 2, 5):
            yield b"p" + pickle.dumps(thing, protocol)
    for code in (
        b"cos\nsystem\n(S'true'\ntR.",
        b"cstream_app.core.detector\nos.system\n.",
        b"cbuiltins\neval\n(S'1'\ntR.",
    ):
        yield b"p" + code
    yield from (b"c", b"c\0\0\0\0", b"c\0\1\0\xff\0\0\x10c")
