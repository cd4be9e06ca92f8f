"""A worker that is killed by `kill -9` between a commit and the sending of its outputs, for the second time that these
have closed graphlets: `python -m tests.broker.dying_worker SETTINGS`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from stream_app.kafka.clients.producer import Send, sender
from stream_app.kafka.process import worker as module
from stream_app.kafka.state.outbox import Message
from tests.broker import worker_process


def dying(*given: Any) -> Send:
    """A function that sends messages as `sender` does, until the process dies."""
    send, sent = sender(*given), 0

    async def send_or_die(messages: Iterable[Message]) -> None:
        nonlocal sent
        outbox = list(messages)
        if any(message.topic.endswith("-graphlets") for message in outbox):
            sent += 1
            if sent == 2:
                os.kill(os.getpid(), signal.SIGKILL)
        await send(outbox)

    return send_or_die


if __name__ == "__main__":
    module.sender = dying  # type: ignore[attr-defined]
    sys.exit(asyncio.run(worker_process.main(Path(sys.argv[1]))))
