"""How the values of properties are read."""

from __future__ import annotations

from stream_app.core.events import Scalar

#: Texts that count as false, in lower case.
_FALSE = frozenset(("", "0", "0.0", "false", "no", "off", "n", "f", "none", "null"))


def is_true(value: Scalar) -> bool:
    """Whether the value of a property counts as true: the rule for `pushed`, `blessed`, `keep` and any other flag.

    Parameters
    ----------
    value
        A text, a number or a boolean, as an event carries it.

    Returns
    -------
    bool
        False for False, for a number equal to 0, and for a text that, without surrounding white space and in any
        case, is empty or one of "0", "0.0", "false", "no", "off", "n", "f", "none", "null". True for all else.

    Examples
    --------
    >>> is_true("yes"), is_true(2), is_true("no"), is_true(" False "), is_true(0.0)
    (True, True, False, False, False)
    """
    return value.strip().lower() not in _FALSE if isinstance(value, str) else bool(value)
