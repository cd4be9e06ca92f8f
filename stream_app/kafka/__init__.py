"""The worker: the detector as a Faust service on Kafka. Only `engine` imports Faust."""

from __future__ import annotations

from stream_app.extras import require

require("worker", "aiokafka", "kafka")
