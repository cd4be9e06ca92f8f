"""The table of a partition: rows, changelog, local copy, outbox."""
