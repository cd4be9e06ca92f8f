"""The metrics of the sidecar in the catalogue."""

from __future__ import annotations

from stream_app.metrics.metric import Label, Metric, Process

_EMIT: tuple[Process, ...] = ("emit",)

SIDECAR = (
    Metric(
        "sidecar_events_total", "counter",
        "Events that were kept, delivered, refused as no events, or dropped for want of room.",
        (Label("fate", ("spooled", "delivered", "refused", "dropped")),), processes=_EMIT,
    ),
    Metric("sidecar_waiting_events", "gauge", "Events that are not delivered yet.", processes=_EMIT),
    Metric(
        "sidecar_spool_bytes", "gauge", "Bytes that they take, on disk and in memory.", unit="bytes", processes=_EMIT
    ),
    Metric(
        "sidecar_target_reachable", "gauge", "Whether the service or Kafka took events at the last attempt.",
        processes=_EMIT,
    ),
    Metric("sidecar_stops_total", "counter", "Verdicts by which a run was told to stop.", processes=_EMIT),
)  # fmt: skip
