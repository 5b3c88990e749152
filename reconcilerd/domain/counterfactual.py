"""What would have to change for a listing to show more: each lever alone, the smallest change that does it.

No second engine: every answer is the very plan that ``make_plan`` gives for the changed position, and is checked so:
with the change it suffices, with one unit less not. What a lever cannot do is told with the bound that stops it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from reconcilerd.domain.adaptive import scarcity
from reconcilerd.domain.allocation import Allocation, Because
from reconcilerd.domain.explain import BECAUSE
from reconcilerd.domain.facts import EnvelopeApproved
from reconcilerd.domain.guards import MEANS, NEEDS_A_PERSON, Rails, Verdict
from reconcilerd.domain.names import Sku, SlotKey, after
from reconcilerd.domain.plan import Entry, GroupPlan, make_plan
from reconcilerd.domain.policy import MaxUnits, Mode, OfferRule, Percent, PoolMode
from reconcilerd.domain.position import ORDERED, Claim, ClaimKind, OfferView, Position
from reconcilerd.domain.quantities import MAX_UNITS
from reconcilerd.domain.terms import ours, percentages, rule_in_force

State = tuple[Position, Rails]
MOST = 1_000_000
"""The largest change that is looked at."""
SAFETY = frozenset({ClaimKind.SAFETY})
RESERVED = frozenset({ClaimKind.RESERVED})
DOUBTS = frozenset(ClaimKind) - ORDERED - SAFETY - RESERVED


@dataclass(frozen=True, slots=True)
class Lever:
    """One thing that could be other than it is. ``change``: how, by so many; ``most``: how far it goes."""

    what: str
    unit: str
    most: int
    change: Callable[[int], State]
    of_now: bool = False
    """Whether it is about what may be sent now, not about what should be shown."""
    of_both: bool = False
    """Whether it may be either."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one lever does. ``by``: the smallest change that suffices, None where none does; ``shows``: what then."""

    what: str
    by: int | None
    unit: str
    shows: int | None
    """None: nobody knows what it shows, and it is left at that."""
    then: str
    now: bool
    """Whether it was asked for what is sent now, or for what should be shown."""


def what_if(position: Position, rails: Rails, slot: SlotKey, wanted: int) -> Iterator[Answer]:
    """Every lever's answer for ``slot`` to show ``wanted`` units (of the channel), one by one.

    Nothing where it is sent already. Where it should show that anyway, each is asked for what is sent now: what holds
    the number may be somebody's word, or units that are kept back. Of the levers that are about the other question
    only those are told that suffice.
    """
    if suffices((position, rails), slot, wanted, of_now=True):
        return
    already = _allocation(make_plan(position, rails), slot).desired >= wanted
    for lever in levers_of(position, rails, slot):
        answer = _answer(replace(lever, of_now=lever.of_now or already), slot, wanted)
        if answer.by is not None or lever.of_both or lever.of_now == already:
            yield answer


def suffices(state: State, slot: SlotKey, wanted: int, *, of_now: bool) -> bool:
    """Whether the engine, so asked, gives the number: sent now, or as what should be shown."""
    plan = make_plan(*state)
    if not of_now:
        return _allocation(plan, slot).desired >= wanted
    entry = _entry(plan, slot)
    return entry is not None and entry.verdict is Verdict.SEND and entry.target >= wanted


def _answer(lever: Lever, slot: SlotKey, wanted: int) -> Answer:
    """The least change that does it: doubled until it does, then halved; true at ``by`` and false one below."""

    def enough(by: int) -> bool:
        return suffices(lever.change(by), slot, wanted, of_now=lever.of_now)

    low, high = 0, min(1, lever.most)
    while not enough(high) and high < lever.most:
        low, high = high, min(lever.most, 2 * high)
    if not enough(high):
        plan = make_plan(*lever.change(lever.most))
        return Answer(
            lever.what, None, lever.unit, _shows(plan, slot, lever), _bound(plan, slot, lever), lever.of_now
        )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    plan = make_plan(*lever.change(high))
    shows = _shows(plan, slot, lever)
    return Answer(lever.what, high, lever.unit, shows, _then(plan, slot, wanted), lever.of_now)


