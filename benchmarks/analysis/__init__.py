"""What analysis costs."""
