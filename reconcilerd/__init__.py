"""Keeps the quantities that sales channels show in step with Extensiv Order Manager."""

__version__ = "0.1.0"
