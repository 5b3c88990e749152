"""Drifts that have stood for long: whoever watches is told of them."""

from reconcilerd.daemon.passes import Standing
from reconcilerd.daemon.sums import Judged
from reconcilerd.daemon.turns import steps
from reconcilerd.domain.names import ChannelName, Instant


async def lasting(standing: Standing, now: Instant, after_ms: int) -> dict[ChannelName, list[Judged]]:
    """Those that were first seen more than ``after_ms`` before ``now``, by channel, with turns for everybody else.

    Where none is so old, as on every good day and at the begin of every bad one, none is looked at.
    """
    if not any(now - min(since.values()) > after_ms for since in standing.since.values() if since):
        return {}
    old: dict[ChannelName, list[Judged]] = {}
    async for group in steps(standing.drifts.values()):
        for drift, verdict in group:
            since = standing.since.get(drift.slot.channel, {}).get(drift.slot, now)
            if now - since > after_ms:
                old.setdefault(drift.slot.channel, []).append((drift, verdict))
    return old
