"""Which versions of the schema a ledger has, and which versions of this program wrote it."""

import sqlite3
from typing import Final

from reconcilerd import __version__

NAME: Final = "reconcilerd"
"""Of the set of migrations."""
ALL: Final = ("m001_entries_and_state", "m002_programs", "m003_anchors", "m004_records")
"""Names of all migrations this version knows, oldest first."""


def applied_to(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Names of the migrations that a ledger has, oldest first; none for an empty file."""
    if not has_table(connection, "_sqlite_migrations"):
        return ()
    query = "select name from _sqlite_migrations where migration_set = ? order by id"
    return tuple(row[0] for row in connection.execute(query, (NAME,)))


def not_ours(connection: sqlite3.Connection) -> str | None:
    """What to say of a database of another program, or of a newer version of this one; None: we know all of it."""
    applied = applied_to(connection)
    if not applied and (tables := _tables(connection)):
        return (
            f"a database of another program, not a ledger: it has the table {tables[0]}; "
            "it was left untouched: name another file in ledger.path"
        )
    unknown = [each for each in applied if each not in ALL]
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


def is_begun(connection: sqlite3.Connection) -> bool:
    """Whether it can hold entries. A first start that is cut off may leave a file without."""
    return has_table(connection, "entries")


def _tables(connection: sqlite3.Connection) -> list[str]:
    """Tables that somebody made for what he keeps there; lists of migrations and SQLite's own say nothing."""
    query = "select name from sqlite_master where type = 'table' order by name"
    own = ("sqlite_", "_sqlite_migrations")
    return [name for (name,) in connection.execute(query) if not name.startswith(own)]


def has_table(connection: sqlite3.Connection, table: str) -> bool:
    query = "select 1 from sqlite_master where type = 'table' and name = ?"
    return connection.execute(query, (table,)).fetchone() is not None
