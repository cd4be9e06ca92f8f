"""The optional packages: what is missing is named together with the command that installs it."""

from __future__ import annotations

import importlib.util
import sys

from stream_app.errors import StreamAppError


class MissingExtraError(StreamAppError, ImportError):
    """A module needs packages of an extra that is not installed; the message has the command that installs it."""


def require(extra: str, *packages: str) -> None:
    """Checks that packages are installed, without importing them.

    Parameters
    ----------
    extra
        The extra that installs them.
    packages
        Their names.

    Raises
    ------
    MissingExtraError
        A package is missing.
    """
    missing = [name for name in packages if sys.modules.get(name) is None and importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"this needs more packages ({', '.join(missing)}): {how_to_get(extra)}")


def missing_extra(error: ModuleNotFoundError, extra: str) -> ImportError:
    """The error to raise where an import has failed.

    Parameters
    ----------
    error
        The error of the import.
    extra
        The extra that installs the package.

    Returns
    -------
    ImportError
        One that names the extra; the same error where a module of this project is missing.
    """
    package = (error.name or "").partition(".")[0]
    if package == "stream_app":
        return error
    return MissingExtraError(f"this needs more packages ({package}): {how_to_get(extra)}", name=error.name)


def how_to_get(extra: str) -> str:
    """The command that installs an extra.

    Parameters
    ----------
    extra
        Its name.

    Returns
    -------
    str
        The command.

    Examples
    --------
    >>> how_to_get("serve")
    "pip install 'stream-app[serve]'"
    """
    return f"pip install 'stream-app[{extra}]'"
