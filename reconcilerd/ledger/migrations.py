"""The ledger's schema, version by version. Strict tables; entries never change."""

import sqlite3
from typing import Any, Final

from sqlite_utils import Migrations

from reconcilerd import __version__

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


ALL: Final = ("m001_entries_and_state", "m002_programs", "m003_anchors", "m004_records")
"""Names of all migrations this version knows, oldest first."""


def applied_to(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Names of the migrations that a ledger has, oldest first; none for an empty file."""
    if not has_table(connection, "_sqlite_migrations"):
        return ()
    query = "select name from _sqlite_migrations where migration_set = ? order by id"
    return tuple(row[0] for row in connection.execute(query, (migrations.name,)))


def newer_than_ours(connection: sqlite3.Connection) -> str | None:
    """What to say of a ledger that a newer version of this program changed; None: we know all of it."""
    unknown = [each for each in applied_to(connection) if each not in ALL]
    if not unknown:
        return None
    wrote = programs_of(connection)
    by = f" {wrote[-1]}" if wrote else ""
    return (
        f"written by a newer reconcilerd{by}: it has {', '.join(unknown)}, and this one ({__version__}) knows up to "
        f"{ALL[-1]}; install reconcilerd{by or ' of that version'} again, or restore a backup that is older than it"
    )


def programs_of(connection: sqlite3.Connection) -> list[str]:
    """Versions of this program that wrote a ledger, the last one last; none where that was not written down."""
    if not has_table(connection, "programs"):
        return []
    return [row[0] for row in connection.execute("select version from programs order by number")]


def sign(connection: sqlite3.Connection) -> None:
    """Write down that this version writes the ledger now, unless it was the last one to."""
    if programs_of(connection)[-1:] != [__version__]:
        connection.execute(
            "insert or replace into programs (version, number) "
            "values (?, (select coalesce(max(number), 0) + 1 from programs))",
            (__version__,),
        )


def has_table(connection: sqlite3.Connection, table: str) -> bool:
    query = "select 1 from sqlite_master where type = 'table' and name = ?"
    return connection.execute(query, (table,)).fetchone() is not None
