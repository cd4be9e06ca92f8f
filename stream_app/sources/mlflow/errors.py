"""What a tracking server's refusals mean to the people who read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stream_app.errors import OptionsError, StreamAppError

if TYPE_CHECKING:
    from mlflow.exceptions import MlflowException

_LOGIN = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_REFUSED = {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "PERMISSION_DENIED"}
#: Characters of a server's own words that are shown: a proxy answers with whole pages.
_SHOWN = 300


class TrackingUnavailable(StreamAppError):  # noqa: N818 - it names a state, which may pass
    """The tracking server does not answer, or refuses. The cursor has not moved; try again."""


def unavailable(error: MlflowException) -> StreamAppError:
    """The error for a person that an error of MLflow's client is.

    Parameters
    ----------
    error
        The error.

    Returns
    -------
    StreamAppError
        OptionsError where another attempt would fail in the same way, since the login is refused; else
        TrackingUnavailable.
    """
    text = " ".join(str(error.message).split())
    said = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    if error.error_code in _REFUSED:
        return OptionsError(f"MLflow refuses the login: set {_LOGIN}: {said}")
    # MLflow names the code of each of its errors; what has none is from something in front of it, or instead of it.
    answer = getattr(error, "json", None)
    if isinstance(answer, dict) and answer.get("error_code") != error.error_code:
        return TrackingUnavailable(
            f"MLflow: {said}; what answers is no tracking server, or a proxy before it: check the address, and if it "
            f"wants a login set {_LOGIN}"
        )
    if error.error_code == "ENDPOINT_NOT_FOUND" or "not in a valid JSON format" in text:
        return TrackingUnavailable(f"MLflow: {said}; is this the address of a tracking server?")
    return TrackingUnavailable(f"MLflow: {said}")
