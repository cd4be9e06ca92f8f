"""The work of decoders grows as the size of a message, and not faster: a message of a megabyte must not take hours.

An input is a message in parts, separated by the byte 0xff; every other part is repeated until the message is large.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

from stream_app.errors import MalformedEvent
from stream_app.sources import SOURCES, detect

MAX_BYTES = 300
DICTIONARY = "decoders"
SEPARATOR = b"\xff"
#: Bytes of the two messages that are compared.
SMALL, LARGE = 1 << 14, 1 << 17
#: Seconds below which growth cannot be measured, and how many times as much work 8 times the size may take.
MEASURABLE, GROWTH_MAX = 0.3, 24
_TRIES = 3


def replay(data: bytes) -> None:
    """Decodes the small message, without measuring it, as a test must not."""
    small = grown(data, SMALL)
    for decode in (detect, *SOURCES.values()):
        _seconds(decode, small)


def check(data: bytes) -> None:
    """Decoding a message of 8 times the size takes about 8 times as long."""
    small, large = grown(data, SMALL), grown(data, LARGE)
    for decode in (detect, *SOURCES.values()):
        if _seconds(decode, large) < MEASURABLE:
            continue
        most = min(_seconds(decode, large) for _ in range(_TRIES))
        least = min(_seconds(decode, small) for _ in range(_TRIES))
        growth = most / least * (len(small) / len(large)) * (LARGE // SMALL)
        assert most < MEASURABLE or growth < GROWTH_MAX, f"{most:.2f} s for {len(large):,} bytes, {growth:.0f} times"


def grown(data: bytes, size: int) -> bytes:
    """The message of some size that the parts make."""
    parts = data.split(SEPARATOR)
    repeated = sum(map(len, parts[1::2])) or 1
    times = (size - len(data)) // repeated
    return b"".join(part * times if number % 2 else part for number, part in enumerate(parts))


def _seconds(decode: object, message: bytes) -> float:
    assert callable(decode)
    began = time.thread_time()
    with suppress(MalformedEvent):
        decode(message) if decode is detect else decode(message, None)
    return time.thread_time() - began


def seeds() -> Iterator[bytes]:
    """Long texts, many fields, deep values, and what has no end, in places that are read and that are not."""
    event = b'{"time":"2026-03-01T06:12:40Z","pipeline":"p","execution":{"id":"e","type":"Trainer","state":"NEW"}'
    run = b'{"eventTime":"2026-03-01T06:12:40Z","eventType":"START","run":{"runId":"r","facets":{}}'
    job = b'"job":{"namespace":"n","name":"a.b"}'
    for start in (b'{"x":', event + b',"x":', event + b',"properties":', run + b"," + job + b',"inputs":', b'{"time":'):
        for opened, closed in ((b"[", b"]"), (b'{"a":', b"}"), (b"[]", b""), (b'""', b""), (b'\\"', b""), (b" ", b"")):
            yield SEPARATOR.join((start, opened, b"", closed, b"}"))
        for item in (b'"\\ud800",', b"NaN,", b'"a":1,', b'{"id":"a","type":"T"},', b"{},", b"1e400,", b'"\xc3\xa9\\",'):
            yield SEPARATOR.join((start + b"[", item, b"NaN]}"))
            yield SEPARATOR.join((start + b"{", item, b'"b":NaN}}'))
    for text in (b"\x0a\x80", b"[", b"{", b'"', b"\\", b"-", b"9", b"\n", b"${", b"a.", b"*", b" T"):
        yield SEPARATOR.join((b"", text, b""))
        yield SEPARATOR.join((run + b',"job":{"namespace":"n","name":"', text, b'"}}'))
        yield SEPARATOR.join((b'{"specversion":"1.0","data":"', text, b'"}'))
        yield SEPARATOR.join((b'{"specversion":"1.0","data_base64":"', text, b'"}'))
