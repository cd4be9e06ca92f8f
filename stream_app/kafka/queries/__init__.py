"""Questions about one graphlet: what workers have open, and who tells whom where."""
