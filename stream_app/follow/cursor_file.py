"""A cursor in a file: replaced as a whole, and bound to what it is the cursor of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from stream_app.errors import OptionsError, StreamAppError


class CursorNotSavedError(StreamAppError):
    """The file cannot be written now; what was sent is sent again."""


@dataclass(frozen=True)
class CursorFile:
    """Where a cursor is kept.

    Raises OptionsError when no file can be made there.
    """

    path: Path
    #: Whose cursor it is, such as the store that is read and the topic that is written; no secrets.
    of: Mapping[str, str]

    def __post_init__(self) -> None:
        folder = self.path.parent
        if self.path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise OptionsError(f"--cursor {self.path}: a file cannot be made there")

    def read(self) -> bytes | None:
        """The cursor that was saved last; None: none was yet.

        Raises OptionsError when the file is no such file, or belongs to something else.
        """
        try:
            found = orjson.loads(self.path.read_bytes())
            of, cursor = found["of"], found["cursor"]
        except FileNotFoundError:
            return None
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise OptionsError(f"--cursor {self.path}: cannot be read as a cursor: {error}") from None
        if of != dict(self.of):
            raise OptionsError(
                f"--cursor {self.path}: belongs to {_told(of)}, not to {_told(self.of)}; give each its own file"
            )
        return orjson.dumps(cursor)

    def write(self, cursor: bytes) -> None:
        """Saves a cursor, on disk when it returns; a crash leaves the old one or the new one.

        Raises CursorNotSavedError.
        """
        document = orjson.dumps({"of": dict(self.of), "cursor": orjson.Fragment(cursor)})
        beside = self.path.with_name(f"{self.path.name}.new")
        try:
            with beside.open("wb") as file:
                file.write(document)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise CursorNotSavedError(f"cannot write {self.path}: {error.strerror}") from None


def _told(of: object) -> str:
    return ", ".join(map(str, of.values())) if isinstance(of, Mapping) else "something else"
