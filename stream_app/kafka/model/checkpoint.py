"""The learner as it was at some offset of the examples log, kept on the local disk: a cache, so that a restart folds
only the tail of the log.

A checkpoint is believed only when its signature is right, it was made by the same code, and it is of this log. All
else is thrown away, said, counted, and made anew from the log, which is the truth.
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
    """A learner and the offset after the last example it has folded."""

    learner: Learner
    offset: int


@dataclass(frozen=True)
class Packed:
    """A learner that has folded the log up to before `offset`, as bytes, and when it was packed (s since 1970 UTC)."""

    body: bytes
    offset: int
    time: float


class Checkpoint:
    """The checkpoint of one worker, in its folder.

    Parameters: `key` signs it; None: a key of its own is made and kept beside it, which protects from damage and
    from whoever may write to the folder but not read it. `topic_id` is the id of the examples topic, `settings` those
    of the detector that the learner fits.

    Raises OptionsError when the folder cannot be used.
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
        #: Of the last one read or written: where it ends in the log, bytes, and when it was written (s since 1970 UTC).
        self.offset = 0
        self.size = 0
        self.time = 0.0

    def read(self, end: int, *, cache: bool = True) -> Restored | None:
        """What was kept; None when there is nothing, or nothing that can be believed.

        Parameters: `end` is where the examples log ends now. What cannot be believed is deleted, unless it is no
        `cache`: a model that is to stay as it is cannot be made again from the log.

        Raises OptionsError when it is no cache and cannot be believed.
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
            log.warning("checkpoint of the model dropped: %s; folding the examples log from its beginning", error)
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
        """Keep a learner that has folded the log up to before `offset`; see `store`."""
        self.store(self.pack(learner, offset))

    def pack(self, learner: Learner, offset: int) -> Packed:
        """The part of writing during which the learner must not learn."""
        now = time.time()
        manifest = {**self._made_by, "offset": offset, "written": now}
        return Packed(orjson.dumps(manifest) + b"\n" + pickle.dumps(learner, protocol=5), offset, now)

    def store(self, packed: Packed) -> None:
        """The part that may run on any thread: sign and write. One at a time, and never an older over a newer.

        What goes wrong is said and counted; the worker goes on without.
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
    """What a fold depends on beside the log: the code, down to the mathematical functions of the C library."""
    return {
        "stream_app": metadata.version("stream-app"),
        "core": hash_of_tree(Path(*stream_app.core.__path__)),
        "river": metadata.version("river"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": " ".join((platform.machine(), *platform.libc_ver())),
    }


def hash_of_tree(folder: Path) -> str:
    """The SHA-256 of all Python files below a folder, of their places in it and of their bytes, in hexadecimal."""
    code = hashlib.sha256()
    for place, path in sorted((path.relative_to(folder).as_posix(), path) for path in folder.rglob("*.py")):
        if "__pycache__" not in path.parts:
            content = path.read_bytes()
            code.update(f"{place}\0{len(content)}\0".encode() + content)
    return code.hexdigest()


def own_key(path: Path) -> bytes:
    """The key in a file that only this user can read; made anew where there is none.

    Raises OSError.
    """
    if not path.exists() or len(path.read_bytes()) != _KEY_BYTES:
        replace_file(path, secrets.token_bytes(_KEY_BYTES))
    return path.read_bytes()
