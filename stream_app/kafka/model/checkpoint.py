"""The learner at some offset of the examples log on the local disk: a cache, with which a restart reads only the tail.

A checkpoint is used only if its signature is valid, it was written by the same code, and it is of this log. Any other
is deleted, logged and counted, and the learner is built again from the log, which is authoritative.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
import math
import pickle
import platform
import secrets
import stat
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import orjson

import stream_app.core
from stream_app.core.detector import Settings
from stream_app.core.learning.learner import Learner
from stream_app.core.outputs import STAGES
from stream_app.errors import OptionsError, StateError
from stream_app.kafka.clients.retry import Problem
from stream_app.kafka.metrics.counts import Counts
from stream_app.kafka.model.unpickling import loads
from stream_app.runtime.files import make_folder, replace_file, tighten

log = logging.getLogger(__name__)

_MAGIC = b"stream-app checkpoint 1\n"
_SIGNATURE_BYTES = 32
_KEY_BYTES = 32
#: The largest checkpoint that is read; that of a full model has some 30 MiB.
_BYTES_MAX = 1 << 30


@dataclass(frozen=True)
class Restored:
    """A learner, the first offset of the log that it has learned, and the one after the last."""

    learner: Learner
    first: int
    offset: int


@dataclass(frozen=True)
class Packed:
    """A learner that has learned the log up to before `offset`, as bytes, and when it was packed (s since 1970 UTC)."""

    body: bytes
    offset: int
    time: float


@dataclass(frozen=True)
class _Manifest:
    """What a checkpoint says of itself, beside what it was made by."""

    first: int
    offset: int
    written: float

    @classmethod
    def read(cls, line: bytes, made_by: Mapping[str, object], end: int) -> _Manifest:
        """Reads a manifest that was made by the same, of a log that ends at `end`; raises StateError."""
        try:
            fields = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise StateError(f"its manifest is not JSON: {error}") from None
        if not isinstance(fields, dict):
            raise StateError("its manifest is not an object")
        for name in sorted(made_by):
            if fields.get(name) != made_by[name]:
                raise StateError(f"its {name} is {fields.get(name)!r:.100}, not {made_by[name]!r}")
        first, offset, written = (fields.get(name) for name in ("first", "offset", "written"))
        if type(first) is not int or type(offset) is not int or not 0 <= first <= offset:
            raise StateError(f"it goes from offset {first!r:.100} to {offset!r:.100}")
        if offset > end:
            raise StateError(f"it goes up to offset {offset} of a log that ends at {end}")
        if type(written) is not float or not math.isfinite(written) or written < 0:
            raise StateError(f"it was written at {written!r:.100}")
        return cls(first, offset, written)


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
    """

    def __init__(self, folder: Path, key: bytes | None, topic_id: str, settings: Settings, counts: Counts) -> None:
        self._path = folder / "model.checkpoint"
        self._counts = counts
        self._problem = Problem(log)
        #: None where it cannot be kept: there are no checkpoints then.
        self._key = key
        try:
            make_folder(folder)
            tighten(self._path)
            self._key = key or own_key(folder / "model.key")
        except OSError as error:
            self._fail(error)
        self._empty = settings.learner()
        self._made_by = {
            **versions(),
            "topic_id": topic_id,
            "budgets": list(settings.policy.budgets),
            "retention_ms": settings.keep_ms,
        }
        self._storing = threading.Lock()
        #: Of the last one read or written: the offset after its last example, its size in bytes, and its time in s
        #: since 1970 UTC.
        self.offset = 0
        self.size = 0
        self.time = 0.0
        #: The first offset of the log that the learner has learned.
        self.first = 0

    @property
    def identity(self) -> str:
        """What the model is made of, in 12 hexadecimal digits: workers with the same have the same at the same offset.

        It depends on the code, the settings, the topic, and the first example learned.
        """
        made = orjson.dumps({**self._made_by, "first": self.first}, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(made).hexdigest()[:12]

    def read(self, end: int, *, begin: int = 0, cache: bool = True) -> Restored | None:
        """The learner of the checkpoint; None when there is none or it is invalid.

        Parameters
        ----------
        end
            The end of the examples log.
        begin
            The first offset that is still in the log.
        cache
            Whether an invalid checkpoint is deleted. A learner that does not follow the log cannot be built again from
            it, so its checkpoint is not a cache.

        Raises
        ------
        OptionsError
            The checkpoint is invalid and not a cache.
        """
        try:
            status = self._path.stat()
            if not stat.S_ISREG(status.st_mode):
                raise StateError("it is not a file")
            restored = self._restored(status.st_size, end)
            if cache and restored.offset < begin:
                raise StateError(
                    f"it goes up to offset {restored.offset} of a log whose records before offset {begin} were deleted"
                )
        except FileNotFoundError:
            return None
        except (OSError, StateError) as error:
            if not cache:
                raise OptionsError(
                    f"kafka.learning is false and the model in {self._path} cannot be used: {error}; put the right one "
                    "there, or turn learning on"
                ) from error
            self._drop(error)
            return None
        self.first, self.offset, self.size = restored.first, restored.offset, status.st_size
        log.info(
            "model restored from its checkpoint: %d examples, up to offset %d",
            restored.learner.records,
            restored.offset,
        )
        return restored

    def _drop(self, error: Exception) -> None:
        self._counts.checkpoints_dropped += 1
        kept = ""
        try:
            self._path.unlink()
        except OSError as reason:
            kept = f" (it stays, {(reason.strerror or 'for a reason unknown').lower()})"
        log.warning(
            "checkpoint of the model dropped%s: %s; reading the examples log from its beginning", kept, _one_line(error)
        )

    def _restored(self, size: int, end: int) -> Restored:
        if self._key is None:
            raise StateError("there is no key for it")
        if size > _BYTES_MAX:
            raise StateError(f"it has {size:,} bytes")
        stored = self._path.read_bytes()
        head = len(_MAGIC) + _SIGNATURE_BYTES
        signature, body = stored[len(_MAGIC) : head], stored[head:]
        if not hmac.compare_digest(self._sign(self._key, body), signature) or not stored.startswith(_MAGIC):
            raise StateError("its signature is wrong: it was changed, cut short, or signed with another key")
        line, _, pickled = body.partition(b"\n")
        manifest = _Manifest.read(line, self._made_by, end)
        learner = loads(pickled)
        if not isinstance(learner, Learner):
            raise StateError(f"it holds a {type(learner).__name__}")
        _check(learner, self._empty)
        self.time = manifest.written
        return Restored(learner, manifest.first, manifest.offset)

    def write(self, learner: Learner, offset: int) -> None:
        """Packs and stores a learner that has learned the log up to before `offset`; see `store`."""
        self.store(self.pack(learner, offset))

    def pack(self, learner: Learner, offset: int) -> Packed:
        """The learner as bytes; it must not learn meanwhile."""
        now = time.time()
        manifest = {**self._made_by, "first": self.first, "offset": offset, "written": now}
        return Packed(orjson.dumps(manifest) + b"\n" + pickle.dumps(learner, protocol=5), offset, now)

    def store(self, packed: Packed) -> None:
        """Signs and writes a packed learner, on any thread, unless a newer one was stored.

        A failure is counted, and logged once until it is over or another one follows; the worker continues.
        """
        with self._storing:
            if packed.offset < self.offset:
                return
            try:
                if self._key is None:
                    self._key = own_key(self._path.with_name("model.key"))
                content = _MAGIC + self._sign(self._key, packed.body) + packed.body
                replace_file(self._path, content)
            except OSError as error:
                self._fail(error)
            else:
                if self._problem.text:
                    log.info("checkpoints of the model are written again")
                self._problem.report("")
                self.offset, self.size, self.time = packed.offset, len(content), packed.time

    def _fail(self, error: OSError) -> None:
        self._counts.checkpoint_failures += 1
        self._problem.report(
            f"checkpoint of the model not written: {_one_line(error)}; the worker goes on, and will read more of the "
            "examples log when it starts"
        )

    @staticmethod
    def _sign(key: bytes, body: bytes) -> bytes:
        return hmac.digest(key, _MAGIC + body, "sha256")


def _one_line(error: Exception) -> str:
    """What an error says, in one line of bounded length."""
    return " ".join(str(error).split())[:300]


def _check(learner: Learner, empty: Learner) -> None:
    """Raises StateError for a learner with parts missing or of other types: it would fail at its first use."""
    _compare(learner, empty, "learner")
    try:
        learner.metrics()
        for stage in STAGES:
            if not 0 <= learner.predict(stage, {}, 0.5).p <= 1:
                raise StateError(f"its model of {stage} predicts no probability")
            learner.lowest_push_score(stage)
        learner.fleet_rate()
    except StateError:
        raise
    except Exception as error:  # whatever a learner without its parts may raise
        raise StateError(f"it holds no whole learner: {type(error).__name__}: {error}") from None


def _compare(found: object, empty: object, name: str) -> None:
    """Raises StateError unless `found` has the attributes of `empty` and their types; what is None may be anything."""
    if empty is None:
        return
    if type(empty) in (int, float):
        if not isinstance(found, int | float) or isinstance(found, bool) or math.isnan(found):
            raise StateError(f"its {name} is {found!r:.100}")
    elif type(found) is not type(empty):
        raise StateError(f"its {name} is a {type(found).__name__}, not a {type(empty).__name__}")
    parts = empty if isinstance(empty, dict) else getattr(empty, "__dict__", {})
    held = found if isinstance(found, dict) else getattr(found, "__dict__", {})
    for part, value in parts.items():
        if part not in held:
            raise StateError(f"its {name} has no {part}")
        _compare(held[part], value, f"{name}.{part}")


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
    tighten(path)
    if not path.exists() or len(path.read_bytes()) != _KEY_BYTES:
        replace_file(path, secrets.token_bytes(_KEY_BYTES))
    return path.read_bytes()
