"""Alerts to people: raised once per kind and subject, resolved when they heal."""
