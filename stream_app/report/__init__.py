"""What a replay found, as figures with intervals, and as one HTML page."""
