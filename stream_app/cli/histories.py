"""The figures of a history that was read, for the commands that only look at it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from stream_app.cli.assembly import attribution_of, settings_of, sources_of
from stream_app.cli.flags import Format
from stream_app.cli.stores import stores_of

if TYPE_CHECKING:
    from stream_app.analysis.figures import Figures
    from stream_app.options import Options
    from stream_app.replay.decoding import SeenTypes


class History(NamedTuple):
    """What a history gives.

    Attributes
    ----------
    figures
        Its figures.
    seen
        The types that were seen in it.
    faults
        What is wrong with it: files that break off, or nothing in them.
    """

    figures: Figures
    seen: SeenTypes
    faults: list[str]


def read_history(
    files: list[str],
    format: Format,  # noqa: A002 - the flag's name
    options: Options,
    now_ms: int | None,
    *,
    predicted: bool,
    quiet: bool,
) -> History:
    """Reads files and stores.

    Parameters
    ----------
    files, format, options
        As the command has them.
    now_ms
        As of `stream_app.replay.replay.replay`.
    predicted
        Whether verdicts are made on the way, or else the figures of the fleet, its redundant work and findings.
    quiet
        Whether no progress is shown.

    Returns
    -------
    History
        The figures.
    """
    from stream_app.cli.replay import nothing
    from stream_app.replay.decoding import SeenTypes
    from stream_app.replay.progress import Progress
    from stream_app.replay.replay import replay
    from stream_app.runtime import garbage

    garbage.tune()
    settings, seen = settings_of(options), SeenTypes(sources_of(options))
    with Progress(quiet=quiet) as progress:
        found = replay(
            files,
            settings,
            settings.learner() if predicted else None,
            source=format.value,
            sources=seen.sources,
            stores=stores_of(options),
            now_ms=now_ms,
            attribution=attribution_of(options),
            findings=not predicted,
            progress=progress.update,
        )
    return History(found.figures, seen, [*progress.faults, *nothing(found.figures)])
