"""The state of a partition: rows, changelog, local copy, outbox."""
