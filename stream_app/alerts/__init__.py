"""Alerts: from a flag to the people and programs that subscribed to it."""