def _shows(plan: GroupPlan, slot: SlotKey, lever: Lever) -> int | None:
    entry = _entry(plan, slot)
    if not lever.of_now:
        return _allocation(plan, slot).desired
    sent = entry is not None and entry.verdict is Verdict.SEND
    return entry.target if entry is not None and sent else _offer(plan.position, slot).current


def _then(plan: GroupPlan, slot: SlotKey, wanted: int) -> str:
    """What happens once it is so."""
    entry = _entry(plan, slot)
    if entry is None:
        return "it shows that already"
    if entry.target < wanted:
        return "once the others are lowered"
    return "at once" if entry.verdict is Verdict.SEND else MEANS[entry.verdict]


def _bound(plan: GroupPlan, slot: SlotKey, lever: Lever) -> str:
    """What stops it, when the lever is moved as far as it goes."""
    offer, allocation, entry = _offer(plan.position, slot), _allocation(plan, slot), _entry(plan, slot)
    if not ours(offer):
        return BECAUSE[allocation.because]
    if lever.of_now:
        if entry is None:
            return f"it should show no more than {allocation.desired}"
        return (
            MEANS[entry.verdict]
            if entry.verdict is not Verdict.SEND
            else f"only {entry.target} may be sent now"
        )
    each, (rule, _) = offer.rule.units_per_sale, rule_in_force(plan.position, offer)
    alone = plan.room.alone(slot)
    limits = {"its cap": offer.rule.cap, "its maximum": rule.units if isinstance(rule, MaxUnits) else None}
    for name, limit in limits.items():
        if limit is not None and allocation.ideal + -(-offer.rule.buffer // each) >= limit // each < alone:
            return f"{name} of {limit}"
    if allocation.ideal + -(-offer.rule.buffer // each) >= alone:
        return f"no more than {alone} are left for it"
    if plan.position.split:
        return "the others' shares of what is left"
    return BECAUSE[allocation.because]


def levers_of(position: Position, rails: Rails, slot: SlotKey) -> Iterator[Lever]:
    offer = _offer(position, slot)
    yield from _of_now(position, rails, offer)
    yield from _of_stock(position, rails, offer)
    yield from _of_orders(position, rails, offer)
    yield from _of_rules(position, rails, offer)
    yield from _of_peers(position, rails, offer)


def _of_stock(position: Position, rails: Rails, offer: OfferView) -> Iterator[Lever]:
    mine = {component for component, _ in offer.uses}
    for number, row in enumerate(position.stock):
        if row.sku in mine and row.location in offer.locations - position.excluded_of(row.sku):
            yield Lever(
                f"more of {row.sku} on hand at {row.location}",
                "units",
                MOST,
                lambda by, number=number: (_more_on_hand(position, number, by), rails),  # type: ignore[misc]
            )


def _more_on_hand(position: Position, number: int, by: int) -> Position:
    stock = list(position.stock)
    stock[number] = replace(stock[number], on_hand=stock[number].on_hand + by)
    return _turned(replace(position, stock=tuple(stock)), by)


def _turned(position: Position, by: int) -> Position:
    """An adaptive pool of which so much more is left, shared or split as a pass would have it."""
    if position.pool.mode is not PoolMode.ADAPTIVE or not by:
        return position
    return replace(position, split=scarcity(position, scarce=position.split))


def _of_orders(position: Position, rails: Rails, offer: OfferView) -> Iterator[Lever]:
    for component, _ in offer.uses:
        for kinds, name in (
            (SAFETY, "a lower safety stock of {0}"),
            (ORDERED, "fewer units of {0} in open orders"),
            (RESERVED, "fewer units of {0} reserved"),
            (DOUBTS, "fewer units of {0} that may have been sold, or are not counted"),
        ):
            held = sum(c.units for c in position.claims if c.component == component and c.kind in kinds)
            unseen = max(0, _allocated(position, component) - held) if kinds is ORDERED else 0
            if held + unseen:
                yield Lever(
                    name.format(component),
                    "units",
                    held + unseen,
                    lambda by, c=component, k=kinds: (_less_claimed(position, c, k, by), rails),  # type: ignore[misc]
                )


def _allocated(position: Position, component: Sku) -> int:
    return sum(row.allocated for row in position.stock if row.sku == component)


def _less_claimed(position: Position, component: Sku, kinds: frozenset[ClaimKind], by: int) -> Position:
    """So many units fewer are claimed; what Extensiv has allocated to orders goes with them."""
    left, claims = by, list[Claim]()
    for claim in position.claims:
        if claim.component == component and claim.kind in kinds:
            gone = min(left, claim.units)
            left -= gone
            claim = replace(claim, units=claim.units - gone)  # noqa: PLW2901
        claims.append(claim)
    stock, freed = list(position.stock), by if kinds is ORDERED else 0
    for number, row in enumerate(stock):
        if row.sku == component and freed:
            gone = min(freed, row.allocated)
            freed -= gone
            stock[number] = replace(row, allocated=row.allocated - gone)
    return _turned(replace(position, claims=tuple(claims), stock=tuple(stock)), by)


def _of_rules(position: Position, rails: Rails, offer: OfferView) -> Iterator[Lever]:
    def lever(what: str, unit: str, most: int, rule: Callable[[int], OfferRule]) -> Lever:
        return Lever(what, unit, most, lambda by: (_with(position, replace(offer, rule=rule(by))), rails))

    rule = offer.rule
    in_force, low = rule_in_force(position, offer)
    if rule.buffer:
        yield lever(
            "a smaller buffer", "units", rule.buffer, lambda by: replace(rule, buffer=rule.buffer - by)
        )
    cap = rule.cap
    if cap is not None:
        yield lever("a higher cap", "units", MOST, lambda by: replace(rule, cap=min(MAX_UNITS, cap + by)))
    match in_force:
        case Percent(permille) if permille < 1000:
            yield lever(
                "a higher percentage",
                "tenths of a percent",
                min(1000 - permille, _unclaimed(position, offer)),
                lambda by: _with_rule(rule, Percent(permille + by), low=low),
            )
        case MaxUnits(units):
            yield lever(
                "a higher maximum",
                "units",
                MOST,
                lambda by: _with_rule(rule, MaxUnits(min(MAX_UNITS, units + by)), low=low),
            )
        case _:
            pass
    if low:
        yield lever("no rule for low stock", "", 1, lambda by: replace(rule, low_stock=None) if by else rule)
    kept = _allocation(make_plan(position, rails), offer.slot)
    if kept.because is Because.DEAD_BAND and kept.ideal > kept.desired:
        yield Lever(
            "a narrower dead band of its pool",
            "tenths of a percent",
            position.pool.dead_band_permille,
            lambda by: (_narrowed(position, by), rails),
        )


def _narrowed(position: Position, by: int) -> Position:
    pool = replace(position.pool, dead_band_permille=position.pool.dead_band_permille - by)
    return replace(position, pool=pool)


def _unclaimed(position: Position, offer: OfferView) -> int:
    """Tenths of a percent that its rule may ask for beyond what it does: a split pool deals out one hundred at most."""
    if position.pool.mode is not PoolMode.SPLIT or offer.rule.weight is not None:
        return 1000
    mine = (each for each in position.offers if each.sku == offer.sku)
    asked = percentages((each, rule_in_force(position, each)[0]) for each in mine)
    return max(0, 1000 - asked.get(offer.sku, 0))


def _with_rule(rule: OfferRule, now: Percent | MaxUnits, *, low: bool) -> OfferRule:
    return replace(rule, low_stock=now) if low else replace(rule, normal=now)


def _of_peers(position: Position, rails: Rails, offer: OfferView) -> Iterator[Lever]:
    if not position.split:
        return
    if position.pool.mode is PoolMode.ADAPTIVE:
        yield Lever(
            "the pool shared again, not scarce", "", 1, lambda by: (replace(position, split=not by), rails)
        )
    ideal = {each.slot: each.ideal for each in make_plan(position, rails).allocations}
    mine = {component for component, _ in offer.uses}
    for peer in position.offers:
        promised = max(ideal[peer.slot], peer.shown or 0)
        shares = any(component in mine for component, _ in peer.uses)
        if peer.slot != offer.slot and promised and shares:
            yield Lever(
                f"fewer for {peer.slot.channel} ({peer.sku})",
                "of what it sells",
                promised,
                lambda by, peer=peer, most=promised: (_with(position, _less(peer, most - by)), rails),  # type: ignore[misc]
                of_both=True,
            )


def _less(peer: OfferView, most: int) -> OfferView:
    """A listing that is promised, and shows, no more than so many."""
    each = peer.rule.units_per_sale
    cap = (most - -peer.rule.buffer // each) * each
    cap = cap if peer.rule.cap is None else min(cap, peer.rule.cap)
    return replace(
        peer,
        rule=replace(peer.rule, cap=cap),
        read=None if peer.read is None else min(peer.read, most + peer.known_since),
        write=None if peer.write is None else min(peer.write, most),
        replaced=min(peer.replaced, most),
    )


def _of_now(position: Position, rails: Rails, offer: OfferView) -> Iterator[Lever]:
    """What may keep a number from being sent, each resolved alone, then all readings together."""
    at = position.at

    def lever(what: str, then: Position, under: Rails = rails) -> Lever:
        return Lever(what, "", 1, lambda by: (then, under) if by else (position, rails), of_now=True)

    if offer.write is not None or offer.replaced:
        yield lever("our open write read back", _with(position, _confirmed(offer)))
    fresh_stock = tuple(replace(row, age_of=at) for row in position.stock)
    if any(row.age_of < at for row in position.stock):
        yield lever("its stock read again, the same", replace(position, stock=fresh_stock))
    if offer.age_of < at or offer.suspect:
        yield lever("its listing read again, the same", _with(position, _fresh(offer, position)))
    for peer in position.offers:
        if peer.slot != offer.slot and (peer.write is not None or peer.replaced):
            yield lever(f"our open write to {peer.slot.channel} read back", _with(position, _confirmed(peer)))
    others = tuple(each if each.slot == offer.slot else _fresh(each, position) for each in position.offers)
    lit = tuple(replace(each, dark=False) for each in position.channels)
    if others != position.offers or lit != position.channels:
        heard = replace(position, offers=others, channels=lit)
        yield lever("all other listings of the pool read again, the same", heard)
    every = tuple(_fresh(each, position) for each in position.offers)
    awake = replace(
        position, offers=every, stock=fresh_stock, channels=lit, storm=False, stock_dark=False, unlisted=()
    )
    yield lever("everything read again, the same", awake)
    yield from (lever(what, position, under) for what, under in _words(position, rails, offer))


def _words(position: Position, rails: Rails, offer: OfferView) -> Iterator[tuple[str, Rails]]:
    """What a person could say."""
    if rails.frozen or rails.stop or offer.slot in rails.pinned:
        free = replace(rails, frozen=frozenset(), stop=False, pinned=rails.pinned - {offer.slot})
        yield "no freeze, STOP file or pin", free
    if rails.mode is Mode.OBSERVE:
        yield "mode auto", replace(rails, mode=Mode.AUTO)
    entry = _entry(make_plan(position, rails), offer.slot)
    if entry is not None and entry.verdict in NEEDS_A_PERSON:
        word = EnvelopeApproved(
            "", (offer.sku,), "both", MAX_UNITS, "", "", position.at, after(position.at, 1), zeros=True
        )
        yield (
            f"an approval{' of zeros too' if entry.target == 0 else ''}",
            replace(rails, envelopes=(*rails.envelopes, word)),
        )


def _confirmed(offer: OfferView) -> OfferView:
    shows = offer.current if offer.write is None else offer.write
    return replace(offer, read=shows, known_since=0, write=None, replaced=0)


def _fresh(offer: OfferView, position: Position) -> OfferView:
    return replace(
        offer, read=offer.current, known_since=0, age_of=position.at, as_of=position.at, suspect=False
    )


def _with(position: Position, changed: OfferView) -> Position:
    offers = tuple(changed if each.slot == changed.slot else each for each in position.offers)
    return replace(position, offers=offers)


def _offer(position: Position, slot: SlotKey) -> OfferView:
    return next(each for each in position.offers if each.slot == slot)


def _allocation(plan: GroupPlan, slot: SlotKey) -> Allocation:
    return next(each for each in plan.allocations if each.slot == slot)


def _entry(plan: GroupPlan, slot: SlotKey) -> Entry | None:
    return next((each for each in plan.entries if each.slot == slot), None)
