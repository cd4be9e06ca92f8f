"""The learner at some offset of the examples log on the local disk: a cache, with which a restart reads only the tail.

A checkpoint is used only if its signature is valid, it was written by the same code, and it is of this log. Any other
is deleted, logged and counted, and the learner is built again from the log, which is authoritative.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import pickle
import platform
import secrets
import threading
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

import stream_app.core
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.errors import OptionsError, StateError
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model.unpickling import loads
from stream_app.runtime.files import replace_file

log = logging.getLogger(__name__)

_MAGIC = b"stream-app checkpoint 1\n"
_SIGNATURE_BYTES = 32
_KEY_BYTES = 32


@dataclass(frozen=True)
class Restored:
    """A learner and the offset after the last example that it has learned."""

    learner: Learner
    offset: int


@dataclass(frozen=True)
class Packed:
    """A learner that has learned the log up to before `offset`, as bytes, and when it was packed (s since 1970 UTC)."""

    body: bytes
    offset: int
    time: float


class Checkpoint:
    """The checkpoint of one worker, in its folder.

    Parameters
    ----------
    folder
        Created if it does not exist.
    key
        Signs the checkpoint. None: a key is generated and kept beside it, which protects against damage, and against
        users who can write to the folder but not read it.
    topic_id
        The id of the examples topic.
    settings
        Of the detectors that ask the learner.
    counts
        Where failures are counted.

    Raises
    ------
    OptionsError
        The folder cannot be used.
    """

    def __init__(self, folder: Path, key: bytes | None, topic_id: str, settings: Settings, counts: Counts) -> None:
        self._path = folder / "model.checkpoint"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._key = key or own_key(folder / "model.key")
        except OSError as error:
            raise OptionsError(f"kafka.folder {folder}: {error}") from error
        self._made_by = {
            **versions(),
            "topic_id": topic_id,
            "budgets": list(settings.policy.budgets),
            "retention_ms": settings.keep_ms,
        }
        self._counts = counts
        self._storing = threading.Lock()
        #: Of the last one read or written: its offset in the log, its size in bytes, and its time in s since 1970 UTC.
        self.offset = 0
        self.size = 0
        self.time = 0.0

    def read(self, end: int, *, cache: bool = True) -> Restored | None:
        """The learner of the checkpoint; None when there is none or it is invalid.

        Parameters
        ----------
        end
            The end of the examples log.
        cache
            Whether an invalid checkpoint is deleted. A learner that does not follow the log cannot be built again from
            it, so its checkpoint is not a cache.

        Raises
        ------
        OptionsError
            The checkpoint is invalid and not a cache.
        """
        try:
            stored = self._path.read_bytes()
            restored = self._restored(stored, end)
        except FileNotFoundError:
            return None
        except (OSError, StateError) as error:
            if not cache:
                raise OptionsError(
                    f"kafka.learning is false and the model in {self._path} cannot be used: {error}; put the right one "
                    "there, or turn learning on"
                ) from error
            self._counts.checkpoints_dropped += 1
            log.warning("checkpoint of the model dropped: %s; reading the examples log from its beginning", error)
            self._path.unlink(missing_ok=True)
            return None
        self.offset, self.size = restored.offset, len(stored)
        log.info(
            "model restored from its checkpoint: %d examples, up to offset %d",
            restored.learner.records,
            restored.offset,
        )
        return restored

    def _restored(self, stored: bytes, end: int) -> Restored:
        head = len(_MAGIC) + _SIGNATURE_BYTES
        signature, body = stored[len(_MAGIC) : head], stored[head:]
        if not hmac.compare_digest(self._sign(body), signature) or not stored.startswith(_MAGIC):
            raise StateError("its signature is wrong: it was changed, cut short, or signed with another key")
        line, _, pickled = body.partition(b"\n")
        manifest: dict[str, Any] = orjson.loads(line)
        offset, written = manifest.pop("offset"), manifest.pop("written")
        for name in sorted(self._made_by):
            if manifest.get(name) != self._made_by[name]:
                raise StateError(f"its {name} is {manifest.get(name)!r}, not {self._made_by[name]!r}")
        if offset > end:
            raise StateError(f"it goes up to offset {offset} of a log that ends at {end}")
        learner = loads(pickled)
        if not isinstance(learner, Learner):
            raise StateError(f"it holds a {type(learner).__name__}")
        self.time = written
        return Restored(learner, offset)

    def write(self, learner: Learner, offset: int) -> None:
        """Packs and stores a learner that has learned the log up to before `offset`; see `store`."""
        self.store(self.pack(learner, offset))

    def pack(self, learner: Learner, offset: int) -> Packed:
        """The learner as bytes; it must not learn meanwhile."""
        now = time.time()
        manifest = {**self._made_by, "offset": offset, "written": now}
        return Packed(orjson.dumps(manifest) + b"\n" + pickle.dumps(learner, protocol=5), offset, now)

    def store(self, packed: Packed) -> None:
        """Signs and writes a packed learner, on any thread, unless a newer one was stored.

        A failure is logged and counted, and the worker continues.
        """
        with self._storing:
            if packed.offset < self.offset:
                return
            try:
                content = _MAGIC + self._sign(packed.body) + packed.body
                replace_file(self._path, content)
            except OSError as error:
                self._counts.checkpoint_failures += 1
                log.warning("checkpoint of the model not written: %s", error)
            else:
                self.offset, self.size, self.time = packed.offset, len(content), packed.time

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, _MAGIC + body, "sha256")


@functools.cache
def versions() -> dict[str, str]:
    """What a learner depends on beside the log: the code, down to the mathematical functions of the C library."""
    return {
        "stream_app": metadata.version("stream-app"),
        "core": hash_of_tree(Path(*stream_app.core.__path__)),
        "river": metadata.version("river"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": " ".join((platform.machine(), *platform.libc_ver())),
    }


def hash_of_tree(folder: Path) -> str:
    """The SHA-256 of the paths and contents of all Python files below a folder, in hexadecimal."""
    code = hashlib.sha256()
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py")):
        if "__pycache__" not in path.parts:
            content = path.read_bytes()
            code.update(f"{name}\0{len(content)}\0".encode() + content)
    return code.hexdigest()


def own_key(path: Path) -> bytes:
    """The key in a file that only this user can read; generated where there is none.

    Raises
    ------
    OSError
        The file cannot be read or written.
    """
    if not path.exists() or len(path.read_bytes()) != _KEY_BYTES:
        replace_file(path, secrets.token_bytes(_KEY_BYTES))
    return path.read_bytes()
