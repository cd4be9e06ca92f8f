"""Asks the HTTP service, for the commands that change it. Its errors become one line."""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from stream_app.cli.flags import DEFAULT_URL, TOKEN_VARIABLE
from stream_app.errors import OptionsError, StreamAppError

_TIMEOUT_SECONDS = 60.0
_HINTS = {
    401: f"; set {TOKEN_VARIABLE} or give --token-file",
    429: "; try again later",
}


class ServiceError(StreamAppError):
    """The service refused a request, or did not answer it; exit code 1.

    Parameters
    ----------
    message
        One line for a person.
    status
        The status of the answer; None: there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would take the token elsewhere."""

    def redirect_request(self, *_: Any) -> None:
        """Follows none."""


class Service:
    """The HTTP service.

    Parameters
    ----------
    url
        Its address.
    token_file
        A file with its token; None: the token is in the environment, if there is one.

    Raises
    ------
    OptionsError
        The address is none, or the token cannot be read.
    """

    def __init__(self, url: str, token_file: Path | None = None) -> None:
        self._url = _checked(url)
        self._token = _token(token_file)
        # A proxy of the environment is for other machines.
        local = urlsplit(self._url).hostname in ("localhost", "127.0.0.1", "::1")
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(_NoRedirects(), *proxies)

    def get(self, path: str, **query: object) -> Any:
        """The answer to GET; see `call`."""
        given = [(name, value) for name, value in query.items() if value is not None]
        return self.call("GET", f"{path}?{urlencode(given, doseq=True)}" if given else path)

    def is_there(self) -> bool:
        """Whether stream-app serves at the address, and no other server; the token is not sent.

        Raises
        ------
        ServiceError
            There is no answer.
        """
        request = urllib.request.Request(f"{self._url}/livez?verbose")
        try:
            with self._answered(), self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
                found = json.loads(response.read(65_536))
        except ServiceError as error:
            if error.status is None:
                raise
            return False
        except ValueError:
            return False
        return isinstance(found, dict) and type(found.get("ok")) is bool

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Makes a request.

        Parameters
        ----------
        method, path
            Of the request; the path begins with a slash, and its parts are quoted.
        body
            A JSON value; None: there is no body.

        Returns
        -------
        object
            The JSON value of the answer; None where it is empty.

        Raises
        ------
        ServiceError
            The service refused it, or did not answer.
        """
        request = self._request(method, path, "application/json")
        if body is not None:
            request.data = json.dumps(body).encode()
            kind = "merge-patch+json" if method == "PATCH" else "json"
            request.add_header("Content-Type", f"application/{kind}")
        with self._answered(), self._opener.open(request, timeout=_TIMEOUT_SECONDS) as response:
            content = response.read()
        try:
            return json.loads(content) if content.strip() else None
        except ValueError:
            raise ServiceError(f"{self._url} answers with something else than JSON; is it stream-app serve?") from None

    def events(self, path: str, last: str | None) -> http.client.HTTPResponse:
        """Opens a stream of server-sent events.

        Parameters
        ----------
        path
            Of the stream, with its query.
        last
            The id of the last event that is there already; None: from now on.

        Returns
        -------
        http.client.HTTPResponse
            The answer, of which nothing is read yet.

        Raises
        ------
        ServiceError
            As of `call`.
        """
        request = self._request("GET", path, "text/event-stream")
        if last is not None:
            request.add_header("Last-Event-ID", last)
        response: http.client.HTTPResponse
        with self._answered():
            response = self._opener.open(request, timeout=_TIMEOUT_SECONDS)
        if response.headers.get_content_type() != "text/event-stream":
            response.close()
            raise ServiceError(f"{self._url} answers with something else than events; is it stream-app serve?", 404)
        return response

    def _request(self, method: str, path: str, accepted: str) -> urllib.request.Request:
        request = urllib.request.Request(f"{self._url}{path}", method=method)
        request.add_header("Accept", accepted)
        if self._token is not None:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        return request

    @contextmanager
    def _answered(self) -> Iterator[None]:
        """Raises ServiceError where a request is refused or not answered."""
        try:
            yield
        except urllib.error.HTTPError as error:
            self._refused(error)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"cannot reach the service at {self._url}: {_named(error)}") from None

    def _refused(self, error: urllib.error.HTTPError) -> NoReturn:
        status = error.code
        if 300 <= status < 400:
            leads = error.headers.get("Location", "elsewhere")
            raise ServiceError(f"{self._url} redirects to {leads[:200]}; give that address instead", status)
        try:
            said = json.loads(error.read(65_536))
            detail = said["detail"] if isinstance(said["detail"], str) else said["title"]
        except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
            detail = f"HTTP {status} {error.reason}"
        raise ServiceError(f"{detail}{_HINTS.get(status, '')}", status) from None


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not url.isprintable() or " " in url:
        raise OptionsError(f"{url[:200]}: expected an address such as {DEFAULT_URL}")
    if parts.username is not None or parts.query or parts.fragment:
        raise OptionsError("expected the address of a service without a login, a query or a fragment")
    return url.rstrip("/")


def _token(file: Path | None) -> str | None:
    from stream_app.options import read_secret

    if file is not None:
        token, where = read_secret(None, file, "--token-file"), f"--token-file {file}"
    else:
        token, where = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
        if not token:
            return None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise OptionsError(f"{where}: expected a token of printable characters in one line")
    return token


def _named(error: Exception) -> str:
    """Why there was no answer, in words."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ConnectionRefusedError):
        return (
            "nobody listens there; start stream-app serve (beside workers: stream-app notify), or give another address"
        )
    if isinstance(cause, socket.gaierror):
        return "there is no host of this name"
    if isinstance(cause, TimeoutError):
        return f"no answer within {_TIMEOUT_SECONDS:g} s"
    if isinstance(cause, ssl.SSLError):
        return f"TLS: {cause.reason or cause}"
    if isinstance(cause, http.client.HTTPException):
        return "it does not speak HTTP there"
    return str(getattr(cause, "strerror", None) or cause or type(error).__name__)
