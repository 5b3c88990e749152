"""Our writes of one slot while they are open: what a reading tells of them."""

from dataclasses import dataclass, replace

from reconcilerd.domain.facts import CorrectionEnd, SlotObserved
from reconcilerd.domain.names import Instant
from reconcilerd.domain.orders import OrderBook
from reconcilerd.domain.policy import ChannelRule


@dataclass(frozen=True, slots=True)
class OpenWrite:
    """A write whose effect no reading has shown yet. ``before`` is what the slot showed when it was decided."""

    id: str
    target: int
    before: int
    based_on: Instant
    sent: Instant
    answered: bool = False
    """Whether anything more than a reading can still tell what became of it."""
    owed: int = 0
    """How far below zero it was then."""
    over: int = 0
    """What can have sold unseen before it has its effect: nobody takes what is not shown. It is what the slot showed
    when it was decided, and what earlier writes may have put there since."""


def orphaned(write: OpenWrite, now: Instant) -> OpenWrite:
    """A write whose sender is no more: it may have left until now, and no answer will come."""
    return replace(write, based_on=min(write.based_on, now), sent=now, answered=True)


def end_of(
    write: OpenWrite, seen: SlotObserved, code: str, orders: OrderBook, channel: ChannelRule, *, alone: bool
) -> CorrectionEnd | None:
    """Whether a reading confirms a write, shows it missed, or tells nothing yet (rule 6).

    Nothing is told of what was not answered: it may not even have left. Where there was another write, a move
    towards one of them may be the other's doing, and confirms nothing. Below the target of a write that compares
    nothing, sales alone may have brought it: the write may still come, and bring units back.
    """
    read = seen.quantity
    if not write.answered or seen.as_of < write.sent:
        return None
    due = seen.as_of > write.sent + channel.apply_max_ms
    if read is None:
        return CorrectionEnd.MISSED if due else None
    sold = orders.known(seen.slot.channel, code, write.based_on, seen.as_of)
    if arrived(read, write.before, write.target, sold, alone=alone):
        sure = due or channel.compare_and_set or read == write.target or write.target > write.before
        return CorrectionEnd.CONFIRMED if sure else None
    return CorrectionEnd.MISSED if due else None


def arrived(read: int, before: int, target: int, sold: int, *, alone: bool = True) -> bool:
    """Whether a number is what a write made it, less what sold since, or moved past the old one towards it (rule 6)."""
    towards = read <= target if target < before else before < read <= target
    return target - sold <= read <= target or (alone and towards)
