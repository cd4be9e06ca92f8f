"""Features: the named numbers from which a stage is predicted."""
