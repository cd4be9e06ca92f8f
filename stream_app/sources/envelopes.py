"""What events arrive in: CloudEvents are opened; formats that are not JSON are named.

A CloudEvent in structured mode is a JSON object with `specversion` and the event as `data`, or in base64 as
`data_base64`. In binary mode the message is the event itself, and nothing needs to be opened.
"""

from __future__ import annotations

import base64
import binascii

from stream_app.errors import MalformedEvent
from stream_app.sources.strict_json import shown
from stream_app.sources.tolerant_json import RAW, VALUE, scan

#: The attribute that every CloudEvent has, as it stands in its text.
MARK = b'"specversion"'
_ENVELOPE = {"specversion": VALUE, "data": RAW, "data_base64": VALUE}
_SPACE = b" \t\r\n"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
#: Fields that are looked at to recognise Protobuf, and the bytes of its fixed-size kinds.
_FIELDS, _SIZES = 20, {1: 8, 5: 4}

_AS_JSON = "send it as JSON in UTF-8"
_UNCOMPRESSED = f"{_AS_JSON}, and leave compression to the transport (Kafka's compression.type, or Content-Encoding)"
_SERIALIZER = "send plain JSON, with StringSerializer or JsonConverter (schemas.enable=false), not the serializer of a"
#: First bytes -> what they are the beginning of, and what to do.
_FORMATS = (
    (b"Obj\x01", "an Avro object container file", "send each record of it as JSON"),
    (b"\xc3\x01", "an Avro single-object message", f"{_AS_JSON}, not with an Avro encoder"),
    (b"\x1f\x8b", "compressed with gzip", _UNCOMPRESSED),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", _UNCOMPRESSED),
    (b"\x82SNAPPY\x00", "compressed with snappy", _UNCOMPRESSED),
    (b"\xff\x06\x00\x00sNaPpY", "compressed with snappy", _UNCOMPRESSED),
    (b"\x04\x22\x4d\x18", "compressed with lz4", _UNCOMPRESSED),
    (b"BZh", "compressed with bzip2", _UNCOMPRESSED),
    (b"\xfd7zXZ\x00", "compressed with xz", _UNCOMPRESSED),
    (b"PK\x03\x04", "a zip archive", _UNCOMPRESSED),
    (b"\xff\xfe\x00\x00", "UTF-32", _AS_JSON),
    (b"\x00\x00\xfe\xff", "UTF-32", _AS_JSON),
    (b"\xff\xfe", "UTF-16", _AS_JSON),
    (b"\xfe\xff", "UTF-16", _AS_JSON),
    (b"{\x00", "UTF-16", _AS_JSON),
    (b"\x00{", "UTF-16", _AS_JSON),
    (b"\x80\x01\x00", "a Thrift message (binary protocol)", f"{_AS_JSON}, not with a Thrift serializer"),
    (b"\x82\x21", "a Thrift message (compact protocol)", f"{_AS_JSON}, not with a Thrift serializer"),
    (b"\x82\x41", "a Thrift message (compact protocol)", f"{_AS_JSON}, not with a Thrift serializer"),
    (b"\x0b\x00\x01", "a Thrift struct (binary protocol)", f"{_AS_JSON}, not with a Thrift serializer"),
    (b"\x0c\x00\x01", "a Thrift struct (binary protocol)", f"{_AS_JSON}, not with a Thrift serializer"),
    (b"\xac\xed\x00\x05", "a serialized Java object", f"{_AS_JSON}, not with Java's serialization"),
    (b"PAR1", "a Parquet file", "send each row of it as JSON"),
)


def opened(message: bytes) -> bytes:
    """The event in a CloudEvent of structured mode; any other message as it is, without a byte order mark.

    Parameters
    ----------
    message
        The message.

    Returns
    -------
    bytes
        The event's bytes.

    Raises
    ------
    MalformedEvent
        It is a CloudEvent without data, or it cannot be read.

    Examples
    --------
    >>> opened(b'{"specversion": "1.0", "data": {"pipeline": "ads"}}'), opened(b'{"pipeline": "ads"}')
    (b'{"pipeline": "ads"}', b'{"pipeline": "ads"}')
    """
    message = message.removeprefix(_BYTE_ORDER_MARK)
    if MARK not in message or message.lstrip(_SPACE)[:1] != b"{":
        return message
    envelope, _ = scan(message, _ENVELOPE)
    if type(envelope.get("specversion")) is not str:
        return message
    data = envelope.get("data", b"null")
    if data[:1] == b'"':
        text, _ = scan(b'{"data":%s}' % data, {"data": VALUE})
        return str(text["data"]).encode("utf-8", "surrogateescape")
    if data != b"null":
        return bytes(data)
    encoded = envelope.get("data_base64")
    if encoded is None:
        raise MalformedEvent("data: missing, expected the event as the data of the CloudEvent")
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)  # MIME's base64 has lines
    except (binascii.Error, AttributeError, ValueError):
        raise MalformedEvent(f"data_base64: expected base64, got {shown(encoded)}") from None


def foreign_format(message: bytes) -> str | None:
    """Names the format of a message that is not JSON, and what its sender should do.

    Parameters
    ----------
    message
        A message that could not be read as JSON.

    Returns
    -------
    str or None
        A reason for a person; None for an unknown format.

    Examples
    --------
    >>> foreign_format(b"PAR1")
    'a Parquet file, which is not read here: send each row of it as JSON'
    """
    for start, name, advice in _FORMATS:
        if message.startswith(start):
            return f"{name}, which is not read here: {advice}"
    if len(message) > 5 and message[0] == 0 and any(message[1:5]):
        schema = int.from_bytes(message[1:5], "big")
        return f"framed for a Schema Registry (schema {schema}), which is not read here: {_SERIALIZER} Schema Registry"
    if _is_protobuf(message):
        return f"perhaps a Protobuf message, which is not read here: {_AS_JSON}, not with a Protobuf serializer"
    return None


def _is_protobuf(message: bytes) -> bool:
    """Whether a message begins with fields as Protobuf writes them, the first of them with the number 1."""
    if message[:1] not in (b"\x08", b"\x0a"):
        return False
    at = 0
    for _ in range(_FIELDS):
        tag, at = _varint(message, at)
        kind = tag & 7
        size, at = _varint(message, at) if kind in (0, 2) else (_SIZES.get(kind, -1), at)
        at += size if kind else 0
        if tag < 8 or size < 0 or not 0 < at <= len(message):
            return False
        if at == len(message):
            break
    return True


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number and the offset behind it; the offset is -1 when there is none."""
    value = 0
    for shift in range(0, 70, 7):
        if not 0 <= at < len(message):
            break
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
    return -1, -1
