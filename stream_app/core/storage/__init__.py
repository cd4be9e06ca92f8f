"""State as rows and back, their upgrade, retention, and the invariants of the state."""
