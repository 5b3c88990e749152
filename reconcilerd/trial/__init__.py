"""Trials: the whole daemon against a pretend business, in virtual time, and what came of it."""
