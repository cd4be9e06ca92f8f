"""Unpickling that creates nothing but the parts of a learner.

A pickle is a program. This one may only do what a learner's does: make numbers, texts, lists, tuples and dicts, make
listed classes without calling them, and set attributes of what it has made. Whatever else it contains is refused at
that operation, before it has an effect. Classes are not values here, so that nothing can be set on them or be put where
a learner expects something else.
"""

from __future__ import annotations

import io
import pickle
import pickletools
from collections import OrderedDict, deque
from collections.abc import Callable
from importlib import import_module
from typing import Any

from river._river_rust.drift import AdaptiveWindowing

from stream_app.core.learning.array_pickling import Packed
from stream_app.errors import StateError

_LEARNING = "stream_app.core.learning"
#: Parts with attributes.
_PARTS = {
    (f"{_LEARNING}.learner", "Learner"),
    (f"{_LEARNING}.stage", "StageLearning"),
    (f"{_LEARNING}.model", "StageModel"),
    (f"{_LEARNING}.feature_space", "FeatureSpace"),
    (f"{_LEARNING}.regression", "Regression"),
    (f"{_LEARNING}.forest", "Forest"),
    (f"{_LEARNING}.stacking", "StackingCalibrator"),
    (f"{_LEARNING}.window", "Window"),
    (f"{_LEARNING}.drift", "BaselineComparison"),
    (f"{_LEARNING}.drift", "DriftCounter"),
    (f"{_LEARNING}.prequential", "Scoring"),
    (f"{_LEARNING}.calibration", "PushCalibration"),
    (f"{_LEARNING}.calibration", "_Push"),
    (f"{_LEARNING}.seen_examples", "SeenExamples"),
    (f"{_LEARNING}.seen_examples", "_Pipeline"),
    (f"{_LEARNING}.savings", "Savings"),
    (f"{_LEARNING}.savings", "_Pipeline"),
    ("river.drift.adwin", "ADWIN"),
    ("river._river_rust.drift", "AdaptiveWindowing"),
}
#: Containers that are made empty by a call.
_CONTAINERS = {("collections", "deque"): deque, ("collections", "OrderedDict"): OrderedDict}
#: Bytes of the largest integers, and what the integers that make a window of river may be.
_INTEGER_BYTES = 9
_WINDOW_MAX = 1_000

_OPERATIONS = (
    "PROTO FRAME STOP MARK MEMOIZE BINGET LONG_BINGET NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINFLOAT "
    "SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 EMPTY_TUPLE TUPLE1 TUPLE2 TUPLE3 TUPLE "
    "EMPTY_LIST APPEND APPENDS EMPTY_DICT SETITEM SETITEMS STACK_GLOBAL NEWOBJ REDUCE BUILD"
)


class _Dispatch(dict[int, Callable[[Any], None]]):
    """The operations allowed."""

    def __missing__(self, code: int) -> Callable[[Any], None]:
        name = next((each.name for each in pickletools.opcodes if each.code == chr(code)), f"operation {code}")
        raise StateError(f"it contains {name}, which no learner's does")


class _Class:
    """A class that the pickle has named; it can only be used to make an object."""

    def __init__(self, made: type) -> None:
        self.made = made


