"""The model of a worker: the examples log and checkpoints."""
