"""The cursor of a follower, kept in a file that is bound to one store and one target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from stream_app.errors import OptionsError, StreamAppError
from stream_app.runtime.files import replace_file


class CursorNotSavedError(StreamAppError):
    """The cursor file cannot be written now; events after the last saved cursor are sent again."""


@dataclass(frozen=True)
class CursorFile:
    """A file that holds one cursor.

    Parameters
    ----------
    path
        The file; its folder exists.
    of
        What the cursor belongs to, such as the store that is read and the topic that is written. It is stored in the
        file, so it contains no secrets.

    Raises
    ------
    OptionsError
        No file can be created at `path`.
    """

    path: Path
    of: Mapping[str, str]

    def __post_init__(self) -> None:
        folder = self.path.parent
        if self.path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
            raise OptionsError(f"--cursor {self.path}: a file cannot be made there")

    def read(self) -> bytes | None:
        """Read the cursor that was saved last.

        Returns
        -------
        bytes or None
            The cursor; None when none was saved yet.

        Raises
        ------
        OptionsError
            The file is not a cursor file, or its cursor belongs to something else.
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
                f"--cursor {self.path}: belongs to {_describe(of)}, not to {_describe(self.of)}; give each its own file"
            )
        return orjson.dumps(cursor)

    def write(self, cursor: bytes) -> None:
        """Save a cursor atomically and durably.

        Parameters
        ----------
        cursor
            The cursor as JSON.

        Raises
        ------
        CursorNotSavedError
            The file cannot be written; the cursor saved before is still there.
        """
        document = orjson.dumps({"of": dict(self.of), "cursor": orjson.Fragment(cursor)})
        try:
            replace_file(self.path, document)
        except OSError as error:
            raise CursorNotSavedError(f"cannot write {self.path}: {error.strerror}") from None


def _describe(of: object) -> str:
    return ", ".join(map(str, of.values())) if isinstance(of, Mapping) else "something else"
