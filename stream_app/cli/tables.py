"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with columns as wide as they need to be.

    Parameters
    ----------
    heads
        The names of the columns; none: there is no such line.
    rows
        The texts; what is not printable is shown as a space.
    """
    lines = [tuple(heads)] if heads else []
    lines += [tuple(map(_printable, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(line(each, widths) for each in lines)


def line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of a table.

    Parameters
    ----------
    cells
        The texts; what is not printable is shown as a space.
    widths
        Of the columns, in characters; a longer text moves what is after it.
    """
    return "  ".join(f"{_printable(cell):<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
