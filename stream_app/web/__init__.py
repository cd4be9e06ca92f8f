"""The HTTP service: accepts events into a local log or into Kafka, and answers queries (docs/serve.md)."""
