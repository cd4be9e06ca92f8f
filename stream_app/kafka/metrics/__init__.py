"""Metrics of a worker: what it counts, and the collectors that export it."""
