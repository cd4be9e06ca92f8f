"""The records of closed graphlets, bounded in size."""

from __future__ import annotations

from typing import Any

import orjson

from stream_app.core.outputs import Closed
from stream_app.kafka.clients.topics import Names
from stream_app.kafka.state.outbox import Message
from stream_app.wire import closed_to_dict

#: Bytes of the largest value: below Kafka's default of the largest message, so that it can be copied to any topic.
MAX_GRAPHLET = 1_000_000


def closed_graphlet(names: Names, closed: Closed) -> Message:
    """The record of a closed graphlet.

    Parameters
    ----------
    names
        The topics.
    closed
        The final record of the graphlet. Of a value larger than `MAX_GRAPHLET` the last members are left out, and
        `members_omitted` says how many.

    Returns
    -------
    Message
        Its key is the graphlet, so that a record that is sent again replaces itself.
    """
    document = closed_to_dict(closed)
    value = orjson.dumps(document)
    if len(value) > MAX_GRAPHLET:
        value = orjson.dumps(_shortened(document))
    return Message(names.graphlets, document["graphlet"].encode(), value)


def _shortened(document: dict[str, Any]) -> dict[str, Any]:
    """The document with as many of its members as fit, those of `up` first, then those of `down` and `side`."""
    members = [(part, member) for part in ("up", "down", "side") for member in document[part]]
    short = {**document, "up": [], "down": [], "side": [], "members_omitted": len(members)}
    left = MAX_GRAPHLET - len(orjson.dumps(short))
    for part, member in members:
        left -= len(orjson.dumps(member)) + len(",")
        if left < 0:
            break
        short[part].append(member)
        short["members_omitted"] -= 1
    return short
