"""Signatures of webhooks as Standard Webhooks defines them, version 1: HMAC-SHA256 over id, time and body.

References
----------
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping

#: How a secret begins, and the bytes of its key.
PREFIX, KEY_MIN, KEY_MAX = "whsec_", 24, 64
#: Seconds by which the time of a message may differ from the receiver's.
TOLERANCE_SECONDS = 300

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"


class SignatureError(ValueError):
    """A message is not signed as it should be. The message says what is wrong, without the secret."""


def make_secret() -> str:
    """A new secret with a key of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """The key in a secret.

    Parameters
    ----------
    secret
        `whsec_` and the key in base64.

    Returns
    -------
    bytes
        24 to 64 bytes.

    Raises
    ------
    SignatureError
        It is no such secret.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not KEY_MIN <= len(key) <= KEY_MAX:
        raise SignatureError(f"expected {PREFIX} and {KEY_MIN} to {KEY_MAX} bytes in base64")
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Signs a message.

    Parameters
    ----------
    secret
        The secret of the subscription.
    message_id, timestamp
        The values of the headers `webhook-id` and `webhook-timestamp` (seconds since 1970 UTC).
    body
        The body.

    Returns
    -------
    str
        A signature such as `v1,K5oZ...`.
    """
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    digest = hmac.new(key_of(secret), content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def headers(keys: Iterable[str], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a signed message.

    Parameters
    ----------
    keys
        The secrets that are valid now: after a rotation the former one for a while too.
    message_id, timestamp, body
        As of `sign`.
    """
    signatures = " ".join(sign(secret, message_id, timestamp, body) for secret in keys)
    return {ID: message_id, TIMESTAMP: str(timestamp), SIGNATURE: signatures}


def verify(secret: str, given: Mapping[str, str], body: bytes, now: float) -> None:
    """Checks a message.

    Parameters
    ----------
    secret
        The secret of the subscription.
    given
        The headers of the message; their names in lower case.
    body
        The body.
    now
        Seconds since 1970 UTC.

    Raises
    ------
    SignatureError
        A header is missing, the time is too far away, or no signature holds.
    """
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not given.get(name)]
    if missing:
        raise SignatureError(f"the header {missing[0]} is missing")
    text = given[TIMESTAMP]
    if not (text.isascii() and text.isdigit() and len(text) <= 12):
        raise SignatureError(f"the header {TIMESTAMP} is no number of seconds")
    timestamp = int(text)
    if abs(now - timestamp) > TOLERANCE_SECONDS:
        raise SignatureError(f"the message is {abs(now - timestamp):,.0f} s away from the present")
    expected = sign(secret, given[ID], timestamp, body)
    # Each is compared in full, so that the time tells nothing about where they differ.
    found = [hmac.compare_digest(each.encode(), expected.encode()) for each in given[SIGNATURE].split()]
    if not any(found):
        raise SignatureError("no signature of the message holds: another secret, or a changed body")
