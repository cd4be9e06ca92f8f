"""Pickles made by hand: what no learner's does is refused before it has an effect."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from stream_app.core.learning.drift import DriftCounter
from stream_app.core.learning.learner import Learner
from stream_app.core.learning.savings import _Pipeline
from stream_app.core.outputs import STAGES, Example
from stream_app.errors import StateError
from stream_app.kafka.model.unpickling import loads
from tests.support.simulated import usual_outputs

EMPTY, REDUCE, NEWOBJ, BUILD, MARK, TUPLE, DICT, LIST = b")", b"R", b"\x81", b"b", b"(", b"t", b"}", b"]"
NONE, ONE, SETITEMS, APPENDS, TUPLE2, TUPLE1 = b"N", b"K\x01", b"u", b"e", b"\x86", b"\x85"
LEARNING = "stream_app.core.learning"


def text(value: str) -> bytes:
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def pickled(*operations: bytes) -> bytes:
    return b"\x80\x05" + b"".join(operations) + b"."


LEARNER = named(f"{LEARNING}.learner", "Learner")
PUSH = named(f"{LEARNING}.calibration", "_Push")
FOREST = named(f"{LEARNING}.forest", "Forest")
WINDOW = named("river._river_rust.drift", "AdaptiveWindowing")
DEQUE = named("collections", "deque")
MADE = LEARNER + EMPTY + NEWOBJ
X = text("harm")
#: {"harm": 1}
STATE = DICT + MARK + X + ONE + SETITEMS
PAIRS = b"".join(b"2\x86" for _ in range(60))

ATTACKS: dict[str, tuple[bytes, str]] = {
    # attributes of classes and modules
    "BUILD on a class": (pickled(LEARNER, STATE, BUILD), "it sets attributes of a _Class"),
    "BUILD on a class, slots": (pickled(LEARNER, NONE, STATE, TUPLE2, BUILD), "it sets attributes of a _Class"),
    "BUILD on a class of the memo": (pickled(LEARNER, b"\x94", b"0", b"h\x00", STATE, BUILD), "it contains POP"),
    "BUILD on a memoized class": (pickled(LIST, LEARNER, b"\x94", b"a", b"h\x00", STATE, BUILD), "of a _Class"),
    "BUILD on a module": (pickled(named("stream_app.core.learning", "stage"), STATE, BUILD), "learning.stage, which"),
    "BUILD on a dict": (pickled(DICT, STATE, BUILD), "it sets attributes of a dict"),
    "BUILD on a list": (pickled(LIST, STATE, BUILD), "it sets attributes of a list"),
    "BUILD on a deque": (pickled(DEQUE, EMPTY, REDUCE, STATE, BUILD), "it sets attributes of a deque"),
    "BUILD sets a class": (
        pickled(MADE, DICT, MARK, text("__class__"), PUSH, SETITEMS, BUILD), "it sets '__class__' of a Learner",
    ),
    "BUILD sets a class by slots": (
        pickled(MADE, NONE, DICT, MARK, text("__class__"), PUSH, SETITEMS, TUPLE2, BUILD), "it sets '__class__'",
    ),
    "BUILD sets a dict": (pickled(MADE, DICT, MARK, text("__dict__"), STATE, SETITEMS, BUILD), "it sets '__dict__'"),
    "BUILD hides a method": (pickled(MADE, DICT, MARK, text("predict"), LEARNER, SETITEMS, BUILD), "'predict' of a L"),
    "BUILD hides a method of arrays": (
        pickled(FOREST, EMPTY, NEWOBJ, DICT, MARK, text("learn"), ONE, SETITEMS, BUILD), "it sets 'learn' of a Forest",
    ),
    "BUILD hides a method by slots": (
        pickled(PUSH, EMPTY, NEWOBJ, NONE, DICT, MARK, text("__eq__"), ONE, SETITEMS, TUPLE2, BUILD), "'__eq__'",
    ),
    "BUILD with a number as a name": (pickled(MADE, DICT, MARK, ONE, ONE, SETITEMS, BUILD), "it sets 1 of a Learner"),
    "BUILD with a list": (pickled(MADE, LIST, BUILD), "it sets a Learner to a list"),
    "BUILD with dict and slots": (pickled(MADE, STATE, STATE, TUPLE2, BUILD), "it sets a Learner to a tuple"),
    "BUILD of a window with a dict": (
        pickled(WINDOW, b"G?\xf0\0\0\0\0\0\0", b"K\x20", TUPLE2, NEWOBJ, STATE, BUILD), "it sets a window to a dict",
    ),
    # calls
    "a command": (pickled(named("posix", "system"), X, TUPLE1, REDUCE), "it names posix.system"),
    "eval": (pickled(named("builtins", "eval"), X, TUPLE1, REDUCE), "it names builtins.eval"),
    "getattr": (pickled(named("builtins", "getattr"), MADE, X, TUPLE2, REDUCE), "it names builtins.getattr"),
    "partial": (pickled(named("functools", "partial"), LEARNER, TUPLE1, REDUCE), "it names functools.partial"),
    "attrgetter": (pickled(named("operator", "attrgetter"), X, TUPLE1, REDUCE), "it names operator.attrgetter"),
    "a function of the core": (pickled(named(f"{LEARNING}.stage", "unit"), ONE, TUPLE1, REDUCE), "learning.stage.unit"),
    "a class of the core that is no part": (
        pickled(named("stream_app.core.detector", "Detector"), EMPTY, REDUCE), "it names stream_app.core.detector",
    ),
    "what a module imports": (pickled(named(f"{LEARNING}.forest", "np"), EMPTY, REDUCE), "it names"),
    "a dotted name": (pickled(named(f"{LEARNING}.learner", "Learner.predict"), EMPTY, REDUCE), "Learner.predict"),
    "a dotted way to all": (pickled(named(f"{LEARNING}.learner", "Learner.__init__.__globals__")), "__globals__"),
    "a part that is called": (pickled(LEARNER, EMPTY, REDUCE), "it calls Learner with ()"),
    "a part that is called with much": (pickled(LEARNER, b"M\xff\xff", TUPLE1, REDUCE), "it calls Learner"),
    "an object that is called": (pickled(MADE, EMPTY, REDUCE), "it calls a Learner"),
    "a number that is called": (pickled(ONE, EMPTY, REDUCE), "it calls a int"),
    "a part made of something": (pickled(LEARNER, X, TUPLE1, NEWOBJ), "it makes a Learner of ('harm',)"),
    "a container made of something": (pickled(DEQUE, LIST, TUPLE1, REDUCE), "it calls deque with ([],)"),
    "NEWOBJ of a container": (pickled(DEQUE, LIST, NEWOBJ), "it makes a deque of []"),
    "NEWOBJ of no class": (pickled(ONE, EMPTY, NEWOBJ), "it calls a int"),
    "a window of a billion": (
        pickled(WINDOW, MARK, b"G?\xf0\0\0\0\0\0\0", b"J\xff\xff\xff\x7f", TUPLE, NEWOBJ), "it makes a window of",
    ),
    "a window of -1": (pickled(WINDOW, MARK, b"G?\xf0\0\0\0\0\0\0", b"J\xff\xff\xff\xff", TUPLE, NEWOBJ), "it makes a"),
    "a window of nothing": (pickled(WINDOW, EMPTY, NEWOBJ), "it cannot be unpickled"),
    # operations that no learner needs
    "GLOBAL": (b"cposix\nsystem\n(X\x01\0\0\0xtR.", "it contains GLOBAL"),
    "GLOBAL with dots": (b"cstream_app.core.learning.learner\nLearner.__init__\n.", "it contains GLOBAL"),
    "INST": (b"(iposix\nsystem\n.", "it contains INST"),
    "OBJ": (pickled(MARK, LEARNER, b"o"), "it contains OBJ"),
    "NEWOBJ_EX": (pickled(LEARNER, EMPTY, DICT, b"\x92"), "it contains NEWOBJ_EX"),
    "EXT1": (pickled(b"\x82\x01"), "it contains EXT1"),
    "EXT2": (pickled(b"\x83\x01\0"), "it contains EXT2"),
    "EXT4": (pickled(b"\x84\x01\0\0\0"), "it contains EXT4"),
    "PERSID": (b"Pharm\n.", "it contains PERSID"),
    "BINPERSID": (pickled(X, b"Q"), "it contains BINPERSID"),
    "PUT": (pickled(ONE, b"p0\n"), "it contains PUT"),
    "GET": (pickled(b"g0\n"), "it contains GET"),
    "BINPUT far away": (pickled(ONE, b"r\xff\xff\xff\xff"), "it contains LONG_BINPUT"),
    "DUP": (pickled(MADE, b"2"), "it contains DUP"),
    "POP": (pickled(ONE, ONE, b"0"), "it contains POP"),
    "a set": (pickled(b"\x8f"), "it contains EMPTY_SET"),
    "a frozen set": (pickled(MARK, b"\x91"), "it contains FROZENSET"),
    "a buffer from outside": (pickled(b"\x97"), "it contains NEXT_BUFFER"),
    "a byte array": (pickled(b"\x96" + struct.pack("<Q", 1 << 60)), "it contains BYTEARRAY8"),
    "a number as text": (pickled(b"I1\n"), "it contains INT"),
    "a long number as text": (pickled(b"L" + b"9" * 5_000 + b"L\n"), "it contains LONG"),
    "a text in quotes": (pickled(b"S'harm'\n"), "it contains STRING"),
    "no operation": (pickled(b"\xff"), "it contains operation 255"),
    # sizes
    "a number of 255 bytes": (pickled(b"\x8a\xff" + b"\x7f" * 255), "it contains an integer of 255 bytes"),
    "a number of 2 GB": (pickled(b"\x8b\xff\xff\xff\x7f"), "it contains LONG4"),
    "bytes that are not there": (pickled(b"\x8e" + struct.pack("<Q", 1 << 60)), "it cannot be unpickled"),
    "more bytes than there are addresses": (pickled(b"\x8e" + b"\xff" * 8), "it cannot be unpickled"),
    "a text that is not there": (pickled(b"\x8d" + struct.pack("<Q", 1 << 60)), "it cannot be unpickled"),
    "a range": (pickled(named("builtins", "range"), b"J\xff\xff\xff\x7f", TUPLE1, REDUCE), "it names builtins.range"),
    "bytes made by a call": (pickled(named("builtins", "bytes"), b"J\xff\xff\xff\x7f", TUPLE1, REDUCE), "builtins."),
    "a tuple as a key": (pickled(DICT, MARK, EMPTY, ONE, SETITEMS), "it has a tuple as a key"),
    "nested a million times, as a key": (
        pickled(DICT, MARK, EMPTY, TUPLE1 * 1_000_000, ONE, SETITEMS), "it has a tuple as a key",
    ),
    "an object as a key": (pickled(DICT, MARK, MADE, ONE, SETITEMS), "it has a Learner as a key"),
    "one item, an object as a key": (pickled(DICT, MADE, ONE, b"s"), "it has a Learner as a key"),
    "items of an object": (pickled(MADE, MARK, X, ONE, SETITEMS), "it sets items of a Learner"),
    "one item of an object": (pickled(MADE, X, ONE, b"s"), "it sets items of a Learner"),
    "more of an object": (pickled(MADE, MARK, ONE, APPENDS), "it adds items to a Learner"),
    "one more of an object": (pickled(MADE, ONE, b"a"), "it adds items to a Learner"),
    "one more of a class": (pickled(DEQUE, ONE, b"a"), "it adds items to a _Class"),
    # damage
    "nothing": (b"", "it cannot be unpickled"),
    "no end": (b"\x80\x05N", "it cannot be unpickled"),
    "an empty stack": (pickled(), "it cannot be unpickled"),
    "no mark": (pickled(TUPLE), "it cannot be unpickled"),
    "a memo that is empty": (pickled(b"h\x07"), "it cannot be unpickled"),
    "a later protocol": (b"\x80\x09N.", "it cannot be unpickled"),
    "no text for a name": (pickled(ONE, ONE, b"\x93"), "it cannot be unpickled"),
    "an odd number of items": (pickled(DICT, MARK, X, SETITEMS), "it cannot be unpickled"),
    "something after it": (pickled(NONE) + b"harm", "something follows it"),
    "a window of bytes that are none": (
        pickled(
            WINDOW, MARK, b"G?\xf0\0\0\0\0\0\0", b"K\x20K\x05K\x05K\x0a", TUPLE, NEWOBJ, b"C\x03abc", BUILD
        ), "it cannot be unpickled: PanicException",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_what_no_learner_does_is_refused(name: str) -> None:
    """With one exception, one line, and the operation named."""
    content, why = ATTACKS[name]

    with pytest.raises(StateError) as refused:
        loads(content)
    assert why in str(refused.value)
    assert "\n" not in str(refused.value)


def test_no_class_is_changed() -> None:
    """Neither its attributes nor its methods, by any of them."""
    before = {part: dict(vars(part)) for part in (Learner, DriftCounter)}
    for content, _ in ATTACKS.values():
        with pytest.raises(StateError):
            loads(content)

    assert {part: dict(vars(part)) for part in before} == before


def test_a_class_is_no_value() -> None:
    """A class that is put into a part can be neither called nor looked into."""
    made: Any = loads(pickled(MADE, DICT, MARK, text("_stages"), PUSH, SETITEMS, BUILD))

    assert not callable(made._stages)
    assert not isinstance(made._stages, type)


@cache
def examples() -> list[Example]:
    return [output for output in usual_outputs() if isinstance(output, Example)]


def learner(count: int, **given: Any) -> Learner:
    made = Learner(**given)
    for example in examples()[:count]:
        made.learn(example)
    return made


def on_trial() -> Learner:
    """A learner with a stage on trial and a pruned run."""
    made = learner(200)
    made._stages[STAGES[-1]]._refold()
    made.savings._pipelines["p"] = _Pipeline(1.5, runs={"p/run": True})
    return made


@pytest.mark.parametrize(
    "make",
    [
        lambda: learner(0),
        lambda: learner(1),
        lambda: learner(len(examples())),
        on_trial,
        lambda: learner(150, budgets=(0.5,)),
        lambda: learner(150, budgets=(0.001, 0.01), retention_ms=1),
    ],
    ids=["empty", "one example", "all", "on trial", "one budget", "short memory"],
)
def test_a_learner_comes_back(make: Callable[[], Learner]) -> None:
    """Bit for bit, whatever it has learned."""
    made = make()
    stored = pickle.dumps(made, protocol=5)
    found = loads(stored)

    assert isinstance(found, Learner)
    assert pickle.dumps(found, protocol=5) == stored
    assert found.metrics() == made.metrics()
