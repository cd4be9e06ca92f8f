"""Follows a store or a tracking server live, and sends its changes to the service or to Kafka, pass by pass."""
