"""Graphlets from facts: how events are merged, which versions they name, and who is a member of a graphlet."""
