"""Refuses acts of people where events come from pipelines: only those who check who acts may write them."""

from __future__ import annotations

from stream_app.core.acts import is_act
from stream_app.core.events import Event
from stream_app.errors import MalformedEvent


def no_act(event: Event | None) -> Event | None:
    """Returns an event of a pipeline as it is.

    Parameters
    ----------
    event
        The event, or None.

    Returns
    -------
    Event or None
        The same.

    Raises
    ------
    MalformedEvent
        It is an act.
    """
    if event is not None and is_act(event):
        kind = event.execution_id.partition("/")[0]
        raise MalformedEvent(f"execution.id: {kind} is an act of a person, which only the API of flags takes")
    return event
