"""The append-only ledger on SQLite. Alone knows sqlite; decides nothing."""
