"""Benchmarks: ratios within one run, each against a bar. ``python -m tests.bench [NAME...] [--json]``."""
