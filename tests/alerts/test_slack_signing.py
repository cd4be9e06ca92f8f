"""Signatures of Slack's requests: the one that Slack prints, and nothing that is changed, old, or sent again."""

from __future__ import annotations

import pytest

from stream_app.alerts.slack_signing import TOLERANCE_SECONDS, SlackRequests, SlackSignatureError

#: The example of Slack's documentation; its own SDK signs it alike.
SECRET, TIME = "8f742231b10e8888abcd99yyyzzz85a5", 1_531_420_618
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
SIGNATURE = "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"


def test_the_example_of_the_documentation() -> None:
    """It is signed alike, and accepted."""
    requests = SlackRequests(SECRET)

    assert requests.sign(str(TIME), BODY) == SIGNATURE
    requests.check(str(TIME), SIGNATURE, BODY, TIME)


@pytest.mark.parametrize("away", [-TOLERANCE_SECONDS, 0, TOLERANCE_SECONDS])
def test_a_clock_may_differ_by_five_minutes(away: float) -> None:
    """To either side."""
    SlackRequests(SECRET).check(str(TIME), SIGNATURE, BODY, TIME + away)


@pytest.mark.parametrize(
    ("timestamp", "signature", "body", "now", "says"),
    [
        (None, SIGNATURE, BODY, TIME, "missing"),
        (str(TIME), None, BODY, TIME, "missing"),
        ("", SIGNATURE, BODY, TIME, "missing"),
        ("soon", SIGNATURE, BODY, TIME, "no number"),
        ("1531420618.5", SIGNATURE, BODY, TIME, "no number"),
        ("-1531420618", SIGNATURE, BODY, TIME, "no number"),
        ("\u0661531420618", SIGNATURE, BODY, TIME, "no number"),
        ("1" * 400, SIGNATURE, BODY, TIME, "no number"),
        (str(TIME), SIGNATURE, BODY, TIME + TOLERANCE_SECONDS + 1, "301 s away"),
        (str(TIME), SIGNATURE, BODY, TIME - TOLERANCE_SECONDS - 1, "301 s away"),
        (str(TIME + 1), SIGNATURE, BODY, TIME, "does not hold"),
        (str(TIME), SIGNATURE, BODY + b"&", TIME, "does not hold"),
        (str(TIME), SIGNATURE, b"", TIME, "does not hold"),
        (str(TIME), SIGNATURE.removeprefix("v0="), BODY, TIME, "does not hold"),
        (str(TIME), SIGNATURE.replace("v0", "v1"), BODY, TIME, "does not hold"),
        (str(TIME), SIGNATURE.upper(), BODY, TIME, "does not hold"),
        (str(TIME), SIGNATURE[:-1], BODY, TIME, "does not hold"),
        (str(TIME), f"{SIGNATURE} ", BODY, TIME, "does not hold"),
        (str(TIME), "v0=\u00e9", BODY, TIME, "does not hold"),
        (str(TIME), SlackRequests("another secret").sign(str(TIME), BODY), BODY, TIME, "does not hold"),
    ],
)
def test_what_is_refused(timestamp: str | None, signature: str | None, body: bytes, now: float, says: str) -> None:
    """With what is wrong, and without what was sent."""
    with pytest.raises(SlackSignatureError, match=says) as refused:
        SlackRequests(SECRET).check(timestamp, signature, body, now)

    assert SIGNATURE not in str(refused.value)


def test_a_request_is_accepted_once() -> None:
    """For as long as its time would pass; what was refused may be sent rightly."""
    requests = SlackRequests(SECRET)
    with pytest.raises(SlackSignatureError, match="does not hold"):
        requests.check(str(TIME), SIGNATURE, b"changed", TIME)

    requests.check(str(TIME), SIGNATURE, BODY, TIME - TOLERANCE_SECONDS)

    for now in (TIME, TIME + TOLERANCE_SECONDS):
        with pytest.raises(SlackSignatureError, match="seen before"):
            requests.check(str(TIME), SIGNATURE, BODY, now)
