"""The ledger's schema, version by version. Strict tables; entries never change."""

from typing import Any

from sqlite_utils import Migrations

migrations = Migrations("reconcilerd")


@migrations()
def m001_entries_and_state(db: Any) -> None:
    """Entries in a hash chain, and the state folded from them."""
    db.execute(
        """create table entries (
            seq integer primary key, at integer not null, note text not null,
            previous_hash blob not null, hash blob not null, body blob not null) strict"""
    )
    db.execute(
        """create table state (
            kind text not null, about text not null, seq integer not null, as_of integer not null,
            payload blob not null, primary key (kind, about)) strict, without rowid"""
    )
    db.execute(
        """create trigger entries_never_change before update on entries
           begin select raise(abort, 'entries never change'); end"""
    )
    db.execute(
        """create trigger entries_stay before delete on entries
           begin select raise(abort, 'entries stay'); end"""
    )


NEWEST = frozenset({"m001_entries_and_state"})
"""Names of all migrations this version knows."""
