"""What a careful person builds by hand, to measure against: aware of orders in flight, and of nothing else.

Reads through the same connectors at the same pace. At each poll it writes to every listing its share of what
Extensiv has, less the open orders there, less those orders of the channels that Extensiv does not know yet. It
infers nothing, waits for nothing, leaves no headroom, and does not look whether a write arrived.
"""

from dataclasses import replace

import anyio

from reconcilerd.domain.allocation import allocate
from reconcilerd.domain.policy import PoolMode
from reconcilerd.domain.position import ClaimKind, Position
from reconcilerd.domain.survey import position_of, weather_of
from tests.world.noise import POLL_S
from tests.world.stage import Stage

COUNTED = frozenset({ClaimKind.IN_FLIGHT, ClaimKind.COMMITTED})


def only_reads(stage: Stage) -> None:
    """Call before the daemon starts: it reads and keeps its book, and plans nothing. The baseline writes."""
    setattr(stage.built.daemon.passes, "run", anyio.sleep_forever)  # noqa: B010 - a method, for this one stage


async def write_by_hand(stage: Stage) -> None:
    """Compute and write, poll after poll, for ever."""
    book = stage.built.daemon.desk.book
    while True:
        await anyio.sleep(POLL_S)
        now = stage.clock()
        for group in sorted(set(book.joins().groups.of.values())):
            _correct(stage, position_of(book, group, weather_of(book, now)))


def _correct(stage: Stage, position: Position) -> None:
    plain = replace(
        position,
        split=position.pool.mode is PoolMode.SPLIT,
        claims=tuple(claim for claim in position.claims if claim.kind in COUNTED),
        offers=tuple(replace(offer, write=None, known_since=0) for offer in position.offers),
    )
    if not plain.stock or not plain.orders_known:
        return
    for offer, share in zip(plain.offers, allocate(plain), strict=True):
        if offer.read is not None and offer.read != share.ideal:
            item = stage.world.stores[offer.slot.channel].items[offer.slot.listing]
            stage.world.accept_write(item, share.ideal, stage.clock())
