"""Trials of the whole daemon, and the command that runs them."""
