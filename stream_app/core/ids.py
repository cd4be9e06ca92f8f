"""The ids of graphlets, verdicts and findings, made of names that may hold any character.

A graphlet's id is `<pipeline>/<trainer>`; before its trainer is known it is `<pipeline>/run:<run>`. The first slash
ends the pipeline, so a slash in a pipeline's name is escaped. `run:` marks a run, so a colon in a trainer's id is
escaped too. The escapes are those of JSON pointers (RFC 6901), `~0` for `~` and `~1` for `/`, with `~2` for `:` added;
none of them needs quoting in a URL. Names without these characters stay as they are. A finding's id is
`<pipeline>/finding:<kind>`, which no graphlet has.
"""

from __future__ import annotations

from typing import NamedTuple

_RUN, _FINDING = "run:", "finding:"


class GraphletName(NamedTuple):
    """The names in a graphlet's id. `trainer` is None while the trainer of the run is not known, else `run` is None."""

    pipeline: str
    trainer: str | None
    run: str | None


def graphlet_id(pipeline: str, trainer: str) -> str:
    """The id of a trainer's graphlet.

    Parameters
    ----------
    pipeline
        The name of the pipeline.
    trainer
        The execution id of the trainer.

    Returns
    -------
    str
        The id, unique over all pipelines.

    Examples
    --------
    >>> graphlet_id("ads", "r42/train"), graphlet_id("team/ads", "run:7")
    ('ads/r42/train', 'team~1ads/run~27')
    """
    return f"{_escaped(pipeline, '/', '~1')}/{_escaped(trainer, ':', '~2')}"


def run_graphlet_id(pipeline: str, run: str) -> str:
    """The id of a run's graphlet while no trainer is known.

    Parameters
    ----------
    pipeline
        The name of the pipeline.
    run
        The id of the run.

    Returns
    -------
    str
        The id, unique over all pipelines.

    Examples
    --------
    >>> run_graphlet_id("ads", "scheduled__2026-11-25T00:00:00+00:00")
    'ads/run:scheduled__2026-11-25T00:00:00+00:00'
    """
    return f"{_escaped(pipeline, '/', '~1')}/{_RUN}{_escaped(run)}"


def verdict_id(graphlet: str, revision: int) -> str:
    """The id of one revision of a verdict or of a label.

    Parameters
    ----------
    graphlet
        The id of the graphlet.
    revision
        The revision, from 1.

    Returns
    -------
    str
        The id, such as `ads/r42/train#3`.
    """
    return f"{graphlet}#{revision}"


def parse_graphlet_id(graphlet: str) -> GraphletName | None:
    """Reads the names in a graphlet's id.

    Parameters
    ----------
    graphlet
        The id.

    Returns
    -------
    GraphletName or None
        None when the text is not an id that `graphlet_id` or `run_graphlet_id` makes.

    Examples
    --------
    >>> parse_graphlet_id("team~1ads/run~27")
    GraphletName(pipeline='team/ads', trainer='run:7', run=None)
    """
    pipeline, slash, rest = graphlet.partition("/")
    name = _plain(pipeline)
    if rest.startswith(_RUN):
        found = GraphletName(name, None, _plain(rest.removeprefix(_RUN)))
        same = run_graphlet_id(name, found.run or "")
    else:
        found = GraphletName(name, _plain(rest), None)
        same = graphlet_id(name, found.trainer or "")
    return found if slash and same == graphlet else None


def finding_id(pipeline: str, kind: str) -> str:
    """The id of a finding.

    Parameters
    ----------
    pipeline
        The name of the pipeline.
    kind
        The rule that made it.

    Returns
    -------
    str
        The id, unique over all pipelines; no graphlet has it.

    Examples
    --------
    >>> finding_id("team/ads", "no_push")
    'team~1ads/finding:no_push'
    """
    return f"{_escaped(pipeline, '/', '~1')}/{_FINDING}{kind}"


def pipeline_of_finding(name: str) -> str | None:
    """The pipeline in the id of a finding.

    Parameters
    ----------
    name
        The id.

    Returns
    -------
    str or None
        None when the text is not an id that `finding_id` makes.

    Examples
    --------
    >>> pipeline_of_finding("team~1ads/finding:no_push"), pipeline_of_finding("ads/train")
    ('team/ads', None)
    """
    pipeline, _, rest = name.partition("/")
    return _plain(pipeline) if rest.startswith(_FINDING) else None


def old_graphlet_id(pipeline: str, trainer: str | None, run: str | None) -> str:
    """The id that a graphlet had in version 1 of rows and wire, which joined names without escaping them.

    Parameters
    ----------
    pipeline
        The name of the pipeline.
    trainer
        The execution id of the trainer; None while it is not known.
    run
        The id of the run; used only without a trainer.

    Returns
    -------
    str
        The id, which is ambiguous where names hold slashes or colons.

    Examples
    --------
    >>> old_graphlet_id("team/ads", "train", None), old_graphlet_id("ads", None, "7")
    ('team/ads/train', 'ads/run:7')
    """
    return f"{pipeline}/{trainer if trainer is not None else f'{_RUN}{run}'}"


def _escaped(name: str, separator: str = "", escape: str = "") -> str:
    if "~" in name:
        name = name.replace("~", "~0")
    return name.replace(separator, escape) if separator else name


def _plain(part: str) -> str:
    return part.replace("~1", "/").replace("~2", ":").replace("~0", "~") if "~" in part else part
