"""``doctor``: what keeps this installation from working, each with the fix."""
