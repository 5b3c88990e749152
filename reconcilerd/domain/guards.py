"""Rules that may stop one correction, each a pure function with a verdict. The first that holds is the answer.

Lowering is cheap, raising needs proof: a lower inside the size limits is held by nothing but a person's word or
a slot that is not ours; a raise needs every input known and fresh. What of it orders explain
never meets the rails of ``size``.
"""

from collections.abc import Iterable

from reconcilerd.domain.change import Change, Closed, Guard, Rails, Spent, explained_units
from reconcilerd.domain.facts import EnvelopeApproved, SlotState
from reconcilerd.domain.latches import TUG, latch_name, quarantine_name
from reconcilerd.domain.names import Instant, Sku
from reconcilerd.domain.policy import Mode, Publisher, UnreadPeer
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.size import SIZE
from reconcilerd.domain.verdicts import GOES, MEANS, NEEDS_A_PERSON, SHORT_OF_ALLOWANCE, SOON, STALE, Verdict

__all__ = [
    "GOES",
    "LOWERS",
    "MEANS",
    "NEEDS_A_PERSON",
    "RAISES",
    "SHORT_OF_ALLOWANCE",
    "SIZE",
    "SOON",
    "STALE",
    "STANDING",
    "Change",
    "Closed",
    "Guard",
    "Rails",
    "Spent",
    "Verdict",
    "covers",
    "explained_units",
    "judge",
    "released",
    "stale_peers",
]


def stop_file(change: Change, rails: Rails) -> Verdict | None:
    return Verdict.HOLD_STOP_FILE if rails.stop else None


def unbroken(change: Change, rails: Rails) -> Verdict | None:
    """Code that is proved wrong writes nothing, lowers neither."""
    return Verdict.HOLD_BREACH if rails.breach else None


def freeze(change: Change, rails: Rails) -> Verdict | None:
    stopped = "" in rails.frozen or change.offer.slot.channel in rails.frozen
    return Verdict.HOLD_FROZEN if stopped else None


def freeze_window(change: Change, rails: Rails) -> Verdict | None:
    """A freeze of the configuration's calendar. Where several are open, each may stop it."""
    barred = any(
        each.bars(change.offer.slot.channel, lowers=change.lowers, cures=change.cures)
        for each in rails.closed
    )
    return Verdict.HOLD_FREEZE_WINDOW if barred else None


def circuit(change: Change, rails: Rails) -> Verdict | None:
    """Half of the calls to the channel fail: nothing more is written there until reads succeed."""
    return Verdict.HOLD_CIRCUIT if change.offer.slot.channel in rails.circuits else None


def pin(change: Change, rails: Rails) -> Verdict | None:
    """A pinned number stays, unless it is more than there is: no person's word sells what is not there."""
    pinned = change.offer.slot in rails.pinned
    return Verdict.HOLD_PINNED if pinned and not change.cures else None


def observe_only(change: Change, rails: Rails) -> Verdict | None:
    return Verdict.HOLD_MODE if rails.mode is Mode.OBSERVE else None


def ownership(change: Change, rails: Rails) -> Verdict | None:
    """I17: a slot is written only if we are one of its writers."""
    offer = change.offer
    if offer.ambiguous:
        return Verdict.HOLD_AMBIGUOUS
    if not offer.rule.managed:
        return Verdict.HOLD_NOT_OURS
    extensiv = change.position.channel(offer.slot.channel).publisher is Publisher.EXTENSIV
    if (offer.pushed or extensiv) and rails.mode is not Mode.NET:
        return Verdict.HOLD_NATIVE_PUSH
    match offer.state:
        case SlotState.UNTRACKED:
            return Verdict.HOLD_UNTRACKED
        case SlotState.INACTIVE | SlotState.NOT_ONLINE | SlotState.UNPUBLISHED:
            return Verdict.HOLD_SLOT_OFF
        case SlotState.BUYABLE:
            return None


