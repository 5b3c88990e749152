"""Every rail taken away in turn: a test of its own must fail. ``python -m tests.mutants``."""
