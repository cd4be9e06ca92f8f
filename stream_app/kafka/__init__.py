"""The detector as a Faust service on Kafka: a shell around the core; nothing else imports Faust."""
