"""How much of a disk is left: the same to whoever tells of it."""

import os
from pathlib import Path

import pytest

from reconcilerd.cli.machine import around
from reconcilerd.ledger.disk import LOW_PERCENT, room


@pytest.mark.parametrize(("ours", "low"), [(60, False), (50, False), (40, True)])
def test_whoever_tells_of_the_disk_counts_what_root_keeps_for_itself_as_nobodys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: int, low: bool
) -> None:
    """Of 1,050 blocks root keeps 50."""
    disk = os.statvfs_result((4096, 4096, 1_050, ours + 50, ours, 0, 0, 0, 0, 255))
    ledger = tmp_path / "l.db"
    monkeypatch.setattr(os, "statvfs", lambda _: disk)
    seen = around(ledger, ledger, ledger, 0).free_percent()
    assert seen == room(ledger).free_percent == ours / 10
    assert (seen < LOW_PERCENT) == room(ledger).low == low
