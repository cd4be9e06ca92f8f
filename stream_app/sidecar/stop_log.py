"""Tells in the log of a run why it should stop."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stream_app.core.features.descriptions import describe

log = logging.getLogger(__name__)


class StopLog:
    """Writes a line for each verdict by which a run should stop.

    Parameters
    ----------
    path
        Where it is appended, such as a file that the training writes too; None: standard error.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def stop(self, question: Mapping[str, str], answer: Mapping[str, Any]) -> None:
        """Writes the line of an answer.

        Parameters
        ----------
        question
            Which run it is, as of `/v1/should-prune`.
        answer
            The answer of the service, which says that the run should stop.
        """
        line = stop_line(question, answer)
        if self._path is None:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")
        except OSError as error:
            log.warning("%s cannot be written: %s", self._path, error.strerror or error)
            log.warning("%s", line)


def stop_line(question: Mapping[str, str], answer: Mapping[str, Any]) -> str:
    """Why a run should stop, in one line.

    Parameters
    ----------
    question, answer
        As of `StopLog.stop`.

    Returns
    -------
    str
        The line. Names of runs are shown with escapes where they have characters that a terminal would act on.

    Examples
    --------
    >>> stop_line({"run": "r7"}, {"p_push": 0.012, "why": [], "verdict": "p/t@train"})
    "stream-app: run 'r7' should stop: its model is pushed with a chance of 1.2 % (verdict 'p/t@train')"
    """
    name, value = ("execution", question["execution"]) if "execution" in question else ("run", question.get("run", ""))
    chance, why = answer.get("p_push"), answer.get("why")
    said = f"stream-app: {name} {value!a} should stop: its model is pushed with a chance of "
    said += f"{100 * chance:.1f} %" if isinstance(chance, int | float) else "next to nothing"
    reasons = [words for each in (why if isinstance(why, list) else []) if (words := _reason(each))]
    if reasons:
        said += f", because of {', '.join(reasons)}"
    return f"{said} (verdict {answer.get('verdict')!a})"


def _reason(reason: Any) -> str:
    """One reason against a push; "" for one that speaks for it, or that is not known here."""
    try:
        feature, value, effect = reason["feature"], float(reason["value"]), float(reason["effect"])
        return describe(str(feature), value) if effect < 0 else ""
    except (KeyError, TypeError, ValueError, OverflowError):
        return ""
