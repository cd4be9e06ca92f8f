"""Messages of people and programs that mean ill, or do not know better, and messages damaged at random."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from stream_app.kafka.processing.partitioner import FORWARDED
from stream_app.kafka.records import FORMAT

TIME = "2026-01-01T00:00:00Z"


class Hostile(NamedTuple):
    """A record as it is written."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


def event(**changes: Any) -> dict[str, Any]:
    """A valid native event with changes."""
    execution = {"id": "t", "type": "Trainer", "state": "RUNNING"}
    return {"time": TIME, "pipeline": "hostile", "execution": execution, **changes}


def lineage(**changes: Any) -> dict[str, Any]:
    """A valid OpenLineage event with changes."""
    run = {"runId": "01890a5d-ac96-774b-bcce-b302099a8057"}
    job = {"namespace": "hostile", "name": "train"}
    return {"eventType": "START", "eventTime": TIME, "producer": "https://x.org", "run": run, "job": job, **changes}


def native(**changes: Any) -> bytes:
    return orjson.dumps(event(**changes))


_SHAPE = '{{"time":{time},"pipeline":{pipeline},"execution":{{"id":{id},"type":{type},"state":{state}}}{extra}}}'


def by_hand(**parts: str) -> bytes:
    given = {"time": f'"{TIME}"', "pipeline": '"hostile"', "id": '"t"', "type": '"Trainer"', "state": '"RUNNING"'}
    return _SHAPE.format_map({**given, "extra": "", **parts}).encode("utf-8", "surrogatepass")


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + "1" + closing * depth


def artifacts(*names: str) -> list[dict[str, str]]:
    return [{"id": name, "type": "Examples"} for name in names]


def of_execution(**changes: Any) -> bytes:
    return native(execution={"id": "t", "type": "Trainer", "state": "RUNNING", **changes})


