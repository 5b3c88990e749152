"""Rails on what orders do not explain: how much at once, how often, how surely known.

They never hold what orders explain, and an approved envelope releases every one of them. Which lowers wait for a
second reading, and why not all: settling a partial fall inside the limits costs more exposure than the rare wrong
reading of it, so it goes at once; only a sold-out zero that comes of a stock reading, and changes beyond the size
limits, are confirmed by separate readings, asked for by target, before they are published or a person is asked.
"""

from reconcilerd.domain.change import Change, Guard, Rails, Spent
from reconcilerd.domain.latches import CANARY, CONFIG_CHANGE, ZEROS, latch_name
from reconcilerd.domain.policy import Mode
from reconcilerd.domain.position import StockView
from reconcilerd.domain.verdicts import Verdict


def guarded_mode(change: Change, rails: Rails) -> Verdict | None:
    """Guarded: only lowers that orders explain go by themselves."""
    return Verdict.HOLD_APPROVAL if rails.mode is Mode.GUARDED else None


def protected_sku(change: Change, rails: Rails) -> Verdict | None:
    """SKUs that a rule protects change by themselves only as orders explain."""
    return Verdict.HOLD_PROTECTED if change.offer.protected else None


def never_counted(change: Change, rails: Rails) -> Verdict | None:
    """Nothing on hand, ever: more likely nobody counted it than that a number was shown of nothing (I5).

    What we once showed ourselves had been counted then.
    """
    if not change.zeroes or change.offer.last_written:
        return None
    by_component = _rows_by_component(change)
    unheard = any(rows and not any(row.counted for row in rows) for rows in by_component)
    return Verdict.HOLD_NEVER_COUNTED if unheard else None


def confirmed_zero(change: Change, rails: Rails) -> Verdict | None:
    """A zero that a stock reading brings is read again, separately, before it is believed."""
    if not change.zeroes:
        return None
    empty = [row for rows in _rows_by_component(change) for row in rows if not row.sellable]
    said = min((row.said for row in empty), default=change.position.limits.zero_reads)
    return Verdict.HOLD_CONFIRM if said < change.position.limits.zero_reads else None


def confirmed_size(change: Change, rails: Rails) -> Verdict | None:
    """Before a person is asked about a change beyond the size limits, the stock is read a second time."""
    large = unexplained_fall(change, rails) or raise_ratio(change, rails)
    rows = [row for rows in _rows_by_component(change) for row in rows]
    said = min((row.said for row in rows), default=change.position.limits.confirm_reads)
    return Verdict.HOLD_CONFIRM if large and said < change.position.limits.confirm_reads else None


def _rows_by_component(change: Change) -> list[list[StockView]]:
    """The stock rows that each component of the listing draws on."""
    position, offer = change.position, change.offer
    return [
        [
            row
            for row in position.stock
            if row.sku == component and row.location in offer.locations - position.excluded_of(component)
        ]
        for component, _ in offer.uses
    ]


def unexplained_fall(change: Change, rails: Rails) -> Verdict | None:
    """Holds a fall of one slot that is both large and large for it, unless orders explain it."""
    limits = change.position.limits
    if not change.lowers:
        return None
    large = change.unexplained > limits.unexplained_fall_units
    deep = change.unexplained * 1000 > limits.unexplained_fall_permille * max(1, change.current)
    return Verdict.HOLD_UNEXPLAINED if large and deep else None


def raise_ratio(change: Change, rails: Rails) -> Verdict | None:
    """Holds a raise that is large, and far beyond the most the slot is known to have shown in good order.

    Back to what it showed before it was sold out is no large raise, however low it stands now.
    """
    limits = change.position.limits
    if change.lowers or change.size <= limits.raise_floor_units:
        return None
    known = max(change.current, change.offer.last_good)
    return Verdict.HOLD_RAISE_RATIO if change.target * 1000 > limits.raise_permille * known else None


def zeros_latch(change: Change, rails: Rails) -> Verdict | None:
    """Once there were too many unexplained zeros on a channel, no more go there until a person resets it."""
    name = latch_name(ZEROS, change.offer.slot.channel)
    return Verdict.HOLD_ZEROS_LATCHED if change.zeroes and name in rails.latched else None


def zeros(change: Change, rails: Rails) -> Verdict | None:
    """Unexplained zeros are counted apart, over a longer window: one at a time they add up too."""
    full = _spent(change, rails).zeros >= change.position.limits.unexplained_zeros
    return Verdict.HOLD_ZEROS if change.zeroes and full else None


def window_slots(change: Change, rails: Rails) -> Verdict | None:
    """I15: so many listings of a channel within the sliding window."""
    full = _spent(change, rails).slots >= change.position.limits.window_slots
    return Verdict.HOLD_WINDOW_SLOTS if full else None


def window_share(change: Change, rails: Rails) -> Verdict | None:
    """I15: such a part of a channel's listings."""
    limits, spent = change.position.limits, _spent(change, rails)
    if spent.slots < limits.window_min_slots:
        return None
    over = (spent.slots + 1) * 1000 > limits.window_permille * max(1, spent.listings)
    return Verdict.HOLD_WINDOW_SHARE if over else None


def window_units(change: Change, rails: Rails) -> Verdict | None:
    """I15: so many units of a channel."""
    over = _spent(change, rails).units + change.unexplained > change.position.limits.window_units
    return Verdict.HOLD_WINDOW_UNITS if over else None


def window_value(change: Change, rails: Rails) -> Verdict | None:
    """I15: units worth so much. What has no price counts as nothing here, and by its units elsewhere."""
    over = _spent(change, rails).value + change.value > change.position.limits.window_value
    return Verdict.HOLD_WINDOW_VALUE if change.value and over else None


def _spent(change: Change, rails: Rails) -> Spent:
    return rails.spent.get(change.offer.slot.channel, Spent())


def attempt_budget(change: Change, rails: Rails) -> Verdict | None:
    """One slot is written so often an hour, and no more."""
    full = change.offer.attempts >= change.position.limits.attempts
    return Verdict.HOLD_ATTEMPTS if full else None


def canary_stopped(change: Change, rails: Rails) -> Verdict | None:
    """A canary batch was not read back as written: the rest waits for a person."""
    name = latch_name(CANARY, change.offer.slot.channel)
    return Verdict.HOLD_CANARY if name in rails.latched else None


def config_change(change: Change, rails: Rails) -> Verdict | None:
    """What a changed policy would do is looked at first; within its limit it goes by itself, else a person says."""
    waits = rails.observing or latch_name(CONFIG_CHANGE, "policy") in rails.latched
    return Verdict.HOLD_CONFIG_CHANGE if waits else None


SIZE: tuple[Guard, ...] = (
    guarded_mode,
    config_change,
    canary_stopped,
    protected_sku,
    never_counted,
    confirmed_zero,
    confirmed_size,
    unexplained_fall,
    raise_ratio,
    zeros_latch,
    zeros,
    window_slots,
    window_share,
    window_units,
    window_value,
    attempt_budget,
)
