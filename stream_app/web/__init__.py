"""The small service: OpenLineage over HTTP into a local log and an embedded detector, verdicts out (docs/serve.md)."""
