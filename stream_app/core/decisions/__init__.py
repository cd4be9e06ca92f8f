"""Decisions: from a stage that is reached to a verdict."""
