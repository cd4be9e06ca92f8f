"""Asks the service whether a run should stop. It fails open: whatever goes wrong, the answer is to continue.

It uses only the standard library. The whole request takes no longer than its time-out, name resolution and slow
answers included. Errors are logged as a warning, once for each kind in the life of the process.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

log = logging.getLogger(__name__)

#: The variables with the service's address and token; OpenLineage's own clients read the same ones.
URL_VARIABLE, TOKEN_VARIABLE = "OPENLINEAGE_URL", "OPENLINEAGE_API_KEY"

#: The most bytes of an answer that are read.
_ANSWER_MAX = 65_536

#: The kinds of errors for which a warning was logged.
_warned: set[str] = set()


def should_prune(
    run: str | None = None,
    *,
    pipeline: str | None = None,
    execution: str | None = None,
    url: str | None = None,
    token: str | None = None,
    timeout: float = 1.0,
) -> bool:
    """Asks whether a run should stop because, by the verdicts so far, its training is not worth its compute.

    Parameters
    ----------
    run
        The pipeline run, as its events name it. A trainer that is in no run gives its own id, here or as `execution`.
    pipeline
        The pipeline, as the detector names it. Give it wherever run ids are not unique: without it, the service rejects
        only ids that it knows of several pipelines, and the run then goes on.
    execution
        The trainer that asks; None: all trainers of the run must be flagged. Without `run` it is enough by itself, with
        `pipeline` where execution ids are not unique.
    url, token
        The service's address and token; by default `OPENLINEAGE_URL` and `OPENLINEAGE_API_KEY` of the environment.
    timeout
        Seconds after which the run continues without an answer.

    Returns
    -------
    bool
        True only where flags are enforced and the flagged run is not held out. False also when it is not clear which
        run asks, or when the service does not answer in time, refuses, or gives an invalid answer.
    """
    verdict = pruning_verdict(run, pipeline=pipeline, execution=execution, url=url, token=token, timeout=timeout)
    return verdict is not None


def pruning_verdict(
    run: str | None = None,
    *,
    pipeline: str | None = None,
    execution: str | None = None,
    url: str | None = None,
    token: str | None = None,
    timeout: float = 1.0,
) -> str | None:
    """Asks for the verdict for which a run should stop.

    A run that stops must report the verdict in its last event (`prunedBy`); else the learner takes it for a failed run.

    Parameters
    ----------
    run, pipeline, execution, url, token, timeout
        As of `should_prune`.

    Returns
    -------
    str or None
        The id of the verdict; None when the run should continue.
    """
    answers: list[Any] = []
    asked = {"run": run, "pipeline": pipeline, "execution": execution}
    query = {name: value for name, value in asked.items() if value is not None}

    def ask() -> None:
        try:
            answers.append(_ask(query, url, token, timeout))
        except Exception as error:  # whatever it is, it must not stop a training
            answers.append(error)

    try:
        asking = threading.Thread(target=ask, name="should-prune", daemon=True)
        asking.start()
        asking.join(timeout)
        answer = answers[0] if answers else TimeoutError(f"no answer within {timeout:g} s")
    except Exception as error:  # no thread to be had, or a time-out that is none
        answer = error
    if isinstance(answer, Exception):
        _warn(answer)
        return None
    return str(answer) if answer is not None else None


def _ask(query: dict[str, str], url: str | None, token: str | None, timeout: float) -> str | None:
    if "run" not in query and "execution" not in query:
        raise ValueError("neither a run nor an execution is given")
    base = url or os.environ.get(URL_VARIABLE)
    if not base:
        raise ValueError(f"no url given, and {URL_VARIABLE} is not set")
    if not base.startswith(("http://", "https://")):
        raise ValueError(f"not the address of a service: {base[:80]!r}")
    request = urllib.request.Request(f"{base.rstrip('/')}/v1/should-prune?{urlencode(query)}")
    secret = token or os.environ.get(TOKEN_VARIABLE)
    if secret:
        request.add_unredirected_header("Authorization", f"Bearer {secret}")
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:
            answer = json.loads(response.read(_ANSWER_MAX))
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.CONFLICT:
            raise
        asked = f"a run {query['run']!r}" if "run" in query else f"an execution {query['execution']!r}"
        raise ValueError(f"more than one pipeline has {asked}: give pipeline= as well") from error
    if not isinstance(answer, dict) or not isinstance(answer.get("prune"), bool):
        raise ValueError("the answer is none of this service")
    if not answer["prune"]:
        return None
    if not isinstance(answer.get("verdict"), str):
        raise ValueError("the answer names no verdict")
    return str(answer["verdict"])


def _warn(error: Exception) -> None:
    """Logs a warning for the first error of a kind, and further ones at level DEBUG."""
    kind = type(error).__name__
    level = logging.DEBUG if kind in _warned else logging.WARNING
    _warned.add(kind)
    log.log(level, "should_prune has no answer, the run goes on: %s: %s", kind, error)
