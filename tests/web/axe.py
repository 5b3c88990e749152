"""axe-core, which knows what a page must be for those who do not see it, or otherwise: fetched once, and kept."""

import hashlib
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest

from tests.web.chromium import Tab

VERSION: Final = "4.14.1"
SHA256: Final = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
KEPT: Final = Path.home() / ".cache" / "reconcilerd-tests" / f"axe-{VERSION}.min.js"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN: Final = f"""axe.run(document, {{runOnly: {RULES}}}).then(found => found.violations.map(each =>
    each.id + ': ' + each.help + ': ' + each.nodes.slice(0, 3).map(node => node.html + ' ' + node.failureSummary)))"""


def source() -> str:
    """The program. Skips, loudly, where it cannot be had."""
    if not _is_it(KEPT):
        why = _fetch()
        if not _is_it(KEPT):
            pytest.skip(
                f"NO AXE HERE: nobody asks whether everybody can use the pages; npm pack failed: {why}"
            )
    return KEPT.read_text("utf-8")


def _is_it(path: Path) -> bool:
    return path.exists() and hashlib.sha256(path.read_bytes()).hexdigest() == SHA256


def _fetch() -> str:
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm"
    with TemporaryDirectory() as name:
        folder = Path(name)
        try:
            done = subprocess.run(
                [npm, "pack", f"axe-core@{VERSION}", "--silent"],
                cwd=folder,
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
            )
        except subprocess.TimeoutExpired:
            return "it took too long"
        for each in folder.glob("*.tgz"):
            shutil.unpack_archive(each, folder, filter="data")
        found = folder / "package" / "axe.min.js"
        if not _is_it(found):
            return done.stderr[-200:] or "another file came"
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        # Others may fetch it at the same time: whole, or not at all.
        aside = KEPT.with_suffix(f".{folder.name}")
        shutil.copyfile(found, aside)
        aside.replace(KEPT)
    return ""


def violations(tab: Tab, program: str) -> list[Any]:
    """What is wrong with the page that a tab shows: each rule with the first places."""
    tab.ask("Runtime.evaluate", expression=program)
    found: list[Any] = tab.value(RUN)
    return found
