"""What became of a graphlet, when it is announced, and what its compute is booked under."""
