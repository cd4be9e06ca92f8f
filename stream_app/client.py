"""`should I go on?`, asked by a pipeline. It fails open: whatever goes wrong, the answer is to go on.

Only the standard library is used. The whole question takes no longer than its time-out, name resolution and slow
answers included; trouble is logged as a warning once in the life of the process.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import urllib.request
from typing import Any
from urllib.parse import urlencode

log = logging.getLogger(__name__)

#: Where the service is, and its token, as OpenLineage's own clients are told.
URL_VARIABLE, TOKEN_VARIABLE = "OPENLINEAGE_URL", "OPENLINEAGE_API_KEY"

#: Bytes of an answer that are read.
_ANSWER_MAX = 65_536

_warned = threading.Event()


def should_prune(
    run_id: str,
    *,
    execution: str | None = None,
    url: str | None = None,
    token: str | None = None,
    timeout: float = 1.0,
) -> bool:
    """Whether a run should stop: its training is not worth its compute by the verdicts so far.

    True only where flags are enforced and the flagged run is not held out. False also when the service does not
    answer in time, refuses, or answers nonsense.

    Parameters
    ----------
    run_id
        The pipeline run, as its events name it.
    execution
        The trainer in it that asks; None: all of its trainers must be flagged.
    url, token
        Of the service; if not given, `OPENLINEAGE_URL` and `OPENLINEAGE_API_KEY` of the environment.
    timeout
        Seconds after which the run goes on without an answer.
    """
    return pruning_verdict(run_id, execution=execution, url=url, token=token, timeout=timeout) is not None


def pruning_verdict(
    run_id: str,
    *,
    execution: str | None = None,
    url: str | None = None,
    token: str | None = None,
    timeout: float = 1.0,
) -> str | None:
    """The id of the verdict for which a run should stop, or None; parameters as of `should_prune`.

    Who stops says so in its last event (`prunedBy`), or its run would be learned from as one that failed.
    """
    answers: list[Any] = []

    def ask() -> None:
        try:
            answers.append(_ask(run_id, execution, url, token, timeout))
        except Exception as error:  # whatever it is, it must not stop a training
            answers.append(error)

    asking = threading.Thread(target=ask, name="should-prune", daemon=True)
    asking.start()
    asking.join(timeout)
    answer = answers[0] if answers else TimeoutError(f"no answer within {timeout:g} s")
    if isinstance(answer, Exception):
        _warn(answer)
        return None
    return str(answer) if answer is not None else None


def _ask(run_id: str, execution: str | None, url: str | None, token: str | None, timeout: float) -> str | None:
    base = url or os.environ.get(URL_VARIABLE)
    if not base:
        raise ValueError(f"no url given, and {URL_VARIABLE} is not set")
    if not base.startswith(("http://", "https://")):
        raise ValueError(f"not the address of a service: {base[:80]!r}")
    query = {"run": run_id} | ({"execution": execution} if execution is not None else {})
    request = urllib.request.Request(f"{base.rstrip('/')}/v1/should-prune?{urlencode(query)}")
    secret = token or os.environ.get(TOKEN_VARIABLE)
    if secret:
        request.add_unredirected_header("Authorization", f"Bearer {secret}")
    with urllib.request.urlopen(request, timeout=timeout) as response:
        answer = json.loads(response.read(_ANSWER_MAX))
    if not isinstance(answer, dict) or not isinstance(answer.get("prune"), bool):
        raise ValueError("the answer is none of this service")
    if not answer["prune"]:
        return None
    if not isinstance(answer.get("verdict"), str):
        raise ValueError("the answer names no verdict")
    return str(answer["verdict"])


def _warn(error: Exception) -> None:
    """Says once that nobody answers; afterwards only for those who look closely."""
    level = logging.DEBUG if _warned.is_set() else logging.WARNING
    _warned.set()
    log.log(level, "should_prune has no answer, the run goes on: %s: %s", type(error).__name__, error)
