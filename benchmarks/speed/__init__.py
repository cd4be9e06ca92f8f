"""Events a second, cost as state grows."""
