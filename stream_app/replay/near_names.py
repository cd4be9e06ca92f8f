"""Finds, for a name that nobody wrote, the written name that it was probably meant to be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_SLASHES = re.compile(r"/+")
#: A version at the end of a name: `@3`, `:v3`, `/3`, `_v3`, `-2026-03-01`, `?version=3`.
_VERSION = re.compile(
    r"(@[^/@]*|[?&#]version(id)?=[^&]*|[:/_.-]v?\d+([._-]\d+)*|[:/_.-]v\d+|/(version|snapshot)s?=[^/]*)$", re.IGNORECASE
)
#: What may differ between two names of one thing, in the order in which it is removed.
_PARTS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("version", lambda name: _VERSION.sub("", name)),
    ("scheme", lambda name: _SCHEME.sub("", name)),
    ("slashes", lambda name: _SLASHES.sub("/", name).strip("/")),
    ("case", str.lower),
)


class NearNames:
    """Names by what is left without version, scheme, slashes and case.

    Parameters
    ----------
    names
        The names that there are; of several that are alike the first is kept.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names: dict[str, str] = {}
        for name in names:
            self._names.setdefault(_bare(name), name)

    def nearest(self, name: str) -> tuple[str, str] | None:
        """The name that is alike.

        Parameters
        ----------
        name
            A name that is not among them.

        Returns
        -------
        tuple of str or None
            The name, and what differs; None when none is alike.

        Examples
        --------
        >>> NearNames(["s3://bucket/Model@4"]).nearest("s3a://bucket/Model@5")
        ('s3://bucket/Model@4', 'version, scheme')
        """
        found = self._names.get(_bare(name))
        return None if found is None or found == name else (found, _differences(name, found))


def _bare(name: str) -> str:
    # The slashes first, so that a version before a trailing slash is one.
    name = name.rstrip("/")
    for _, without in _PARTS:
        name = without(name)
    return name


def _differences(one: str, other: str) -> str:
    """What differs: each part without which they would still differ once all others are removed."""
    differing = []
    for part, _ in _PARTS:
        mine, theirs = one, other
        for each, without in _PARTS:
            if each != part:
                mine, theirs = without(mine), without(theirs)
        if mine != theirs:
            differing.append(part)
    return ", ".join(differing) or "form"
