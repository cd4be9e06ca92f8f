"""The metrics of alerts in the catalogue: subscriptions, messages and those who listen."""

from __future__ import annotations

from stream_app.metrics.metric import Label, Metric, Process

_NOTIFY: tuple[Process, ...] = ("notify",)
_ASKED: tuple[Process, ...] = ("serve", "notify")

ALERTS = (
    Metric(
        "alert_subscriptions", "gauge", "Subscriptions, by state.",
        (Label("state", ("active", "paused", "disabled")),), processes=_ASKED,
    ),
    Metric("alert_messages_waiting", "gauge", "Messages that wait to be sent.", processes=_ASKED),
    Metric(
        "alert_messages_total", "counter",
        "Attempts that sent or failed, and records and messages dropped, postponed or given up.",
        (Label("fate", ("sent", "failed", "dropped", "postponed", "dead")),), processes=_ASKED,
    ),
    Metric(
        "alert_attempt_seconds", "histogram", "Time of an attempt to send a message, by kind of sink.",
        (
            Label(
                "sink",
                (
                    "webhook", "slack", "email", "alertmanager", "kafka", "apprise", "kfp", "airflow", "mlflow",
                    "stop_webhook",
                ),
            ),
        ),
        unit="seconds",
        buckets=(0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0), processes=_ASKED,
    ),
    Metric(
        "alert_records_malformed_total", "counter", "Records of topics of alerts and deliveries that are none.",
        processes=_NOTIFY,
    ),
    Metric(
        "alert_warnings_total", "counter", "Warnings to owners that a subscription fails or is disabled, by their way.",
        (Label("way", ("subscription", "owner", "log")),), processes=_ASKED,
    ),
    Metric("alert_listeners", "gauge", "Listeners of the stream of flags.", processes=_ASKED),
)  # fmt: skip