#: Kind -> the message of a source. Each of them is for somebody a valid message, a slip, or an attack.
MESSAGES: dict[str, bytes | None] = {
    "no value": None,
    "no bytes": b"",
    "a space": b" ",
    "a NUL": b"\0",
    "no JSON": b"oops",
    "half of an object": native()[:40],
    "two objects": native() + native(),
    "trailing bytes": native() + b"\0\0",
    "byte order mark": b"\xef\xbb\xbf" + native(),
    "UTF-16": native().decode().encode("utf-16"),
    "bad UTF-8": native().replace(b"hostile", b"hos\xff\xfe"),
    "overlong UTF-8": native().replace(b"hostile", b"hos\xc0\xaf"),
    "lone surrogate, escaped": by_hand(pipeline='"\\ud800"'),
    "lone surrogate, raw": by_hand(pipeline='"\ud800"'),
    "NUL in an id": native(pipeline="a\0b"),
    "control characters in an id": native(pipeline="a\x1b[31m\r\nSet-Cookie: x"),
    "gzip": gzip.compress(native()),
    "a pickle": b"\x80\x04cos\nsystem\n(S'true'\ntR.",
    "XML with an entity": b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><x>&e;</x>',
    "Avro with a schema id": b"\0\0\0\0\x01" + native(),
    "protobuf": b"\x0a\x07hostile\x12\x01t",
    "null": b"null",
    "true": b"true",
    "a number": b"17",
    "a string": b'"event"',
    "a list": b"[" + native() + b"]",
    "an empty object": b"{}",
    "a list 1,025 deep": nested(1_025).encode(),
    "a list 100,000 deep": nested(100_000).encode(),
    "an object 100,000 deep": nested(100_000, '{"a":', "}").encode(),
    "a foreign field 2,000 deep": by_hand(extra=',"foreign":' + nested(2_000)),
    "NaN": by_hand(extra=',"cost":{"node_seconds":NaN}'),
    "infinity": by_hand(extra=',"cost":{"node_seconds":-Infinity}'),
    "1e308": by_hand(extra=',"cost":{"node_seconds":1e308}'),
    "1e999": by_hand(extra=',"cost":{"node_seconds":1e999}'),
    "a number of 100,000 digits": by_hand(extra=',"cost":{"node_seconds":' + "9" * 100_000 + "}"),
    "negative cost": native(cost={"node_seconds": -1}),
    "a cost that is text": native(cost={"node_seconds": "12"}),
    "a cost that is a list": native(cost=[1]),
    "-0.0": by_hand(extra=',"cost":{"node_seconds":-0.0}'),
    "no time": orjson.dumps({key: value for key, value in event().items() if key != "time"}),
    "a time that is a number": native(time=1_767_225_600),
    "the year 0": native(time="0000-01-01T00:00:00Z"),
    "the year 10000": native(time="10000-01-01T00:00:00Z"),
    "the year 1970": native(time="1970-01-01T00:00:00Z"),
    "ten years ahead": native(time="2099-01-01T00:00:00Z"),
    "a leap second": native(time="2016-12-31T23:59:60Z"),
    "the 30th of February": native(time="2026-02-30T00:00:00Z"),
    "an offset of 99 hours": native(time="2026-01-01T00:00:00+99:00"),
    "a time in Arabic digits": native(time="\u0662\u0660\u0662\u0666-01-01T00:00:00Z"),
    "a state that is none": of_execution(state="EXPLODED"),
    "a state that is a list": of_execution(state=["RUNNING"]),
    "no execution": native(execution=None),
    "an execution that is text": native(execution="t"),
    "an id that is a number": of_execution(id=7),
    "an empty id": of_execution(id=""),
    "an id of 1 MB": of_execution(id="x" * 1_000_000),
    "256 kB and a byte of a property": native(properties={"a": "x" * (256 << 10)}),
    "properties in properties": native(properties={"a": {"b": {}}}),
    "10,001 properties": native(properties={str(n): n for n in range(10_001)}),
    "an empty name of a property": native(properties={"": 1}),
    "prototype pollution": native(properties={"__proto__": "x", "constructor": "y", "__class__": "z"}),
    "SQL in names": native(pipeline="'; DROP TABLE events; --", run="1 OR 1=1"),
    "HTML in names": native(pipeline="<script>alert(1)</script>", run="<img src=x onerror=alert(1)>"),
    "templates in names": native(pipeline="{{7*7}}${7*7}%s%n{0.__class__}"),
    "paths in names": native(pipeline="../../../../etc/passwd", run="C:\\\\CON"),
    "separators of ids in names": native(pipeline="a/b~0c:run:x", run="run:/~1"),
    "bidirectional text in names": native(pipeline="\u202eevil\u2066", run="\u200b"),
    "names of emoji and combining marks": native(pipeline="\U0001f4a9" * 50, run="e" + "\u0301" * 500),
    "newlines in names": native(pipeline="a\nERROR all is lost\nb"),
    "a self-edge": native(inputs=artifacts("a"), outputs=artifacts("a")),
    "a cycle, one half": native(pipeline="cycle", inputs=artifacts("a"), outputs=artifacts("b")),
    "a cycle, the other": native(
        pipeline="cycle",
        execution={"id": "u", "type": "Trainer", "state": "COMPLETE"},
        inputs=artifacts("b"),
        outputs=artifacts("a"),
    ),
    "10,001 inputs": native(inputs=artifacts(*map(str, range(10_001)))),
    "10,000 times one input": native(inputs=artifacts(*["a"] * 10_000)),
    "inputs that are an object": native(inputs={"id": "a"}),
    "an input that is null": native(inputs=[None]),
    "an artifact of all types": native(inputs=[{"id": "a", "type": "Model"}, {"id": "a", "type": "Schema"}]),
    "a key twice": by_hand(extra=',"pipeline":"other"'),
    "a key a thousand times": by_hand(extra=',"pipeline":"other"' * 1_000),
    "100,000 keys": native(**{f"k{n}": n for n in range(100_000)}),
    "a CloudEvent without data": orjson.dumps({"specversion": "1.0", "type": "x", "source": "y", "id": "1"}),
    "a CloudEvent in itself": orjson.dumps(
        {"specversion": "1.0", "type": "x", "source": "y", "id": "1", "data": {"specversion": "1.0", "data": event()}}
    ),
    "OpenLineage without a run": orjson.dumps(lineage(run=None)),
    "OpenLineage with lists for facets": orjson.dumps(lineage(run={"runId": "x", "facets": [1]})),
    "OpenLineage with a parent that is text": orjson.dumps(
        lineage(run={"runId": "01890a5d-ac96-774b-bcce-b302099a8057", "facets": {"parent": "x"}})
    ),
    "OpenLineage of a type that is a number": orjson.dumps(lineage(eventType=7)),
    "OpenLineage with inputs that are text": orjson.dumps(lineage(inputs="data")),
    "OpenLineage with a name of 100 kB": orjson.dumps(lineage(job={"namespace": "n", "name": "x" * 100_000})),
    "OpenLineage and native in one": orjson.dumps({**lineage(), **event()}),
}
#: Kind -> a record whose key or headers are the hostile part.
RECORDS: dict[str, Hostile] = {
    "a key of 100 kB": Hostile(native(), b"k" * 100_000),
    "a key that is no UTF-8": Hostile(native(), b"\xff\xfe"),
    "a format that is none": Hostile(native(), headers=((FORMAT, b"pickle"),)),
    "a format that is no UTF-8": Hostile(native(), headers=((FORMAT, b"\xff"),)),
    "a format of another message": Hostile(native(), headers=((FORMAT, b"openlineage"),)),
    "no format": Hostile(native(), headers=((FORMAT, b""),)),
    "a forged mark of forwarding": Hostile(native(), headers=((FORWARDED, b""),)),
    "a thousand headers": Hostile(native(), headers=tuple((f"h{n}", b"x") for n in range(1_000))),
    "a header of 100 kB": Hostile(native(), headers=(("h", b"x" * 100_000),)),
    "no key and no value": Hostile(None, None),
}


