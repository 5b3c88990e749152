"""``demo``: a simulated business in a child process over real HTTP, the real daemon here, and the score."""
