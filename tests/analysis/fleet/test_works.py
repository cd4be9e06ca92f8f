"""Redundant work that is found beside a detector is that of the definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_app.analysis.fleet.fleet_analysis import FleetAnalysis
from stream_app.analysis.redundancy import Figures, work_of
from stream_app.core.detector import Detector, Settings
from stream_app.core.state.pipeline import Pipeline
from tests.analysis.redundancy.oracle import figures_of
from tests.support.arrivals import any_arrival
from tests.support.worlds import OPERATORS, logs

#: The profile `deep` takes many more.
MORE = settings().max_examples // 100


def expected(pipeline: Pipeline) -> Figures:
    """The figures of the definition."""
    nodes = OPERATORS.nodes
    found = (
        work_of(pipeline, each, each.node_ms(nodes.get(each.type, 1.0)), None) for each in pipeline.executions.values()
    )
    return figures_of([work for work in found if work is not None])


@pytest.mark.slow
@settings(max_examples=150 * MORE)
@given(data=st.data())
def test_the_figures_are_those_of_the_definition(data: st.DataObject) -> None:
    """In any order of events, however often they are asked for in between."""
    arrived = data.draw(any_arrival(data.draw(logs(), label="log")), label="arrived")
    asked = data.draw(st.sets(st.integers(0, len(arrived) - 1)), label="asked after")
    detector, analysis = Detector(Settings(operators=OPERATORS)), FleetAnalysis(OPERATORS.nodes)
    detector.follow(analysis)

    for number, event in enumerate(arrived):
        detector.step(event)
        if number in asked:
            analysis.pipelines()

    for each in analysis.pipelines().values():
        assert each.redundancy.figures() == expected(each.pipeline)
