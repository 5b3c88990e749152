"""Numbers of a channel that moved by more than anything explains, and how long they are not believed (rule 4).

A feed that is wrong looks like another hand. Until the number is confirmed nobody gains the units that it lost, and
nobody is lowered for those that it gained: what the listing shows is taken for the larger of the two where others are
raised, for the smaller where they are lowered. Its own correction goes on, for that compares: if it succeeds, the
number was right. A compare that fails shows the reading to be wrong, whatever is read again.
"""

from dataclasses import replace

from reconcilerd.domain.facts import LevelDoubted, SlotObserved
from reconcilerd.domain.names import Instant
from reconcilerd.domain.orders import OrderBook

LONGEST_DOUBT_MS = 4 * 3_600_000
"""Where a compare of ours could tell and none was made, so long after the last jump or failed compare the number is
believed regardless: whatever holds our writes there, people were told of it long ago.
"""


def doubted_after(
    doubt: LevelDoubted | None,
    seen: SlotObserved,
    read: int,
    before: int,
    since: Instant,
    orders: OrderBook,
    code: str,
    cap: int,
) -> LevelDoubted | None:
    """The doubt that a reading of ``read`` leaves; ``before``: the number at ``since``; ``cap``: what may have sold."""
    jumped = not _explained(read, before, since, seen, orders, code, cap)
    if doubt is None:
        return LevelDoubted(seen.slot, before, since, seen.as_of) if jumped else None
    assert doubt.before is not None  # one that has ended is none
    # A number that only stays what it is has confirmed nothing, however much might have sold by now.
    if read != before and _explained(read, doubt.before, doubt.since, seen, orders, code, cap):
        return None
    return replace(doubt, at=seen.as_of) if jumped else doubt


def _explained(
    read: int, before: int, since: Instant, seen: SlotObserved, orders: OrderBook, code: str, cap: int
) -> bool:
    """Whether sales alone may have brought the number there: those that are known, and as many as may be inferred."""
    known = orders.placed(seen.slot.channel, code, since, seen.as_of)
    return before - known - cap <= read <= before


def refuted(doubt: LevelDoubted, at: Instant) -> LevelDoubted:
    """The doubt after a compare against the doubted number has failed."""
    return replace(doubt, at=max(doubt.at, at))


def ended(doubt: LevelDoubted, at: Instant) -> LevelDoubted:
    return replace(doubt, before=None, at=max(doubt.at, at))


def believed_before(
    doubt: LevelDoubted, orders: OrderBook, code: str, read_at: Instant, gap_ms: int, *, compared: bool
) -> int | None:
    """What the listing showed before, less what is known to have sold there since; None once its number is confirmed.

    ``read_at``: when it was read last. ``compared``: our own write of it compares, and is its test; elsewhere a second
    reading, ``gap_ms`` later, is.
    """
    if doubt.before is None or read_at >= doubt.at + (LONGEST_DOUBT_MS if compared else gap_ms):
        return None
    return max(0, doubt.before - orders.placed(doubt.slot.channel, code, doubt.since, read_at))
