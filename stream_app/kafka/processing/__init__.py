"""Processing of records: partitions of the events topic, and source topics."""
