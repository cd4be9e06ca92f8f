"""The HTTP service: accepts events into a local log or into Kafka, and answers queries (docs/serve.md)."""

from __future__ import annotations

from stream_app.extras import require

require("serve", "aiohttp", "prometheus_client")
