"""Signatures of Standard Webhooks: as its reference makes them, and nothing else holds."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from stream_app.alerts.signing import (
    KEY_MAX,
    KEY_MIN,
    TOLERANCE_SECONDS,
    SignatureError,
    headers,
    key_of,
    make_secret,
    sign,
    verify,
)

SECRET, TIME, BODY = make_secret(), 1_780_000_000, b'{"a":1}'


def test_the_vector_of_the_specification() -> None:
    """The one signature that the specification prints."""
    made = sign(
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )

    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(max_size=200), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40))
def test_the_package_of_receivers_signs_alike(body: bytes, message_id: str) -> None:
    """Whatever the body."""
    text = body.decode("latin-1")
    theirs = standardwebhooks.Webhook(SECRET).sign(message_id, datetime.fromtimestamp(TIME, UTC), text)

    assert sign(SECRET, message_id, TIME, text.encode()) == theirs


@pytest.mark.parametrize(
    "wrong",
    ["", "whsec_", "secret", base64.b64encode(b"a" * 32).decode(), "whsec_***", "whsec_" + "A" * 31,
     "WHSEC_" + base64.b64encode(b"a" * 32).decode(), "whsec_" + base64.b64encode(b"a" * (KEY_MIN - 1)).decode(),
     "whsec_" + base64.b64encode(b"a" * (KEY_MAX + 1)).decode(), "whsec_ä" + "A" * 32, "whsec_" + "A" * 32 + "\n"],
)  # fmt: skip
def test_what_is_no_secret_is_refused(wrong: str) -> None:
    """Without being repeated."""
    with pytest.raises(SignatureError) as error:
        key_of(wrong)

    assert len(wrong) < 8 or wrong not in str(error.value)


@pytest.mark.parametrize("length", [KEY_MIN, 32, KEY_MAX])
def test_keys_of_the_lengths_of_the_specification_are_taken(length: int) -> None:
    """24 to 64 bytes."""
    assert len(key_of("whsec_" + base64.b64encode(b"k" * length).decode())) == length


def test_made_secrets_differ() -> None:
    """And have 32 bytes."""
    assert len({make_secret() for _ in range(100)}) == 100
    assert len(key_of(make_secret())) == 32


@pytest.mark.parametrize("age", [0, TOLERANCE_SECONDS, -TOLERANCE_SECONDS])
def test_a_message_of_ours_holds(age: int) -> None:
    """Also with the secret before a rotation, within the tolerance of either side."""
    former = make_secret()
    made = headers([SECRET, former], "m", TIME, BODY)

    for secret in (SECRET, former):
        verify(secret, made, BODY, TIME + age)


@pytest.mark.parametrize(
    ("changed", "body", "now", "says"),
    [
        ({"webhook-id": ""}, BODY, TIME, "webhook-id is missing"),
        ({"webhook-timestamp": ""}, BODY, TIME, "webhook-timestamp is missing"),
        ({"webhook-signature": ""}, BODY, TIME, "webhook-signature is missing"),
        ({"webhook-timestamp": "1e9"}, BODY, TIME, "no number of seconds"),
        ({"webhook-timestamp": "-5"}, BODY, TIME, "no number of seconds"),
        ({"webhook-timestamp": "١٧٨"}, BODY, TIME, "no number of seconds"),
        ({"webhook-timestamp": "9" * 5_000}, BODY, TIME, "no number of seconds"),
        ({}, BODY, TIME + TOLERANCE_SECONDS + 1, "away from the present"),
        ({}, BODY, TIME - TOLERANCE_SECONDS - 1, "away from the present"),
        ({}, BODY + b" ", TIME, "no signature"),
        ({}, b"", TIME, "no signature"),
        ({"webhook-id": "n"}, BODY, TIME, "no signature"),
        ({"webhook-timestamp": str(TIME + 1)}, BODY, TIME, "no signature"),
        ({"webhook-signature": "v1,"}, BODY, TIME, "no signature"),
        ({"webhook-signature": "v1a," + "A" * 44}, BODY, TIME, "no signature"),
        ({"webhook-signature": "ä ö " * 1_000}, BODY, TIME, "no signature"),
    ],
)
def test_what_was_changed_does_not_hold(changed: dict[str, str], body: bytes, now: float, says: str) -> None:
    """With the reason, and without the secret or the signature that would hold."""
    made = headers([SECRET], "m", TIME, BODY)

    with pytest.raises(SignatureError, match=says) as error:
        verify(SECRET, {**made, **changed}, body, now)

    assert SECRET not in str(error.value)
    assert made["webhook-signature"] not in str(error.value)


def test_another_secret_does_not_hold() -> None:
    """Of another subscription."""
    with pytest.raises(SignatureError, match="another secret"):
        verify(make_secret(), headers([SECRET], "m", TIME, BODY), BODY, TIME)
