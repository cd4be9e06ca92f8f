"""Alerts: what matching, a preview and deliveries cost."""
