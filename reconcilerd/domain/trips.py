"""What makes a rail of a single slot trip: another hand, refusals. Counted by the slot, latched by whoever folds."""

from reconcilerd.domain.facts import CorrectionSent, Outcome, RailLatched
from reconcilerd.domain.habits import NEVER_REFUSED, Hand
from reconcilerd.domain.latches import TUG, Latches, latch_name, quarantine_name
from reconcilerd.domain.names import Instant, after
from reconcilerd.domain.orders import OrderBook
from reconcilerd.domain.policy import Limits
from reconcilerd.domain.slots import SlotTrack


def tug_of_war(
    track: SlotTrack, latches: Latches, limits: Limits, orders: OrderBook
) -> tuple[RailLatched, ...]:
    """Another hand changed what had been read back as ours: so often within the window trips.

    What customers bought, the store itself took off, and what they gave back it put back on sale. Both are often heard
    of after the number: so all that changed it lately are looked at again each time.
    """
    if track.foreign is None:
        return ()
    hand, track.foreign = track.foreign, None
    at, name = hand.at, latch_name(TUG, track.slot.path)
    hands = track.habits.changed_away(hand, limits.tug_window_ms)
    times = sum(not _by_customers(track, orders, each) for each in hands)
    if times < limits.tug_times or name in latches.on(at):
        return ()
    evidence = (
        f"changed away {times} times within {limits.tug_window_ms // 60_000} min, last to {track.value}"
    )
    return _trip(latches, name, "another hand changes what we wrote", at, evidence, limits.tug_hold_ms)


def _by_customers(track: SlotTrack, orders: OrderBook, hand: Hand) -> bool:
    """Whether known orders explain all that it was changed by."""
    told = orders.returned if hand.by > 0 else orders.placed
    return 0 < abs(hand.by) <= told(track.slot.channel, track.listing_sku, hand.since, hand.at)


def quarantined(
    track: SlotTrack, sent: CorrectionSent, value: int | None, latches: Latches, limits: Limits
) -> tuple[RailLatched, ...]:
    """The channel refused the same value of the same slot so often: it is parked."""
    if sent.outcome is not Outcome.REFUSED or value is None:
        return ()
    times, name = track.habits.refuse(value), quarantine_name(track.slot.path, value)
    if times < limits.refusals or name in latches.on(sent.at):
        return ()
    evidence = f"refused {times} times: {sent.detail[:160]}"
    return _trip(latches, name, "the channel refuses this value", sent.at, evidence, limits.quarantine_ms)


def _trip(
    latches: Latches, name: str, reason: str, at: Instant, evidence: str, hold_ms: int
) -> tuple[RailLatched, ...]:
    latch = RailLatched(name, True, "reconcilerd", reason, at, evidence, after(at, hold_ms))
    latches.take(latch)
    return (latch,)


def forgive(name: str, tracks: dict[str, SlotTrack]) -> None:
    """A latch was released: what led to it is counted anew."""
    rail, _, subject = name.partition(":")
    track = tracks.get(subject.rpartition("=")[0] or subject)
    if track is None:
        return
    if rail == TUG:
        track.habits.hands.clear()
    else:
        track.habits.refused = NEVER_REFUSED
