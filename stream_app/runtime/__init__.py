"""What the process as a whole is set to."""
