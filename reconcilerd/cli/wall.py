"""The real clock. The only place that asks the machine for the time."""

import time

from reconcilerd.domain.names import Instant


def now() -> Instant:
    """Milliseconds since the epoch."""
    return Instant(time.time_ns() // 1_000_000)
