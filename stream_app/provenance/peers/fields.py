"""Reads the fields of what another process sent; unknown fields are ignored."""

from __future__ import annotations

from typing import Any

from stream_app.provenance.peers.errors import MessageError

#: Of a count, where nothing else bounds it: the greatest whole number that every reader of JSON knows.
NUMBER_MAX = 2**53


def wrong(field: str, expected: str) -> MessageError:
    """The error of a field that is not as expected."""
    return MessageError(f"{field}: expected {expected}")


def fields(value: object, at: str) -> dict[str, Any]:
    """The fields of an object; `at` is its place in the message."""
    if type(value) is not dict:
        raise wrong(at, "an object")
    return value


def text(value: dict[str, Any], key: str, at: str) -> str:
    """A field that is a text."""
    found = value.get(key)
    if type(found) is not str:
        raise wrong(f"{at}.{key}", "a text")
    return found


def one_of(value: dict[str, Any], key: str, at: str, choices: tuple[str, ...]) -> str:
    """A field that is one of some texts."""
    found = value.get(key)
    if type(found) is not str or found not in choices:
        raise wrong(f"{at}.{key}", f"one of {', '.join(choices)}")
    return found


def number(value: dict[str, Any], key: str, at: str, least: int, most: int) -> int:
    """A field that is a whole number within bounds."""
    found = value.get(key)
    if type(found) is not int or not least <= found <= most:
        raise wrong(f"{at}.{key}", f"a whole number from {least} to {most}")
    return found


def flag(value: dict[str, Any], key: str, at: str) -> bool:
    """A field that is true or false."""
    found = value.get(key)
    if type(found) is not bool:
        raise wrong(f"{at}.{key}", "true or false")
    return found


def listed(value: dict[str, Any], key: str, at: str, most: int | None = None) -> list[Any]:
    """A field that is a list, of at most a number of elements."""
    found = value.get(key)
    if type(found) is not list or (most is not None and len(found) > most):
        raise wrong(f"{at}.{key}", "a list" if most is None else f"a list of at most {most}")
    return found


def texts(value: dict[str, Any], key: str, at: str, most: int) -> list[str]:
    """A field that is a list of texts."""
    found = listed(value, key, at, most)
    if not all(type(each) is str for each in found):
        raise wrong(f"{at}.{key}", "a list of texts")
    return found


def places(value: dict[str, Any], key: str, at: str, length: int) -> list[int]:
    """A field that is a list of places in a list of this length."""
    found = listed(value, key, at)
    if not all(type(each) is int and 0 <= each < length for each in found):
        raise wrong(f"{at}.{key}", f"places in a list of {length}")
    return found


class Shape:
    """What a list has first; `names` says what it is."""

    def __init__(self, names: str, *kinds: tuple[type, ...]) -> None:
        self.names = names
        self.kinds = kinds


TEXT: tuple[type, ...] = (str,)
TEXT_OR_NULL: tuple[type, ...] = (str, type(None))
NUMBER: tuple[type, ...] = (int,)
NUMBER_OR_NULL: tuple[type, ...] = (int, type(None))


def parts(value: object, at: str, shape: Shape) -> list[Any]:
    """The elements of a list that has a shape; further ones are ignored."""
    kinds = shape.kinds
    if type(value) is list and len(value) >= len(kinds):
        found = value[: len(kinds)]
        if all(type(each) in kind for each, kind in zip(found, kinds, strict=True)):
            return found
    raise wrong(at, shape.names)
