"""Who asks, where no socket says so."""

import os

LONGEST = 64


def who() -> str:
    """Who runs this command, as a socket would name them, and for whom, if sudo says so."""
    name = os.environ.get("SUDO_USER", "")
    return f"uid {os.getuid()}" + (f", for {name[:LONGEST]}" if name.isprintable() and name else "")
