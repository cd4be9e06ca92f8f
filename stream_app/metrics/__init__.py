"""Metrics of outputs and of state, for Prometheus."""

from __future__ import annotations

from stream_app.extras import require

require("serve", "prometheus_client")
