"""Storage of state: rows, loading, retention, invariants, and stories of graphlets."""
