"""The ledger's schema, version by version. Strict tables; entries never change.

Imported by whoever has one to apply: a ledger that is up to date needs neither this nor the library.
"""

from typing import Any

from sqlite_utils import Migrations

from reconcilerd.ledger.versions import NAME

migrations = Migrations(NAME)


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


@migrations()
def m002_programs(db: Any) -> None:
    """Which versions of this program opened the ledger for writing, each once."""
    db.execute(
        "create table programs (version text primary key, number integer not null) strict, without rowid"
    )


@migrations()
def m003_anchors(db: Any) -> None:
    """The state as it was at the anchor; entries go only up to there."""
    db.execute(
        """create table base (
            kind text not null, about text not null, seq integer not null, at integer not null,
            as_of integer not null, payload blob not null, primary key (kind, about)) strict, without rowid"""
    )
    db.execute("drop trigger entries_stay")
    db.execute(
        """create trigger entries_stay before delete on entries
           when old.seq > coalesce((select json_extract(cast(payload as text), '$.through') from state
                                    where kind = 'anchor' and about = 'ledger'), 0)
           begin select raise(abort, 'entries stay: the anchor lies before them'); end"""
    )


@migrations()
def m004_records(db: Any) -> None:
    """What decisions looked at, beside their entries, which hold its digest: it is large, and kept for less long."""
    db.execute(
        """create table records (
            seq integer not null, digest text not null, packed text not null, primary key (seq, digest)) strict"""
    )
    db.execute(
        """create trigger records_never_change before update on records
           begin select raise(abort, 'records never change'); end"""
    )
    db.execute(
        """create trigger records_stay before delete on records
           when old.seq > coalesce((select json_extract(cast(payload as text), '$.records') from state
                                    where kind = 'anchor' and about = 'ledger'), 0)
           begin select raise(abort, 'records stay: the anchor lies before them'); end"""
    )
