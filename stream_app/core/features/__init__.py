"""Features: what is known at a stage, as named numbers for the models."""
