"""The real clock. The only place that asks the machine for the time."""

import time

from reconcilerd.domain.names import Instant


def now() -> Instant:
    """Milliseconds since the epoch."""
    return Instant(time.time_ns() // 1_000_000)


def monotonic_us() -> int:
    """Microseconds of the clock that never goes back, as systemd reads it."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
