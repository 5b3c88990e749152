"""What a plan sends beside what the owner asked for, read off his policy itself and not off what was made of it."""

from collections.abc import Collection, Iterator

from reconcilerd.domain.change import Closed
from reconcilerd.domain.names import Sku
from reconcilerd.domain.plan import Entry, GroupPlan
from reconcilerd.domain.policy import Policy
from reconcilerd.domain.position import ClaimKind, OfferView, Position

Found = Iterator[tuple[str, str]]


def of_policy(plan: GroupPlan, policy: Policy) -> Found:
    """Everything of the owner's word that what a plan sends may break."""
    if plan.sends:
        for check in (held_back, only_lowered, within_caps, within_places):
            yield from check(plan, policy)


def held_back(plan: GroupPlan, policy: Policy) -> Found:
    """I1: nothing is raised while less is kept of a part than its safety stock, or than what is reserved of it."""
    for entry, offer in _raises(plan):
        for component, _ in offer.uses:
            for kind, asked in (
                (ClaimKind.SAFETY, _safety_stock(plan.position, component, policy)),
                (ClaimKind.RESERVED, _reserved(plan.position, component, policy)),
            ):
                kept = sum(
                    each.units
                    for each in plan.position.claims
                    if each.kind is kind and each.component == component
                )
                if kept < asked:
                    what = f"{kind.value} of {component} is {kept}, and {asked} by the policy"
                    yield "I1", f"{entry.slot.path}: raised to {entry.target}; {what}"


def only_lowered(plan: GroupPlan, policy: Policy) -> Found:
    """I17: a channel that may only be lowered is not raised."""
    for entry, offer in _raises(plan):
        if policy.channels[offer.slot.channel].decrease_only:
            yield "I17", f"{entry.slot.path}: raised to {entry.target}, and may only be lowered"


def within_caps(plan: GroupPlan, policy: Policy) -> Found:
    """I1: no listing is raised beyond its cap."""
    for entry, offer in _raises(plan):
        rule = policy.offer_rule(offer.sku, offer.slot.channel)
        if rule.cap is not None and entry.target * rule.units_per_sale > rule.cap:
            yield "I1", f"{entry.slot.path}: raised to {entry.target} beyond its cap of {rule.cap}"


def within_places(plan: GroupPlan, policy: Policy) -> Found:
    """I1: nothing is raised beyond what lies where its owner lets it ship from, and what he lends it."""
    lent = {each.slot: each.beyond for each in plan.allocations}
    for entry, offer in _raises(plan):
        mine = policy.channels[offer.slot.channel].places.get(offer.slot.place)
        barred = policy.sku_rule(offer.sku).excluded_locations
        barred |= policy.offer_rule(offer.sku, offer.slot.channel).excluded_locations
        for component, use in offer.uses:
            shut = barred | policy.sku_rule(component).excluded_locations
            there = sum(
                max(0, row.sellable)
                for row in plan.position.stock
                if row.sku == component and row.location not in shut and (not mine or row.location in mine)
            )
            if (entry.target - lent[entry.slot]) * use > there:
                yield "I1", f"{entry.slot.path}: raised to {entry.target}; it may ship {there} of {component}"


def not_while_closed(plan: GroupPlan, closed: Collection[Closed]) -> Found:
    """I17: nothing is sent in a freeze window but what it lets through, and that is at most a lower."""
    for entry in plan.sends:
        for window in closed:
            let = entry.target < entry.current and window.allow
            if window.channel in {"", entry.slot.channel} and not let:
                where = window.channel or "all"
                yield (
                    "I17",
                    f"{entry.slot.path}: {entry.target} is sent, and a freeze window of {where} is open",
                )


def _raises(plan: GroupPlan) -> Iterator[tuple[Entry, OfferView]]:
    offers = {each.slot: each for each in plan.position.offers}
    return ((each, offers[each.slot]) for each in plan.sends if each.target > each.current)


def _takers(position: Position, component: Sku) -> dict[Sku, int]:
    """The component itself, and each bundle of it that is offered in its group: how many it takes."""
    found = {component: 1}
    for offer in position.offers:
        each = offer.rule.units_per_sale
        for name, use in offer.uses:
            if name == component and offer.sku != component:
                found[offer.sku] = use // each
    return found


def _safety_stock(position: Position, component: Sku, policy: Policy) -> int:
    asked = {
        sku: (units, policy.sku_rule(sku).safety_stock) for sku, units in _takers(position, component).items()
    }
    usual = policy.default_sku.safety_stock
    return max(units * kept for sku, (units, kept) in asked.items() if sku == component or kept > usual)


def _reserved(position: Position, component: Sku, policy: Policy) -> int:
    return sum(
        each.units * units
        for sku, units in _takers(position, component).items()
        for each in policy.reserves.get(sku, ())
        if each.until > position.at
    )
