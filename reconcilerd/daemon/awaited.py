"""What of a pool group may change although it brings no news, so that somebody must look at it again."""

from reconcilerd.daemon.desk import Awaits
from reconcilerd.domain.plan import GroupPlan
from reconcilerd.domain.policy import PoolMode
from reconcilerd.domain.position import ClaimKind

MOVING = frozenset(
    {
        ClaimKind.SHIPPED,
        ClaimKind.INFERRED,
        ClaimKind.UNSETTLED,
        ClaimKind.BURIED,
        ClaimKind.IN_FLIGHT,
    }
)
"""Claims that end by a reading or by time."""
QUICK_MILLI = 12_000
"""Thousandths of a unit an hour: what sells so fast where nobody can look is looked at as often as all that waits.

Of anything slower not one unit more is likely sold from one look at everybody to the next, while a source is dark.
"""


def unread(plan: GroupPlan) -> bool:
    """Whether the stock it is about was never read: then the next look finds nothing of what this one found.

    At a first start that is all there is.
    """
    return bool(plan.position.unknown)


def awaited(plan: GroupPlan) -> Awaits:
    """What may change this plan although it brings no news. Where nothing drifts, neither age nor speed of sale does:
    the same room gives the same shares.
    """
    position = plan.position
    awaits = Awaits.NOTHING
    if plan.drifts or any(
        each.write is not None or each.replaced or each.suspect for each in position.offers
    ):
        awaits |= Awaits.REREAD
    for claim in position.claims:
        if claim.kind in MOVING:
            awaits |= Awaits.REREAD
        if claim.kind is ClaimKind.SHIPPED:
            awaits |= Awaits.STOCK
        if claim.until is not None or claim.waived:
            awaits |= Awaits.TIME
    if not position.split and any(
        each.rate.milli_per_hour >= QUICK_MILLI and position.channel(each.slot.channel).dark
        for each in position.offers
    ):
        awaits |= Awaits.TIME
    if awaits and position.split and position.pool.mode is PoolMode.ADAPTIVE:
        awaits |= Awaits.TIME  # without a sale its speed falls, and with it what is called scarce
    return awaits
