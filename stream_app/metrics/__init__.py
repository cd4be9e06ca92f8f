"""Metrics of outputs and of state, for Prometheus."""
