"""Outcomes of graphlets: what they are, when they are announced, and under what compute is booked."""
