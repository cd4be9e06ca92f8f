"""Action hooks: sinks that stop a flagged run at its orchestrator, and report that it was pruned."""
