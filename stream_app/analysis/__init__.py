"""Sums and figures of what a detector reported."""
