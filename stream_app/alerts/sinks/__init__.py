"""Sinks: where messages are sent. Each sends one message, and says what became of it."""