def records() -> dict[str, Hostile]:
    """All kinds."""
    return {**{kind: Hostile(message) for kind, message in MESSAGES.items()}, **RECORDS}


def fuzzed(seeds: list[bytes], number: int, count: int) -> Iterator[bytes]:
    """Messages made from valid ones by damage to their bytes or their structure; a number gives the same ones."""
    chance = random.Random(number)
    for _ in range(count):
        message = chance.choice(seeds)
        yield damaged(message, chance) if chance.random() < 0.5 else distorted(message, chance)


def damaged(message: bytes, chance: random.Random) -> bytes:
    """Some bytes flipped, deleted, doubled, or replaced."""
    body = bytearray(message)
    for _ in range(chance.choice((1, 1, 2, 8, 64))):
        at = chance.randrange(len(body) + 1)
        kind = chance.randrange(5)
        if kind == 0 and at < len(body):
            body[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del body[at : at + chance.randrange(1, 40)]
        elif kind == 2:
            body[at:at] = body[at : at + chance.randrange(1, 40)]
        elif kind == 3:
            body[at:at] = chance.choice((b"\0", b"\xff", b'"', b"{", b"[", b"\\u", b"1e999", b"null", b","))
        else:
            del body[at:]
    return bytes(body)


#: What values of a document are replaced by.
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1e300, -0.0, 2**63, "", "x", "\x7f", "\u202e", "x" * 2_000, [], {}, [[]], [None], {"": None},
    "9999-12-31T23:59:59Z", "1990-01-01T00:00:00Z", "RUNNING", "Trainer", "\U0010ffff",
)  # fmt: skip


def distorted(message: bytes, chance: random.Random) -> bytes:
    """A value somewhere in the document replaced, removed, or moved."""
    document = orjson.loads(message)
    for _ in range(chance.choice((1, 1, 1, 2, 5))):
        holder: Any = document
        while True:
            keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
            if not keys:
                break
            key = chance.choice(keys)
            if isinstance(holder[key], dict | list) and chance.random() < 0.7:
                holder = holder[key]
                continue
            if chance.random() < 0.2:
                del holder[key]
            else:
                holder[key] = chance.choice(_VALUES)
            break
    return orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
