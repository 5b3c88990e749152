"""The daemon's own parts, one at a time."""
