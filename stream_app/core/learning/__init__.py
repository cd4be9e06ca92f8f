"""Learning: models, thresholds and metrics, folded from the examples log."""
