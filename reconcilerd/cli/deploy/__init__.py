"""``reconcilerd deploy``: another version beside the one that runs, watched, and taken back if it does not do."""
