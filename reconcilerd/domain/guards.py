"""Rules that may stop one correction, each a pure function with a verdict. The first that holds is the answer.

Lowering is cheap, raising needs proof: a lower inside the size limits is held by nothing but a person's word or
a slot that is not ours; a raise needs every input known and fresh.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType

from reconcilerd.domain.facts import EnvelopeApproved, SlotState
from reconcilerd.domain.names import ChannelName, Instant
from reconcilerd.domain.policy import Mode, Publisher, UnreadPeer
from reconcilerd.domain.position import ClaimKind, OfferView, Position


class Verdict(StrEnum):
    SEND = "send"
    HOLD_STOP_FILE = "hold_stop_file"
    HOLD_BREACH = "hold_breach"
    HOLD_FROZEN = "hold_frozen"
    HOLD_MODE = "hold_mode"
    HOLD_APPROVAL = "hold_approval"
    HOLD_AMBIGUOUS = "hold_ambiguous"
    HOLD_NOT_OURS = "hold_not_ours"
    HOLD_SLOT_OFF = "hold_slot_off"
    HOLD_UNTRACKED = "hold_untracked"
    HOLD_NATIVE_PUSH = "hold_native_push"
    HOLD_UNKNOWN = "hold_unknown"
    HOLD_REFUSED = "hold_refused"
    HOLD_PENDING = "hold_pending"
    HOLD_REREAD = "hold_reread"
    HOLD_UNEXPLAINED = "hold_unexplained"
    HOLD_ZEROS = "hold_zeros"
    HOLD_WINDOW_SLOTS = "hold_window_slots"
    HOLD_WINDOW_SHARE = "hold_window_share"
    HOLD_WINDOW_UNITS = "hold_window_units"
    HOLD_FIRST_RUN = "hold_first_run"
    HOLD_STORM = "hold_storm"
    HOLD_DARK = "hold_dark"
    HOLD_STOCK_STALE = "hold_stock_stale"
    HOLD_OWN_STALE = "hold_own_stale"
    HOLD_PEER_STALE = "hold_peer_stale"
    HOLD_PEER_UNREAD = "hold_peer_unread"
    HOLD_UNMATCHED = "hold_unmatched"
    HOLD_UNSETTLED = "hold_unsettled"
    HOLD_TOO_WIDE = "hold_too_wide"
    HOLD_HEADROOM = "hold_headroom"


MEANS: Mapping[Verdict, str] = MappingProxyType(
    {
        Verdict.SEND: "is sent",
        Verdict.HOLD_STOP_FILE: "the STOP file is there; remove it to go on",
        Verdict.HOLD_BREACH: "an invariant was broken; find out why, then reconcilerd lift",
        Verdict.HOLD_FROZEN: "writes are frozen by a person; reconcilerd unfreeze",
        Verdict.HOLD_MODE: "mode observe only looks",
        Verdict.HOLD_APPROVAL: "mode guarded asks first; reconcilerd approve",
        Verdict.HOLD_AMBIGUOUS: "several listings carry this SKU, or it is mapped twice; keep one",
        Verdict.HOLD_NOT_OURS: "a rule says it is not managed",
        Verdict.HOLD_SLOT_OFF: "nobody can buy it there now",
        Verdict.HOLD_UNTRACKED: "the channel does not count it",
        Verdict.HOLD_NATIVE_PUSH: "Extensiv pushes its own number; switch the push off there",
        Verdict.HOLD_UNKNOWN: "stock of a component was never read",
        Verdict.HOLD_REFUSED: "the channel would not take it; tried again later",
        Verdict.HOLD_PENDING: "our last write is not read back yet",
        Verdict.HOLD_REREAD: "the listing is read again first",
        Verdict.HOLD_UNEXPLAINED: "a large fall that no orders explain; reconcilerd approve",
        Verdict.HOLD_ZEROS: "too many unexplained zeros for now; reconcilerd approve",
        Verdict.HOLD_WINDOW_SLOTS: "too many listings changed for now; reconcilerd approve",
        Verdict.HOLD_WINDOW_SHARE: "too large a part of the channel changed for now; reconcilerd approve",
        Verdict.HOLD_WINDOW_UNITS: "too many units changed for now; reconcilerd approve",
        Verdict.HOLD_FIRST_RUN: "not everything was read once yet",
        Verdict.HOLD_STORM: "most channels fail together: it is probably us",
        Verdict.HOLD_DARK: "the stock or the channel was not read for too long",
        Verdict.HOLD_STOCK_STALE: "the stock is read again first",
        Verdict.HOLD_OWN_STALE: "the listing is read again first",
        Verdict.HOLD_PEER_STALE: "the pool's other listings are read again first",
        Verdict.HOLD_PEER_UNREAD: "another listing of the pool was never read",
        Verdict.HOLD_UNMATCHED: "too many of the channel's orders are not found in Extensiv",
        Verdict.HOLD_UNSETTLED: "a large fall waits for the orders that explain it",
        Verdict.HOLD_TOO_WIDE: "the pool spans too many sets of warehouses",
        Verdict.HOLD_HEADROOM: "others may still be showing these units",
    }
)
"""What each means to a person, and what to do."""

NEEDS_A_PERSON = frozenset(
    {
        Verdict.HOLD_APPROVAL,
        Verdict.HOLD_UNEXPLAINED,
        Verdict.HOLD_ZEROS,
        Verdict.HOLD_WINDOW_SLOTS,
        Verdict.HOLD_WINDOW_SHARE,
        Verdict.HOLD_WINDOW_UNITS,
    }
)
"""Holds that an approved envelope releases. All others end by themselves or by changing the cause."""

SOON = frozenset(
    {
        Verdict.HOLD_PENDING,
        Verdict.HOLD_REREAD,
        Verdict.HOLD_STOCK_STALE,
        Verdict.HOLD_OWN_STALE,
        Verdict.HOLD_PEER_STALE,
        Verdict.HOLD_UNSETTLED,
        Verdict.HOLD_HEADROOM,
    }
)
"""Holds that a reading on its way will end."""

GOES = SOON | {Verdict.SEND}
"""What nobody need be told is held."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was changed on one channel within the sliding window, beyond what orders explain."""

    slots: int = 0
    units: int = 0
    zeros: int = 0
    listings: int = 0
    """How many listings the channel has in all (for the share)."""


