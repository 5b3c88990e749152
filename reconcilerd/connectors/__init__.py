"""One folder per outside system, behind one port. Wire in, facts out; nothing is decided here."""
