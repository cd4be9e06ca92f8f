"""Clients of Kafka: connections, topics, producers, publishing, dead letters, the relay."""
