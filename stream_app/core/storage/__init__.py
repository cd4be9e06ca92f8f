"""State as rows, how long it is kept, and what must hold of it."""
