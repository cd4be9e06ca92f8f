"""Questions to several peers at once, and which of them has which pipeline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from stream_app.provenance.peers.errors import MovedError
from stream_app.provenance.peers.fields import fields, text

#: Sends a question to one process, and returns what `answer` answers there; what it raises is raised to who asked.
Peer = Callable[[dict[str, Any]], Awaitable[Any]]

#: The place of an answer in messages.
AT = "answer"


class Peers:
    """The processes that have the pipelines, each pipeline in one of them.

    Parameters
    ----------
    peers
        One function a process.
    """

    def __init__(self, peers: Sequence[Peer]) -> None:
        self._peers = peers
        self._owners: dict[str, int] = {}

    def everyone(self, question: dict[str, Any]) -> dict[int, dict[str, Any]]:
        """The same question for each peer."""
        return dict.fromkeys(range(len(self._peers)), question)

    def owner(self, pipeline: str) -> int:
        """The peer that has named a pipeline of its own."""
        return self._owners[pipeline]

    def owns(self, peer: int, pipeline: str) -> None:
        """Keeps that a peer has a pipeline; raises MovedError where another one has it, too."""
        if self._owners.setdefault(pipeline, peer) != peer:
            raise MovedError(f"pipeline {pipeline} moves from one process to another")

    async def ask(self, questions: Mapping[int, dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
        """Asks peers at the same time, each its question; the answers come with the peers.

        Raises
        ------
        MovedError
            A peer does not have what it was asked about.
        MessageError
            An answer is no object.
        """
        tasks = [asyncio.ensure_future(self._peers[peer](question)) for peer, question in questions.items()]
        try:
            answers = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        found = [(peer, fields(each, AT)) for peer, each in zip(questions, answers, strict=True)]
        for _, each in found:
            if "moved" in each:
                raise MovedError(text(each, "moved", AT))
        return found
