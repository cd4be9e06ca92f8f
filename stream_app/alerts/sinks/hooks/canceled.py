"""The events that say of a run that it was pruned."""

from __future__ import annotations

from stream_app.alerts.flags import FlaggedGraphlet, FlagRecord
from stream_app.core.events import CANCELED, Event
from stream_app.core.properties import PRUNED_BY

#: Who has stopped it.
BY = "by"


def canceled(record: FlagRecord, by: str, time_ms: int) -> list[Event]:
    """The events of a run that was stopped: one a flagged trainer, and that of the run.

    That of the run tells of its other trainers too: those without a verdict, or flagged since, were stopped as well.

    Parameters
    ----------
    record
        The record of its flag.
    by
        The id of the subscription of the hook.
    time_ms
        When the stop was confirmed, in ms since 1970 UTC.

    Returns
    -------
    list of Event
        The same events but for their time, however often a stop is reported. Their types do not replace those that
        the executions have: the core takes the type of the earliest event.
    """

    def event(execution: str, kind: str, flagged: FlaggedGraphlet) -> Event:
        return Event(
            time_ms,
            record.pipeline,
            execution,
            kind,
            CANCELED,
            record.run,
            properties={PRUNED_BY: flagged.verdict, BY: by},
            id=f"{record.id}@{by}/{execution}",
        )

    found = {
        each.trainer: event(each.trainer, "Trainer", each) for each in record.graphlets if each.trainer is not None
    }
    if record.run is not None and record.run not in found:
        found[record.run] = event(record.run, "PipelineRun", record.graphlets[0])
    return list(found.values())
