"""Loads and faults at length, a command a row, which may be interrupted and goes on: see docs/reliability.md."""
