"""The state of one pipeline: its entities, its history, its sums."""
