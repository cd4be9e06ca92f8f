"""Recognises by their first bytes files that are no text in UTF-8, and says how to convert them."""

from __future__ import annotations

import shlex

from stream_app.sources.envelopes import foreign_format

#: How many first bytes `unreadable` looks at.
HEAD = 512

#: The first bytes of a kind of file, its name, and how its content is had as text; {} is the file.
_KINDS = (
    (b"PK\x03\x04", "a zip archive", "`unzip -p {} | stream-app replay -`"),
    (b"BZh", "compressed with bzip2", "`bzcat {} | stream-app replay -`"),
    (b"\xfd7zXZ\0", "compressed with xz", "`xzcat {} | stream-app replay -`"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "`zstdcat {} | stream-app replay -`"),
    (b"\x04\x22\x4d\x18", "compressed with lz4", "`lz4cat {} | stream-app replay -`"),
    (b"\xff\x06\0\0sNaPpY", "compressed with snappy", "decompress it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "`7z x -so {} | stream-app replay -`"),
    (b"PAR1", "a Parquet file", "write its rows as JSON lines first"),
    (b"Obj\x01", "an Avro file", "write its records as JSON lines first"),
    (b"ORC", "an ORC file", "write its rows as JSON lines first"),
    (b"SQLite format 3\0", "a database of SQLite", "only `replay`, `check`, `explain` and `follow` read stores"),
)
#: Short marks, which text could begin with too, count only with a NUL byte or bad UTF-8 behind them.
_TEXT_LIKE = frozenset((b"BZh", b"PAR1", b"ORC"))
#: Where a tar archive has its mark.
_TAR_AT, _TAR = 257, b"ustar"

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = {b"\xff\xfe": "UTF-16LE", b"\xfe\xff": "UTF-16BE"}
_UTF32_MARKS = {b"\xff\xfe\0\0": "UTF-32LE", b"\0\0\xfe\xff": "UTF-32BE"}
#: The share of NUL bytes in every other byte from which text counts as UTF-16 without a mark.
_MOSTLY = 0.7


def unreadable(head: bytes, name: str, is_gzipped: bool = False) -> str | None:
    """What is wrong with a file that is no text in UTF-8.

    Parameters
    ----------
    head
        Its first `HEAD` bytes, decompressed if it is gzipped.
    name
        Its name, for the commands that convert it.
    is_gzipped
        Whether the file is a gzip archive of it.

    Returns
    -------
    str or None
        What it is and what to do; None for a file that may be text.

    Examples
    --------
    >>> unreadable(b"Obj\\x01\\x04\\x14avro.codec\\0", "events.avro")
    'is an Avro file; write its records as JSON lines first'
    >>> unreadable(b'{"time": "2026-03-01T12:34:56Z"}', "events.jsonl") is None
    True
    """
    encoding = _encoding(head)
    quoted = shlex.quote(name)
    if encoding is not None:
        hint = " (Windows PowerShell writes it)" if encoding == "UTF-16LE" else ""
        iconv = f"iconv -f {encoding} -t UTF-8"
        command = f"zcat {quoted} | {iconv} > utf8.jsonl" if is_gzipped else f"{iconv} {quoted} > utf8.jsonl"
        return f"is text in {encoding}{hint}, expected UTF-8; convert it: `{command}`"
    for mark, kind, remedy in _KINDS:
        if head.startswith(mark) and (mark not in _TEXT_LIKE or not _is_text(head)):
            return (
                f"is {kind}, gzipped; unpack it with gunzip first"
                if is_gzipped
                else f"is {kind}; {remedy.format(quoted)}"
            )
    if is_gzipped and head.startswith(b"\x1f\x8b"):
        return f"is gzipped twice; `zcat {quoted} | stream-app replay -`"
    if head[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR:
        return f"is a tar archive; unpack it first, or `tar -xOf {quoted} | stream-app replay -`"
    if b"\0" in head:
        foreign = foreign_format(head)
        if foreign is not None:
            return f"is {foreign}"
        return "is binary data; expected JSON lines, a JSON document or array, gzipped or not"
    return None


def byte_order_mark(head: bytes) -> int:
    """How many bytes of a mark of UTF-8 a text begins with: 3 or 0.

    Parameters
    ----------
    head
        Its first bytes.
    """
    return len(_UTF8_MARK) if head.startswith(_UTF8_MARK) else 0


def _is_text(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not just a character that ends after the head
            return False
    return b"\0" not in head


def _encoding(head: bytes) -> str | None:
    """The encoding of text in two or four bytes a character, by its mark or by where its NUL bytes are."""
    if head[:4] in _UTF32_MARKS:
        return _UTF32_MARKS[head[:4]]
    if b"\0" not in head:
        return None
    if head[:2] in _UTF16_MARKS:
        return _UTF16_MARKS[head[:2]]
    half = len(head) // 2
    for start, encoding in ((1, "UTF-16LE"), (0, "UTF-16BE")):
        if half and head[start::2].count(0) >= _MOSTLY * half and head[1 - start :: 2].count(0) <= (1 - _MOSTLY) * half:
            return encoding
    return None
