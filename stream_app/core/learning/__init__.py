"""The learner: a fold over the examples log."""
