"""The metrics of acting in the catalogue: the kill switch, and what the gate refuses."""

from __future__ import annotations

from stream_app.acting.reasons import Why
from stream_app.metrics.metric import Label, Metric, Process

_ASKED: tuple[Process, ...] = ("serve", "notify")

ACTING = (
    Metric(
        "acting_on", "gauge", "1 while flagged runs of the fleet may be stopped, 0 while the kill switch is off.",
        processes=_ASKED,
    ),
    Metric("acting_off_patterns", "gauge", "Patterns of pipelines for which acting is off.", processes=_ASKED),
    Metric(
        "stop_refusals_total", "counter", "Questions and acts by which a flagged run was not stopped, by reason.",
        (Label("reason", tuple(why.value for why in Why)),), processes=_ASKED,
    ),
)  # fmt: skip
