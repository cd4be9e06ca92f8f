"""The results of a replay as tables in the terminal and as one HTML page."""
