"""Signatures of Slack's requests, version `v0`: HMAC-SHA256 over time and body.

References
----------
https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict

#: Seconds by which the time of a request may differ from this machine's.
TOLERANCE_SECONDS = 300
_TIME = re.compile(r"[0-9]{1,12}\Z")
#: Signatures that are remembered at one time.
_SEEN_MAX = 100_000


class SlackSignatureError(ValueError):
    """A request is not signed as it should be, or was seen before. The message quotes nothing of it."""


class SlackRequests:
    """Checks requests, each of which is accepted once.

    Parameters
    ----------
    secret
        The signing secret of the Slack app.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        #: Signature -> until when it is remembered, in seconds since 1970 UTC.
        self._seen: OrderedDict[str, float] = OrderedDict()

    def check(self, timestamp: str | None, signature: str | None, body: bytes, now: float) -> None:
        """Checks a request.

        Parameters
        ----------
        timestamp, signature
            Its headers `X-Slack-Request-Timestamp` and `X-Slack-Signature`; None: it has none.
        body
            The body, byte by byte as it was sent.
        now
            Seconds since 1970 UTC.

        Raises
        ------
        SlackSignatureError
            A header is missing, the time is too far away, the signature does not hold, or it was seen before.
        """
        if not timestamp or not signature:
            raise SlackSignatureError("the signature of Slack is missing")
        if not _TIME.match(timestamp):
            raise SlackSignatureError("the time of the request is no number of seconds")
        if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
            raise SlackSignatureError(f"the request is {abs(now - int(timestamp)):,.0f} s away from the present")
        if not hmac.compare_digest(self.sign(timestamp, body).encode(), signature.encode(errors="replace")):
            raise SlackSignatureError("the signature does not hold: another signing secret, or a changed body")
        while self._seen and (len(self._seen) >= _SEEN_MAX or next(iter(self._seen.values())) < now):
            self._seen.popitem(last=False)
        if signature in self._seen:
            raise SlackSignatureError("the request was seen before")
        self._seen[signature] = now + 2 * TOLERANCE_SECONDS

    def sign(self, timestamp: str, body: bytes) -> str:
        """The signature of a request.

        Parameters
        ----------
        timestamp, body
            As of `check`.
        """
        content = b"v0:%s:%s" % (timestamp.encode(), body)
        return f"v0={hmac.new(self._secret, content, hashlib.sha256).hexdigest()}"
