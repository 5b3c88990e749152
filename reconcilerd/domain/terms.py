"""What the rules say of one listing at this moment: which is in force, and its ceilings and floors in channel units."""

from collections.abc import Iterable

from reconcilerd.domain.facts import SlotState
from reconcilerd.domain.names import ChannelName, Sku
from reconcilerd.domain.policy import MaxUnits, Percent, Rule
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.quantities import MAX_UNITS
from reconcilerd.domain.room import Room, level_of

LAST = 1 << 30
"""The place in the order of those who have none."""


def ours(offer: OfferView) -> bool:
    """Whether the slot is ours to give shares to. Others keep what they show and are counted."""
    return offer.rule.managed and not offer.ambiguous and offer.state is SlotState.BUYABLE


def rule_in_force(position: Position, offer: OfferView) -> tuple[Rule, bool]:
    """The rule for this moment, and whether it is the one for low stock (at the minimum level counts as low)."""
    low = offer.rule.low_stock
    if low is None or not offer.uses:
        return offer.rule.normal, False
    # Levels are stock, whatever one sale of it takes on a channel.
    each = offer.rule.units_per_sale
    level = min(level_of(position, component) * each // use for component, use in offer.uses)
    return (low, True) if level <= position.min_level(offer.sku) else (offer.rule.normal, False)


def percentages(rules: Iterable[tuple[OfferView, Rule]]) -> dict[Sku, int]:
    """What the percentages of each SKU's channels come to, in tenths of a percent.

    A channel counts once, at however many places it sells a SKU, and beside a listing that it has no more.
    """
    parts: dict[tuple[Sku, ChannelName], int] = {}
    for offer, rule in rules:
        if isinstance(rule, Percent) and offer.rule.weight is None:
            whose = offer.sku, offer.slot.channel
            parts[whose] = max(rule.permille, parts.get(whose, 0))
    sums: dict[Sku, int] = {}
    for (sku, _), permille in parts.items():
        sums[sku] = sums.get(sku, 0) + permille
    return sums


def place_in_line(offer: OfferView) -> int:
    """Its priority, the lowest first; those without one come last."""
    return LAST if offer.rule.priority is None else offer.rule.priority


def cap_of(offer: OfferView) -> int | None:
    return None if offer.rule.cap is None else offer.rule.cap // offer.rule.units_per_sale


def bounded(offer: OfferView, amount: int) -> int:
    """Cap and buffer applied; both are eaches of what one channel unit holds."""
    cap = cap_of(offer)
    capped = amount if cap is None else min(amount, cap)
    return max(0, capped - -(-offer.rule.buffer // offer.rule.units_per_sale))


def minimum_of(offer: OfferView, rule: Rule) -> int:
    """What is shown of it even where less is there; of what a rule does not offer at all, nothing."""
    if not offer.rule.minimum or rule == Percent(0):
        return 0
    return offer.rule.minimum // offer.rule.units_per_sale


def floor_of(offer: OfferView, rule: Rule) -> int:
    """What comes before all shares, as far as it is there."""
    return max(offer.rule.floor // offer.rule.units_per_sale, minimum_of(offer, rule))


def most_of(position: Position, offer: OfferView) -> int:
    """What a rule forbids to exceed, however much there is; what is there itself is judged elsewhere."""
    each = offer.rule.units_per_sale
    rule = rule_in_force(position, offer)[0]
    match rule:
        case Percent(0):
            most = offer.rule.pot // each
        case MaxUnits(limit):
            most = limit // each
        case Percent():
            most = MAX_UNITS
    most = max(most, floor_of(offer, rule))
    cap = cap_of(offer)
    return most if cap is None else min(most, cap)


def eaches_in(room: Room, offer: OfferView) -> int:
    """What the offer could draw on alone, in eaches of its SKU (a share is taken before units per sale)."""
    each = offer.rule.units_per_sale
    return min((shelf.left * each // use for shelf, use in room.holding(offer.slot)), default=0)


def part_of(room: Room, offer: OfferView, permille: int) -> int:
    """A percentage of what it could draw on alone, in channel units."""
    return eaches_in(room, offer) * permille // 1000 // offer.rule.units_per_sale


def ceiling_of(room: Room, offer: OfferView, rule: Rule) -> int:
    """The most a rule lets it have of a room."""
    each = offer.rule.units_per_sale
    match rule:
        case Percent(permille):
            return part_of(room, offer, permille)
        case MaxUnits(limit):
            return min(room.alone(offer.slot), limit // each)


def claimant(room: Room, offer: OfferView, rule: Rule, *, whole: bool) -> tuple[int, int]:
    """Weight and ceiling in a split of a room, the declared cap apart.

    ``whole``: the percentages of all listings add up to a hundred or more, so that they divide everything.
    """
    if offer.rule.weight is not None:
        return offer.rule.weight, ceiling_of(room, offer, rule)
    match rule:
        case Percent(permille):
            return permille, room.alone(offer.slot) if whole else part_of(room, offer, permille)
        case MaxUnits():
            return 1000, ceiling_of(room, offer, rule)
