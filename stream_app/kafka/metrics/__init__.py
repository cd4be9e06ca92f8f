"""What a worker counts, and how it is exported."""
