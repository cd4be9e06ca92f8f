"""Which versions of an artifact an execution reads that other pipelines wrote under the same id, in plain numbers.

Each reading has a time, and each version has a span of times: a version is read where the time is in the span. A
version that is known by its id alone is read at any time. Of an artifact without versions, the version is read that
its last writer left before the reader began, unless the own pipeline wrote what is read.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from stream_app.core.operators import RUN
from stream_app.core.state.entities import Artifact, Execution, Unversioned, Version

#: Before all times: the time of a reading of nothing but versions that are known by their id.
ALWAYS = -1


class Span(NamedTuple):
    """The times of the readings in other pipelines that read a version.

    Parameters
    ----------
    since
        The first of them, in ms since 1970 UTC; `ALWAYS` of a version that is known by its id.
    until
        The end, which is not among them; None: there is none.
    """

    since: int
    until: int | None

    @property
    def by_id(self) -> bool:
        """Whether the version is known by its id alone."""
        return self.since == ALWAYS

    def holds(self, time: int) -> bool:
        """Whether a reading of this time reads the version.

        Parameters
        ----------
        time
            What `reading_time` gave.

        Returns
        -------
        bool
            True in the span.
        """
        return self.since <= time and (self.until is None or time < self.until)


_ANY, _NEVER = Span(ALWAYS, None), Span(0, 0)


def reading_time(own: Artifact, reader: Execution) -> int | None:
    """The time of a reading.

    Parameters
    ----------
    own
        The artifact in the reader's pipeline.
    reader
        An execution that reads it.

    Returns
    -------
    int or None
        In ms since 1970 UTC, or `ALWAYS`; None: it reads nothing of other pipelines.
    """
    if own.unversioned is None:
        return ALWAYS if own.version.writers else reader.start_ms
    return reader.start_ms if own.unversioned.chosen[reader.id] is None else None


def version_at(artifact: Artifact, time: int) -> tuple[Version, str | None] | None:
    """The version that a reading in another pipeline reads.

    Parameters
    ----------
    artifact
        The artifact whose versions they are.
    time
        What `reading_time` gave.

    Returns
    -------
    tuple or None
        The version and its writer, None where versions are known by their id; None: it reads none of them.
    """
    unversioned = artifact.unversioned
    if unversioned is None:
        return artifact.version, None
    position = bisect_left(unversioned.ends, (time + 1, "")) - 1
    if position < 0:
        return None
    writer = unversioned.ends[position][1]
    version = unversioned.by_writer.get(writer)
    return (version, writer) if version is not None else None


def span_of(artifact: Artifact, writer: str | None) -> Span:
    """The readings in other pipelines that read a version.

    Parameters
    ----------
    artifact
        The artifact.
    writer
        Whose version of it is meant, where versions are not known by their id; None: nobody's.

    Returns
    -------
    Span
        Empty for what nobody wrote, and for the version of a writer that has not ended.
    """
    unversioned = artifact.unversioned
    if unversioned is None:
        return _ANY
    end_ms = _end_ms(unversioned, writer) if writer is not None else None
    if writer is None or end_ms is None:
        return _NEVER
    following = bisect_left(unversioned.ends, (end_ms, writer)) + 1
    return Span(end_ms, unversioned.ends[following][0] if following < len(unversioned.ends) else None)


def _end_ms(unversioned: Unversioned, writer: str) -> int | None:
    """The end of a writer among those that readers choose from."""
    for execution in unversioned.by_writer[writer].writers:
        return execution.end_ms if execution.group != RUN else None
    return unversioned.evicted_ends.get(writer)