def known_supply(change: Change, rails: Rails) -> Verdict | None:
    """A component nobody ever counted says nothing, least of all zero (I5)."""
    unknown = any(component in change.position.unknown for component, _ in change.offer.uses)
    return Verdict.HOLD_UNKNOWN if unknown else None


def tug_of_war(change: Change, rails: Rails) -> Verdict | None:
    """Somebody else changes it back again and again: it is written only to cure what shows too much."""
    held = bool(rails.latched) and latch_name(TUG, change.offer.slot.path) in rails.latched
    return Verdict.HOLD_TUG_OF_WAR if held and not change.cures else None


def quarantine(change: Change, rails: Rails) -> Verdict | None:
    """A value that the channel refused again and again is not tried for hours; another one is.

    What shows more than could ship is tried on, after its usual rests: each minute that it is not may oversell.
    """
    name = quarantine_name(change.offer.slot.path, change.target) if rails.latched else ""
    return Verdict.HOLD_QUARANTINE if name in rails.latched and not change.cures else None


def left_in_peace(change: Change, rails: Rails) -> Verdict | None:
    """A channel that will not take a write is asked again, but not at once."""
    return Verdict.HOLD_REFUSED if change.position.at < change.offer.not_before else None


def one_write_at_a_time(change: Change, rails: Rails) -> Verdict | None:
    write = change.offer.write
    if change.offer.replaced and not change.lowers:
        return Verdict.HOLD_PENDING
    if write is None or (change.lowers and (write > change.target or change.offer.overtaken)):
        return None
    return Verdict.HOLD_PENDING


def reread_before_a_blind_lower(change: Change, rails: Rails) -> Verdict | None:
    """A blind lower from an old reading is a raise in disguise; compare-and-set needs no such care."""
    position = change.position
    if not change.lowers or position.channel(change.offer.slot.channel).compare_and_set:
        return None
    old = position.at - change.offer.age_of > position.ages.lower_reread_ms
    return Verdict.HOLD_REREAD if old else None


def comparable_reading(change: Change, rails: Rails) -> Verdict | None:
    """Orders known since the reading, or a failed compare, say that its number has moved: read it again first."""
    return Verdict.HOLD_REREAD if change.offer.known_since or change.offer.suspect else None


def decrease_only(change: Change, rails: Rails) -> Verdict | None:
    """A channel that the configuration lets us lower only."""
    only = change.position.channel(change.offer.slot.channel).decrease_only
    return Verdict.HOLD_DECREASE_ONLY if only else None


def suspect_reading(change: Change, rails: Rails) -> Verdict | None:
    """A whole reading of what the pool shows, or of the catalogue, is doubtful: nothing is raised by it.

    Doubtful stock needs no guard: a raise is granted from the smaller of what was said before and now, a lower
    from the larger. A lower of what a channel says it shows goes on: read wrongly, it fails or changes little.
    """
    position = change.position
    doubted = position.doubted or any(each.doubted for each in position.channels)
    return Verdict.HOLD_SUSPECT if doubted else None


def half_fails(change: Change, rails: Rails) -> Verdict | None:
    """More than half of the channels, and at least two, are dark or failing: it is probably us."""
    return Verdict.HOLD_STORM if rails.half_fails or change.position.storm else None


def sound_sources(change: Change, rails: Rails) -> Verdict | None:
    position = change.position
    channel = position.channel(change.offer.slot.channel)
    unheard = any(each.through is None and not each.dark for each in position.channels)
    if not position.orders_known or not channel.swept or channel.through is None or unheard:
        return Verdict.HOLD_FIRST_RUN
    if position.stock_dark or channel.dark:
        return Verdict.HOLD_DARK
    return Verdict.HOLD_UNMATCHED if channel.unmatched else None


