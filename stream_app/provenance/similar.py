"""Names that are similar to one that names nothing, for the message about it; those of several processes are merged."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple

#: Characters of a name that are shown and compared.
NAME_SHOWN = 200
#: Names in a message; names that are looked through for similar ones, and those of them that are compared.
SHOWN, _LOOKED_THROUGH, _COMPARED = 3, 10_000, 500


class Similar(NamedTuple):
    """What there is instead of a name.

    Parameters
    ----------
    alike
        Whether the names have the wanted one in them.
    near
        The most similar names, the best first; none where none is similar enough.
    first
        The first names in their order, for want of similar ones; none where there is no name at all.
    """

    alike: bool
    near: list[str]
    first: list[str]


def similar(name: str, names: Iterable[str]) -> Similar:
    """Finds names that are similar to one, at most three.

    Parameters
    ----------
    name
        What was asked for.
    names
        What there is; of more than 10,000 the first ones are looked through, which takes some 10 ms.

    Returns
    -------
    Similar
        What the message shows.
    """
    wanted = name[:NAME_SHOWN]
    folded = wanted.casefold()
    last = folded.rpartition("/")[2] or folded
    looked = list(islice(names, _LOOKED_THROUGH))
    alike = list(islice((each for each in looked if last in each.casefold()), _COMPARED))
    compared = alike or sorted(looked, key=lambda each: (abs(len(each) - len(wanted)), each))[:_COMPARED]
    return _best(wanted, bool(alike), compared, compared)


def merged(name: str, found: Iterable[Similar]) -> Similar:
    """The similar names of several processes as one: only those that have the name in them, if there are any.

    Parameters
    ----------
    name
        What was asked for.
    found
        What each of them has.

    Returns
    -------
    Similar
        What `similar` finds among all their names, unless those that it compares are more than 500.
    """
    everywhere = list(found)
    alike = any(each.alike for each in everywhere)
    kept = [each for each in everywhere if each.alike or not alike]
    near = [each for one in kept for each in one.near]
    first = [each for one in kept for each in one.first]
    return _best(name[:NAME_SHOWN], alike, near, first)


def _best(wanted: str, alike: bool, compared: list[str], listed: list[str]) -> Similar:
    near = difflib.get_close_matches(wanted, compared, SHOWN, cutoff=0.5)
    return Similar(alike, near, sorted(listed)[:SHOWN])


def message(what: str, name: str, found: Similar) -> str:
    """The message about an unknown name.

    Parameters
    ----------
    what
        The kinds of things that were looked for.
    name
        What was asked for.
    found
        What there is instead.

    Returns
    -------
    str
        One line.
    """
    if not found.first:
        return f"{shown(name)}: no such {what}; there is none at all"
    instead = ", ".join(map(shown, found.near or found.first))
    return f"{shown(name)}: no such {what}; there are, for instance, {instead}"


def shown(name: str) -> str:
    """A name as a message has it."""
    return "".join(each if each.isprintable() else "?" for each in name[:NAME_SHOWN])
