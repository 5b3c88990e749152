"""The oversell benchmark: ``python -m tests.oversell``."""
