"""The report: the figures as one HTML file that needs nothing else, no network, no script."""

from __future__ import annotations

import importlib.metadata

from jinja2 import Environment, PackageLoader, StrictUndefined

from stream_app.analysis.figures import Figures
from stream_app.core.features.descriptions import describe
from stream_app.errors import OptionsError
from stream_app.figures import charts, findings_wording, fleet_wording, numbers, wording


def write_page(path: str, found: Figures) -> None:
    """Writes the report to a file.

    Raises OptionsError when it cannot be written.
    """
    write_text(path, page(found))


def write_text(path: str, text: str) -> None:
    """Writes a page to a file; raises OptionsError when it cannot be written."""
    try:
        with open(path, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except OSError as error:
        raise OptionsError(f"{path}: cannot be written: {(error.strerror or 'no reason given').lower()}") from None


def page(found: Figures) -> str:
    """The report's HTML; the same figures give the same text."""
    tradeoff = found.tradeoff
    drawn = {
        "trend": charts.trend_chart(found.summary.weeks),
        "compute": charts.compute_bar(found.compute),
        "tradeoff": charts.tradeoff_chart(tradeoff),
        "cadence": charts.cadence_chart(tradeoff),
        "stages": charts.stage_chart(found.stages),
        "calibration": charts.calibration_chart(found.stages),
        "flags": charts.flag_chart(found.flag_times),
    }
    return environment_of(found).get_template("page.html.j2").render(
        found=found,
        fleet=found.fleet,
        active=next(each for each in tradeoff.budgets if each.in_force),
        graphlets=sum(each.graphlets for each in found.outcomes),
        charts=drawn,
        causes=wording.CAUSES,
        outcomes=wording.OUTCOMES,
        contacts=wording.contacts(found.owners),
        version=importlib.metadata.version("stream-app"),
    )  # fmt: skip


def environment_of(found: object) -> Environment:
    """The templates, with what they show and the words for it."""
    environment = Environment(
        loader=PackageLoader("stream_app.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.globals.update(
        found=found,
        measures=fleet_wording.MEASURES,
        uses=fleet_wording.USES,
        kinds=fleet_wording.KINDS,
        remedies=fleet_wording.REMEDIES,
    )
    environment.filters.update(
        percent=numbers.percent,
        interval=numbers.interval,
        count=numbers.count,
        node_hours=numbers.node_hours,
        budget=numbers.budget_name,
        times=numbers.times,
        hours=numbers.hours,
        plural=numbers.plural,
        describe=describe,
        amount=numbers.amount,
        share_of=numbers.share_of,
        cost=numbers.cost,
        advice=wording.advice,
        missing=wording.missing,
        change=fleet_wording.change,
        duration=fleet_wording.duration,
        finding_title=findings_wording.title,
        finding_sentence=findings_wording.sentence,
        finding_advice=findings_wording.advice,
    )
    return environment
