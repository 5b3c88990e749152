"""Files that root makes beside a ledger belong to whom the ledger belongs to, or its daemon could not use them."""

import os
from pathlib import Path


def give(path: Path, like: Path) -> None:
    """Let a file belong to the owner of another one. Nothing where we are not root. Raises OSError."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