@dataclass(frozen=True, slots=True)
class Rails:
    """What stands outside a position: a person's words, and what this window has seen already."""

    mode: Mode
    stop: bool = False
    frozen: frozenset[str] = frozenset()
    """Channel names; the empty name freezes all."""
    spent: Mapping[ChannelName, Spent] = field(default_factory=lambda: MappingProxyType({}))
    envelopes: tuple[EnvelopeApproved, ...] = ()
    breach: bool = False
    """Whether an invariant was broken, and nobody has lifted that yet."""

    def after(self, change: "Change") -> "Rails":
        """These rails once ``change`` is sent."""
        old = self.spent.get(change.offer.slot.channel, Spent())
        if not change.unexplained:
            return self
        new = replace(
            old,
            slots=old.slots + 1,
            units=old.units + change.unexplained,
            zeros=old.zeros + change.sold_out,
        )
        return replace(self, spent={**self.spent, change.offer.slot.channel: new})


@dataclass(frozen=True, slots=True)
class Change:
    """One correction under judgement, in channel units; ``current`` is what the slot shows now."""

    position: Position
    offer: OfferView
    current: int
    target: int
    sold_out: bool = False
    """Nothing at all is left that this slot could show (a small share of little is no zero stock)."""

    @property
    def lowers(self) -> bool:
        return self.target < self.current or (self.offer.write or 0) > self.target

    @property
    def size(self) -> int:
        return abs(self.target - self.current)

    @property
    def unexplained(self) -> int:
        """Units of the change that orders do not account for. Raises are never explained by orders."""
        if not self.lowers:
            return self.size
        return max(0, self.size - explained_units(self.position, self.offer))


