"""Plans, approvals, undo and replay: what a person orders, and what is written down of it."""
