"""What is known of one pipeline: its entities, its history, its sums."""