def peers_read(change: Change, rails: Rails) -> Verdict | None:
    """A peer never read may show anything; which pools go on regardless is a person's choice."""
    position = change.position
    unread = position.unlisted or any(
        offer.shown is None and offer.last_written is None and offer.state is SlotState.BUYABLE
        for offer in position.offers
    )
    hold = position.split and position.pool.unread_peer is UnreadPeer.HOLD
    return Verdict.HOLD_PEER_UNREAD if unread and hold else None


def fresh_stock(change: Change, rails: Rails) -> Verdict | None:
    position = change.position
    components = {component for component, _ in change.offer.uses}
    old = any(
        position.at - row.age_of > position.ages.stock_ms for row in position.stock if row.sku in components
    )
    return Verdict.HOLD_STOCK_STALE if old else None


def fresh_own_reading(change: Change, rails: Rails) -> Verdict | None:
    position = change.position
    return Verdict.HOLD_OWN_STALE if position.at - change.offer.age_of > position.ages.own_slot_ms else None


def fresh_peers(change: Change, rails: Rails) -> Verdict | None:
    return Verdict.HOLD_PEER_STALE if stale_peers(change.position, change.offer) else None


def stale_peers(position: Position, offer: OfferView) -> tuple[OfferView, ...]:
    """Listings of living channels beside which a raise is reckoned, and whose reading is too old or known to be wrong.

    A lower that was answered and not read yet frees nothing: some answers are not true.
    """
    return tuple(
        peer
        for peer in position.beside(offer)
        if not position.channel(peer.slot.channel).dark
        and (
            peer.suspect
            or peer.only_answered
            or position.at - peer.age_of > position.ages.peer_slot_ms
            # What was ordered since it was read may have come off another of its channel's places.
            or (peer.known_since and position.elsewhere(peer))
        )
    )


STANDING: tuple[Guard, ...] = (
    stop_file,
    unbroken,
    freeze,
    freeze_window,
    pin,
    observe_only,
    ownership,
    circuit,
    known_supply,
    tug_of_war,
    quarantine,
    left_in_peace,
    one_write_at_a_time,
)
LOWERS: tuple[Guard, ...] = (reread_before_a_blind_lower, comparable_reading)
RAISES: tuple[Guard, ...] = (
    decrease_only,
    half_fails,
    suspect_reading,
    sound_sources,
    peers_read,
    fresh_stock,
    fresh_own_reading,
    fresh_peers,
    comparable_reading,
)


def judge(change: Change, rails: Rails) -> Verdict:
    """The first guard that holds, or SEND. An envelope releases the size guards, never the others.

    A size guard never sees what orders explain. What waits for a person is read anew once he has agreed, not again and
    again until he does.
    """
    guards = STANDING + (LOWERS if change.lowers else RAISES)
    held = _first(guards, change, rails)
    if held not in {None, *STALE} or not change.unexplained or released(change, rails.envelopes):
        return held or Verdict.SEND
    size = _first(SIZE, change, rails)
    if held is not None and size not in NEEDS_A_PERSON:
        return held
    return size or Verdict.SEND


def _first(guards: Iterable[Guard], change: Change, rails: Rails) -> Verdict | None:
    return next((verdict for guard in guards if (verdict := guard(change, rails)) is not None), None)


def released(change: Change, envelopes: tuple[EnvelopeApproved, ...]) -> bool:
    """Whether a person's approval covers this change, as it is computed now."""
    direction = "lower" if change.lowers else "raise"
    at: Instant = change.position.at
    zero = change.target == 0
    return any(covers(each, change.offer.sku, direction, change.size, at, zero=zero) for each in envelopes)


def covers(
    envelope: EnvelopeApproved, sku: Sku, direction: str, size: int, at: Instant, *, zero: bool
) -> bool:
    """Whether an approval is for such a change at a moment. ``zero``: the change ends at zero.

    What was a small lower when somebody agreed to it is one to nothing after some sales: zeros are agreed to by name.
    """
    most = envelope.most(sku, direction)
    return (
        most is not None
        and size <= most
        and (envelope.zeros or not zero)
        and envelope.at <= at < envelope.until
    )
