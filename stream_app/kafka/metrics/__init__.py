"""Metrics of a worker: its counts, and the collectors that export them."""
