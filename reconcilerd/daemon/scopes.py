"""Looks now and then whether our credentials may do more than they need: a thief of them could do it, and we never do.

What was told is kept as a finding, so that a restart tells nothing twice.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import structlog

from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.facts import FindingKind, FindingRaised
from reconcilerd.domain.names import ChannelName
from reconcilerd.errors import LedgerFault, ReconcilerdError
from reconcilerd.transport.progress import rest

log = structlog.get_logger("reconcilerd.scopes")

FIRST_S: Final = 120.0
"""A start has better things to ask."""
EVERY_S: Final = 6 * 3_600.0

Ask = Callable[[], Awaitable[frozenset[str]]]
"""What our credentials may do at a system beyond what is needed."""


async def watch_scopes(
    systems: Mapping[ChannelName, Ask], desk: Desk, widened: Callable[[ChannelName, str], None]
) -> None:
    """Ask every system for ever. ``widened`` is told of what is new, once."""
    pause_s = FIRST_S
    while True:
        await rest(pause_s)
        pause_s = EVERY_S
        for name, ask in systems.items():
            try:
                await _look(name, await ask(), desk, widened)
            except LedgerFault:
                raise
            except ReconcilerdError as error:
                # Whoever reads its feeds meets the same, and tells it.
                log.info("scopes_not_told", channel=name, why=str(error)[:300])


async def _look(
    name: ChannelName, more: frozenset[str], desk: Desk, widened: Callable[[ChannelName, str], None]
) -> None:
    told = FindingRaised(FindingKind.MORE_SCOPES, name, ", ".join(sorted(more)), desk.clock(), not more)
    last = desk.book.findings.get(told.about)
    before = frozenset() if last is None or last.cleared else frozenset(last.detail.split(", "))
    if more == before:
        return
    await desk.take((told,), "scopes")
    if new := sorted(more - before):
        log.warning("scopes_widened", channel=name, new=new)
        widened(name, ", ".join(new))
