"""The topics through which data goes in one consumer group: those of the workers, and those of the notifiers."""

from __future__ import annotations

from dataclasses import dataclass

from stream_app.kafka.clients.topics import Names


@dataclass(frozen=True)
class Flow:
    """The topics of a consumer group, by what its processes do with them.

    Parameters
    ----------
    group
        The consumer group.
    process
        What one of its processes is called in messages: `worker` or `notifier`.
    sources
        Topics whose records are passed on to `keyed`; what became of them is known by committed offsets alone.
    keyed
        The topic whose partitions have state.
    changelog
        That state.
    logs
        Topics that each process reads whole.
    outputs
        Topics that are written to, beside `keyed` and `changelog`.
    """

    group: str
    process: str
    sources: tuple[str, ...]
    keyed: str
    changelog: str
    logs: tuple[str, ...]
    outputs: tuple[str, ...]


def worker_flow(names: Names) -> Flow:
    """From sources to verdicts.

    Parameters
    ----------
    names
        The names of the topics.
    """
    outputs = (*names.outputs, names.analysis)
    return Flow(names.group, "worker", names.sources, names.events, names.changelog, (names.examples,), outputs)


def notifier_flow(names: Names) -> Flow:
    """From alerts to what people are sent.

    Parameters
    ----------
    names
        The names of the topics.
    """
    return Flow(
        f"{names.group}-notify",
        "notifier",
        (names.alerts,),
        names.deliveries,
        names.deliveries_changelog,
        (names.subscriptions, names.alert_log),
        (names.subscriptions, names.alert_log),
    )
