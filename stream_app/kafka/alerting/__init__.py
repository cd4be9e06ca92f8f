"""Alerts beside workers: from the flag records of the group to the people who subscribed to them."""
