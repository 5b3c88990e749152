"""Imports without libraries that only draw: a daemon has no console, and keeps what it imports for months."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

DRAWING = ("rich", "pygments")
"""What structlog and httpx import for a console of their own where it is installed, and do without elsewhere."""


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Within, these cannot be imported, as if they were not installed; afterwards they can. Loaded ones stay."""
    hidden = [name for name in names if name not in sys.modules]
    # This is how the import system spells it: None stands for a module that is not there.
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