def explained_units(position: Position, offer: OfferView) -> int:
    """Sales that orders and inferred sales account for, on the component that sold most (channel units).

    Orders placed, or first heard of, in the window count whatever became of them: what has shipped is gone from the
    shelf, and no claim. Older ones do not, shipped or not: what is shown has been less for them all along.
    """
    sold = dict(position.sold)
    inferred = {
        component: sum(
            c.units for c in position.claims if c.component == component and c.kind is ClaimKind.INFERRED
        )
        for component, _ in offer.uses
    }
    return max((sold.get(each, 0) + inferred[each]) // use for each, use in offer.uses) if offer.uses else 0


Guard = Callable[[Change, Rails], Verdict | None]


def stop_file(change: Change, rails: Rails) -> Verdict | None:
    return Verdict.HOLD_STOP_FILE if rails.stop else None


def unbroken(change: Change, rails: Rails) -> Verdict | None:
    """Code that is proved wrong writes nothing, lowers neither."""
    return Verdict.HOLD_BREACH if rails.breach else None


def freeze(change: Change, rails: Rails) -> Verdict | None:
    stopped = "" in rails.frozen or change.offer.slot.channel in rails.frozen
    return Verdict.HOLD_FROZEN if stopped else None


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


def left_in_peace(change: Change, rails: Rails) -> Verdict | None:
    """A channel that will not take a write is asked again, but not at once."""
    return Verdict.HOLD_REFUSED if change.position.at < change.offer.not_before else None


def one_write_at_a_time(change: Change, rails: Rails) -> Verdict | None:
    write = change.offer.write
    if change.offer.replaced and not change.lowers:
        return Verdict.HOLD_PENDING
    if write is None or (change.lowers and write > change.target):
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


def unexplained_fall(change: Change, rails: Rails) -> Verdict | None:
    """Holds a fall of one slot that is both large and large for it, unless orders explain it."""
    limits = change.position.limits
    if not change.lowers:
        return None
    large = change.unexplained > limits.unexplained_fall_units
    deep = change.unexplained * 1000 > limits.unexplained_fall_permille * max(1, change.current)
    return Verdict.HOLD_UNEXPLAINED if large and deep else None


def window(change: Change, rails: Rails) -> Verdict | None:
    """I15: what one channel may change within the sliding window, unless orders explain it."""
    limits = change.position.limits
    if not change.unexplained:
        return None
    spent = rails.spent.get(change.offer.slot.channel, Spent())
    if change.sold_out and spent.zeros >= limits.unexplained_zeros:
        return Verdict.HOLD_ZEROS
    if spent.slots >= limits.window_slots:
        return Verdict.HOLD_WINDOW_SLOTS
    if spent.slots >= limits.window_min_slots and (spent.slots + 1) * 1000 > limits.window_permille * max(
        1, spent.listings
    ):
        return Verdict.HOLD_WINDOW_SHARE
    return Verdict.HOLD_WINDOW_UNITS if spent.units + change.unexplained > limits.window_units else None


def guarded_mode(change: Change, rails: Rails) -> Verdict | None:
    """Guarded: only lowers that orders explain go by themselves."""
    waits = rails.mode is Mode.GUARDED and (not change.lowers or change.unexplained)
    return Verdict.HOLD_APPROVAL if waits else None


def sound_sources(change: Change, rails: Rails) -> Verdict | None:
    position = change.position
    channel = position.channel(change.offer.slot.channel)
    unheard = any(each.through is None and not each.dark for each in position.channels)
    if not position.orders_known or not channel.swept or channel.through is None or unheard:
        return Verdict.HOLD_FIRST_RUN
    if position.storm:
        return Verdict.HOLD_STORM
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


def settled_falls(change: Change, rails: Rails) -> Verdict | None:
    """A fall too large to be inferred may yet be one large order: until its orders are known, nobody gets its units."""
    mine = {component for component, _ in change.offer.uses}
    unsettled = any(
        offer.unsettled and not mine.isdisjoint(component for component, _ in offer.uses)
        for offer in change.position.offers
    )
    return Verdict.HOLD_UNSETTLED if unsettled else None


def stale_peers(position: Position, offer: OfferView) -> tuple[OfferView, ...]:
    """Listings of living channels in a split pool whose reading is too old, or known to be wrong, for a raise."""
    if not position.split:
        return ()
    return tuple(
        peer
        for peer in position.offers
        if peer.slot != offer.slot
        and not position.channel(peer.slot.channel).dark
        and (peer.suspect or position.at - peer.age_of > position.ages.peer_slot_ms)
    )


STANDING: tuple[Guard, ...] = (
    stop_file,
    unbroken,
    freeze,
    observe_only,
    ownership,
    known_supply,
    left_in_peace,
    one_write_at_a_time,
)
SIZE: tuple[Guard, ...] = (guarded_mode, unexplained_fall, window)
LOWERS: tuple[Guard, ...] = (reread_before_a_blind_lower, comparable_reading)
RAISES: tuple[Guard, ...] = (
    sound_sources,
    peers_read,
    fresh_stock,
    fresh_own_reading,
    fresh_peers,
    settled_falls,
    comparable_reading,
)


def judge(change: Change, rails: Rails) -> Verdict:
    """The first guard that holds, or SEND. An envelope releases the size guards, never the others."""
    guards = STANDING + (LOWERS if change.lowers else RAISES)
    for guard in guards:
        verdict = guard(change, rails)
        if verdict is not None:
            return verdict
    if released(change, rails.envelopes):
        return Verdict.SEND
    return next((verdict for guard in SIZE if (verdict := guard(change, rails)) is not None), Verdict.SEND)


def released(change: Change, envelopes: tuple[EnvelopeApproved, ...]) -> bool:
    """Whether a person's approval covers this change, as it is computed now."""
    direction = "lower" if change.lowers else "raise"
    at: Instant = change.position.at
    return any(
        change.offer.sku in each.skus
        and each.direction in {direction, "both"}
        and change.size <= each.ceiling
        and each.at <= at < each.until
        for each in envelopes
    )