# The unpickler written in C cannot be told what BUILD and REDUCE may do. This one reads a large model in 0.1 s.
class _Unpickler(pickle._Unpickler):
    stack: list[Any]
    memo: dict[int, Any]
    append: Callable[[Any], None]
    read: Callable[[int], bytes]
    pop_mark: Callable[[], list[Any]]

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CONTAINERS:
            return _Class(_CONTAINERS[module, name])
        if (module, name) in _PARTS:
            return _Class(getattr(import_module(module), name))
        raise StateError(f"it names {module}.{name}, which is not part of a learner")

    def load_long1(self) -> None:
        size = self.read(1)[0]
        if size > _INTEGER_BYTES:
            raise StateError(f"it contains an integer of {size} bytes")
        self.append(pickle.decode_long(self.read(size)))

    def load_newobj(self) -> None:
        arguments, named = self.stack.pop(), self.stack.pop()
        made = _made(named)
        if made is AdaptiveWindowing:
            share, *rest = arguments
            if not isinstance(share, float) or any(type(n) is not int or not 0 <= n <= _WINDOW_MAX for n in rest):
                raise StateError(f"it makes a window of {arguments!r:.100}")
        elif arguments != ():
            raise StateError(f"it makes a {made.__name__} of {arguments!r:.100}")
        self.append(made.__new__(made, *arguments))

    def load_reduce(self) -> None:
        arguments, named = self.stack.pop(), self.stack.pop()
        made = _made(named)
        if made not in _CONTAINERS.values() or arguments != ():
            raise StateError(f"it calls {made.__name__} with {arguments!r:.100}")
        self.append(made())

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _set_items(self.stack[-1], [key], [value])

    def load_setitems(self) -> None:
        items = self.pop_mark()
        _set_items(self.stack[-1], items[::2], items[1::2])

    def load_append(self) -> None:
        value = self.stack.pop()
        _extend(self.stack[-1], [value])

    def load_appends(self) -> None:
        items = self.pop_mark()
        _extend(self.stack[-1], items)

    def load_build(self) -> None:
        state = self.stack.pop()
        part = self.stack[-1]
        made = type(part)
        if (made.__module__, made.__qualname__) not in _PARTS:
            raise StateError(f"it sets attributes of a {made.__name__}")
        if made is AdaptiveWindowing:
            if type(state) is not bytes:
                raise StateError(f"it sets a window to a {type(state).__name__}")
            part.__setstate__(state)
            return
        attributes = state[1] if type(state) is tuple and len(state) == 2 and state[0] is None else state
        if type(attributes) is not dict:
            raise StateError(f"it sets a {made.__name__} to a {type(state).__name__}")
        _check_names(made, attributes)
        if isinstance(part, Packed):
            part.__setstate__(attributes)
            return
        for name, value in attributes.items():
            object.__setattr__(part, name, value)

    dispatch = _Dispatch(
        {
            ord(code.code): pickle._Unpickler.dispatch[ord(code.code)]
            for code in pickletools.opcodes
            if code.name in _OPERATIONS.split()
        }
    )
    dispatch.update(
        {
            ord(pickle.LONG1): load_long1,
            ord(pickle.NEWOBJ): load_newobj,
            ord(pickle.REDUCE): load_reduce,
            ord(pickle.SETITEM): load_setitem,
            ord(pickle.SETITEMS): load_setitems,
            ord(pickle.APPEND): load_append,
            ord(pickle.APPENDS): load_appends,
            ord(pickle.BUILD): load_build,
        }
    )


def _made(named: object) -> type:
    if type(named) is not _Class:
        raise StateError(f"it calls a {type(named).__name__}")
    return named.made


def _set_items(target: Any, keys: list[Any], values: list[Any]) -> None:
    if type(target) not in (dict, OrderedDict):
        raise StateError(f"it sets items of a {type(target).__name__}")
    # Hashing nested tuples takes time without bound, and those of a million levels overflow the stack of the process.
    for key in keys:
        if type(key) not in (str, int, float):
            raise StateError(f"it has a {type(key).__name__} as a key")
    target.update(zip(keys, values, strict=True))


def _extend(target: Any, items: list[Any]) -> None:
    if type(target) not in (list, deque):
        raise StateError(f"it adds items to a {type(target).__name__}")
    target.extend(items)


def _check_names(made: type, attributes: dict[Any, Any]) -> None:
    """Refuses names that would hide a method, or change what an object is."""
    slots = {name for each in made.__mro__ for name in getattr(each, "__slots__", ())}
    for name in attributes:
        if type(name) is not str or name.startswith("__") or (hasattr(made, name) and name not in slots):
            raise StateError(f"it sets {name!r:.50} of a {made.__name__}")


def loads(pickled: bytes) -> object:
    """The object that was pickled.

    Raises
    ------
    StateError
        The pickle is damaged, or does anything that no learner's does.
    """
    source = io.BytesIO(pickled)
    try:
        made: object = _Unpickler(source).load()
    except StateError:
        raise
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a damaged pickle may raise anything at all; river's Rust raises no Exception
        raise StateError(f"it cannot be unpickled: {type(error).__name__}: {error}") from None
    if source.tell() != len(pickled):
        raise StateError("something follows it")
    return made
