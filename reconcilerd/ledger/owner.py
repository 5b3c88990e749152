"""Files that root makes beside a ledger belong to whom the ledger belongs to, or its daemon could not use them."""

import os
from collections.abc import Iterable
from pathlib import Path

from reconcilerd.errors import LedgerFault


def give(file: Path | int, like: Path) -> None:
    """Let a file, named or opened, belong to the owner of another one. Nothing unless we are root. Raises OSError."""
    if os.geteuid() == 0:
        owner = like.stat()
        if isinstance(file, int):
            os.chown(file, owner.st_uid, owner.st_gid)
        else:
            os.chown(file, owner.st_uid, owner.st_gid, follow_symlinks=False)


def follow_no_links(names: Iterable[Path]) -> None:
    """Refuse, where we are root, names that are links: whoever owns the folder would choose which file we change.

    Raises LedgerFault.
    """
    if os.geteuid() == 0:
        for each in names:
            if each.is_symlink():
                raise LedgerFault(
                    f"{each}: is a link, and root follows none here; name the file itself in ledger.path"
                )
