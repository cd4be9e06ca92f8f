"""The HTTP service: it takes events into a local log or into Kafka, and answers with verdicts (docs/serve.md)."""
