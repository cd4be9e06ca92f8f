"""What is done to records: partitions of the events topic, and source topics."""
