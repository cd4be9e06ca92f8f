"""The worker: the detector as a Faust service on Kafka. Only `engine` imports Faust."""
