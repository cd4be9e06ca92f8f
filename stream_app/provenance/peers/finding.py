"""Finds what a name names among the pipelines of all peers."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from stream_app.provenance.names import NOT_FOUND, Candidates, Target, all_candidates, ambiguous, unknown
from stream_app.provenance.peers.answering import NAME_MAX
from stream_app.provenance.peers.entities import read_target
from stream_app.provenance.peers.errors import MovedError
from stream_app.provenance.peers.fields import NUMBER_MAX, flag, listed, number, texts, wrong
from stream_app.provenance.peers.rounds import AT, Peers
from stream_app.provenance.similar import NAME_SHOWN, SHOWN, Similar, merged


async def find_over(peers: Peers, name: str) -> Target:
    """Finds what a name names, and keeps which peer has it; errors as of `names.find`.

    Parameters
    ----------
    peers
        Have the pipelines.
    name
        The full name, or an id as it is.

    Returns
    -------
    Target
        An execution of group run stands for its run.
    """
    found: list[tuple[int, Candidates, Target | None]] = []
    if len(name) <= NAME_MAX and _is_utf8(name):  # otherwise it names nothing
        answers = await peers.ask(peers.everyone({"ask": "find", "name": name}))
        found = [(peer, *_read(answer)) for peer, answer in answers]
    everywhere = all_candidates(each for _, each, _ in found)
    if not everywhere.number:
        raise unknown(name, await _similar(peers, name))
    for one, other in pairwise(everywhere.targets):
        if one == other:
            raise MovedError(f"pipeline {one.pipeline} moves from one process to another")
    [(peer, _, only), *others] = [each for each in found if each[1].reading == everywhere.reading]
    if only is None or others:
        raise ambiguous(name, everywhere)
    peers.owns(peer, only.pipeline)
    return only


def _read(answer: dict[str, Any]) -> tuple[Candidates, Target | None]:
    """What a peer has of a name, and what the name names there if it names one thing."""
    reading = number(answer, "reading", AT, 0, NOT_FOUND)
    most = 0 if reading == NOT_FOUND else NUMBER_MAX
    count = number(answer, "number", AT, min(most, 1), most)
    targets = [read_target(each, f"{AT}.targets[]") for each in listed(answer, "targets", AT, SHOWN)]
    if len(targets) != min(count, SHOWN):
        raise wrong(f"{AT}.targets", f"the first {SHOWN} things, or all")
    return Candidates(reading, count, targets), read_target(answer.get("only"), f"{AT}.only") if count == 1 else None


async def _similar(peers: Peers, name: str) -> Similar:
    """The most similar names of all peers."""
    wanted = name[:NAME_SHOWN].encode("utf-8", "replace").decode()
    found = [
        Similar(flag(answer, "alike", AT), texts(answer, "near", AT, SHOWN), texts(answer, "first", AT, SHOWN))
        for _, answer in await peers.ask(peers.everyone({"ask": "similar", "name": wanted}))
    ]
    return merged(wanted, found)


def _is_utf8(name: str) -> bool:
    """Whether a text has no lone surrogates, which no message can hold."""
    return name.isascii() or not any("\ud800" <= each <= "\udfff" for each in name)
