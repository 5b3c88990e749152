"""A pretend business for a trial, and what happens in it: visitors, cancels, receipts, breakage, somebody's own writes.

Everything that happens is decided by the seed before anything has happened: the same seed brings the same visitors
to whatever policy, and replays exactly.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random
from types import MappingProxyType

from reconcilerd.domain.change import Closed
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku
from reconcilerd.domain.policy import (
    ChannelRule,
    Limits,
    LocationRule,
    Mode,
    OfferRule,
    Percent,
    Policy,
    PoolMode,
    PoolRule,
    Publisher,
    SkuRule,
)
from reconcilerd.domain.quantities import MAX_UNITS, Rate
from reconcilerd.simulator.catalogue import plain_catalogue
from reconcilerd.simulator.shoppers import Invoice, Replay
from reconcilerd.simulator.stores import Place, Product, Store
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.trial.deeds import Deed, breakage, foreign_write, receipt, visit
from reconcilerd.trial.stage import START, Pacing

HOUR_MS = 3_600_000
POLL_S = 120
PACING = Pacing(channels_s=POLL_S, orders_s=POLL_S)
WIDE = Limits(
    mode=Mode.AUTO,
    window_slots=10**6,
    window_units=10**9,
    unexplained_zeros=10**6,
    window_permille=10**6,
    raise_floor_units=10**9,
    canary_over=10**6,
)
"""Rails that nothing ordinary meets."""
MAIN, COPIED = 1, 2
"""The places: Extensiv counts in the first and holds a late copy of the second's."""


MOST_UNITS = MAX_UNITS // 100
"""Of one SKU at first: with all receipts no more than anybody believes, whatever an order asks for."""
NOTHING_SHOWN: Mapping[tuple[str, str, str], int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Kind:
    """One SKU's character: how many units a receipt brings, and how many visitors ask for it in an hour."""

    sku: str
    units: int
    per_hour: float
    split: bool
    bundle: tuple[tuple[str, int], ...] = ()


CHARACTERS = ((20, 4.0, True), (20, 4.0, False), (200, 12.0, True), (20, 0.5, False))
"""Units, visitors an hour, whether its pool is split: scarce, common, hot, slow; repeated over the SKUs."""


@dataclass(frozen=True, slots=True)
class Market:
    """What is sold where, and under which policy."""

    kinds: tuple[Kind, ...]
    policy: Policy
    config: WorldConfig
    invoices: tuple[Invoice, ...] = ()
    """Real orders to replay in place of visitors by chance."""
    pacing: Pacing = PACING
    begins: Instant = START
    """When the doors open, by the clock of the policy's dates and calendar."""
    closed: Callable[[Instant], tuple[Closed, ...]] = lambda _: ()
    """The freeze windows that are open at a moment."""
    in_step: bool = False
    """Whether the listings show what policy gives them when the doors open; else nothing, and the daemon begins."""

    def in_force(self, now: Instant) -> tuple[object, ...]:
        """What holds at a moment by the calendar alone: windows, reserves, and what is on its way."""
        held = [
            (sku, each) for sku, some in self.policy.reserves.items() for each in some if now < each.until
        ]
        coming = [
            (sku, each)
            for sku, some in self.policy.inbound.items()
            for each in some
            if each.offered_from <= now < each.due
        ]
        return self.closed(now), held, coming


def market(
    seed: int,
    skus: int = 12,
    channels: int = 3,
    policy: Policy | None = None,
    invoices: Sequence[Invoice] = (),
    pacing: Pacing = PACING,
    begins: Instant = START,
    closed: Callable[[Instant], tuple[Closed, ...]] = lambda _: (),
) -> Market:
    """A small, busy business; with ``policy``, its channels, places and SKUs; with ``invoices``, what sold best.

    ``pacing``: how often it is read. ``begins``, ``closed``: see Market.
    """
    if invoices:
        invoices = _one_spelling(invoices)
        kinds = _best_sellers(invoices, skus, policy)
    else:
        kinds = _kinds(skus) if policy is None else _kinds_of(policy, skus)
    rules = _default_policy(kinds, channels) if policy is None else _known_to(policy, kinds)
    return Market(
        kinds,
        rules,
        _delays(seed, rules),
        tuple(invoices),
        pacing,
        begins,
        closed,
        in_step=policy is not None,
    )


def _delays(seed: int, policy: Policy) -> WorldConfig:
    """How late a business is: never later than the policy takes for granted, or another one would be tried."""
    shown = min([60_000, *(rule.order_lag_ms for rule in policy.channels.values())])
    imported = min([600_000, *(rule.import_max_ms for rule in policy.channels.values())])
    copied = min([900_000, *(each.mirror_max_ms for each in policy.locations.values() if each.mirror)])
    return WorldConfig(
        seed=seed,
        index_lag_ms=(0, shown),
        import_ms=(min(30_000, imported), imported),
        mirror_ms=copied,
        write_lost=0.01,
    )


def _kinds(count: int) -> tuple[Kind, ...]:
    """As many SKUs as asked for; the last of four or more is a bundle of two of the first ones."""
    plain = [
        Kind(f"SKU-{number + 1:02d}", *CHARACTERS[number % len(CHARACTERS)])
        for number in range(count - 1 if count >= 4 else count)
    ]
    if count >= 4:
        plain.append(Kind("SET-01", 0, 1.0, plain[0].split, ((plain[0].sku, 1), (plain[2].sku, 2))))
    return tuple(plain)


def _kinds_of(policy: Policy, count: int) -> tuple[Kind, ...]:
    """The first SKUs that a policy names, filled up with others; each of the character of its place in the row.

    Where four or more leave room for it, the last is a bundle of two of its own pool.
    """
    named = list(dict.fromkeys((*policy.skus, *(sku for sku, _ in policy.offers))))
    names = [str(sku) for sku in named][:count]
    # Codes are the same in whatever case: one that is named is not made a second time.
    others = (f"SKU-{number:02d}" for number in range(1, 2 * count + 1))
    names += [each for each in others if each.casefold() not in named][: count - len(names)]
    made = []
    for number, name in enumerate(names):
        units, per_hour, _ = CHARACTERS[number % len(CHARACTERS)]
        pool = policy.pools[policy.sku_rule(Sku(name.casefold())).pool]
        made.append(Kind(name, units, per_hour, pool.mode is PoolMode.SPLIT))
    common = policy.default_sku.pool
    tied = [each for each in made[:-1] if policy.sku_rule(Sku(each.sku.casefold())).pool == common][:2]
    if len(made) >= 4 and len(tied) == 2 and not {made[-1].sku.casefold(), "set-01"} & set(named):
        one, other = tied
        made[-1] = Kind("SET-01", 0, 1.0, one.split, ((one.sku, 1), (other.sku, 2)))
    return tuple(made)


def _one_spelling(invoices: Sequence[Invoice]) -> tuple[Invoice, ...]:
    """Each code as it was written first: to Extensiv, codes that differ only in case are one SKU."""
    first: dict[str, str] = {}
    return tuple(
        replace(
            each,
            lines=tuple(
                replace(line, code=first.setdefault(line.code.casefold(), line.code)) for line in each.lines
            ),
        )
        for each in invoices
    )


def _best_sellers(invoices: Sequence[Invoice], count: int, policy: Policy | None) -> tuple[Kind, ...]:
    """The codes that sold most units, at the pace of their orders; a receipt brings what a day sells."""
    sold = sorted(plain_catalogue(invoices).sold.items(), key=lambda pair: (-pair[1], pair[0]))[:count]
    hours = max(1.0, (invoices[-1].at - invoices[0].at) / HOUR_MS)
    made = []
    for number, (code, units) in enumerate(sold):
        split = number % 2 == 0
        if policy is not None:
            split = policy.pools[policy.sku_rule(Sku(code.casefold())).pool].mode is PoolMode.SPLIT
        stock = min(max(4, round(units / hours * 24)), MOST_UNITS)
        made.append(Kind(code, stock, max(0.01, units / hours), split))
    return tuple(made)


def _default_policy(kinds: Sequence[Kind], channels: int) -> Policy:
    """Split pools by the visitors' own parts, shared pools all of it; rates as they are; rails wide open."""
    shares = shares_of(channels)
    names = [ChannelName(f"shop-{number + 1}") for number in range(channels)]
    both = frozenset({LocationName(str(MAIN)), LocationName(str(COPIED))})
    rules = {
        name: ChannelRule(
            sales_channel_id=101 + number,
            places=MappingProxyType({f"gid://shopify/Location/{101 + number}": both}),
            compare_and_set=True,
            poll_ms=POLL_S * 1000,
            order_lag_ms=90_000,
            import_max_ms=720_000,
        )
        for number, name in enumerate(names)
    }
    offers = {
        (Sku(kind.sku.casefold()), name): OfferRule(normal=Percent(share))
        for kind in kinds
        for name, share in zip(names, shares, strict=True)
        if kind.split
    }
    return _known_to(
        Policy(
            revision="trial",
            pools={"shared": PoolRule(PoolMode.ADAPTIVE), "split": PoolRule(PoolMode.SPLIT)},
            channels=rules,
            offers=offers,
            skus={
                Sku(kind.sku.casefold()): SkuRule(pool="split" if kind.split else "shared") for kind in kinds
            },
            default_sku=SkuRule(pool="shared"),
            locations={LocationName(str(COPIED)): LocationRule(mirror=True)},
            limits=WIDE,
        ),
        kinds,
    )


def _known_to(policy: Policy, kinds: Sequence[Kind]) -> Policy:
    """The policy, knowing how fast each SKU sells: what a tenant would have written into its rules."""
    skus = dict(policy.skus)
    for kind in kinds:
        sku = Sku(kind.sku.casefold())
        skus[sku] = replace(policy.sku_rule(sku), rate=Rate(round(kind.per_hour * 1000)))
    return replace(policy, skus=skus)


def shares_of(channels: int) -> list[int]:
    """Each channel's part of the visitors, in thousandths: the first has the most."""
    weights = [channels + 1 - number for number in range(channels)]
    parts = [1000 * weight // sum(weights) for weight in weights]
    return [parts[0] + 1000 - sum(parts), *parts[1:]]


def open_doors(what: Market, shown: Mapping[tuple[str, str, str], int] = NOTHING_SHOWN) -> World:
    """The business as it stands at the start: stock as one receipt brings it.

    ``shown``: what each listing (store, place, SKU) shows; else nothing, or what Extensiv pushes where it publishes.
    """
    world = World(what.config, what.begins)
    for number in _places(what.policy):
        known = what.policy.locations.get(LocationName(str(number)), LocationRule())
        world.places[number] = Place(number, f"place {number}", mirror=known.mirror)
    for channel, rule in what.policy.channels.items():
        there, *others = rule.places or [f"gid://shopify/Location/{rule.sales_channel_id}"]
        world.stores[channel] = Store(channel, rule.sales_channel_id or 0, there, others=tuple(others))
    for kind in what.kinds:
        world.add_product(
            Product(len(world.products) + 1, kind.sku, f"Product {kind.sku}", kind.bundle, split=kind.split)
        )
        if not kind.bundle:
            for place, units in _spread(kind.units, sorted(world.places)):
                world.add_stock(kind.sku, place, units)
    for kind in what.kinds:
        for name, store in world.stores.items():
            channel = ChannelName(name)
            each = what.policy.offer_rule(Sku(kind.sku.casefold()), channel).units_per_sale
            pushed = what.policy.channels[channel].publisher is Publisher.EXTENSIV
            number, *beside = (shown.get((name, at, kind.sku), 0) for at in (store.place, *store.others))
            number = world.native_number(kind.sku) // each if pushed else number
            world.add_item(name, kind.sku, number, each=each, push=pushed, beside=beside)
    world.start_mirrors()
    return world


def no_numbers(policy: Policy) -> list[LocationName]:
    """Warehouses that places draw on and Extensiv cannot have: it names them by whole numbers."""
    drawn = {each for rule in policy.channels.values() for some in rule.places.values() for each in some}
    return sorted(each for each in drawn if not (each.isdecimal() and str(int(each)) == each))


def _places(policy: Policy) -> list[int]:
    """The warehouses that anybody draws on: stock anywhere else could be sold by nobody."""
    drawn = {each for rule in policy.channels.values() for some in rule.places.values() for each in some}
    found = sorted(int(place) for place in drawn if place.isdecimal())
    return found or [MAIN, COPIED]


def _spread(units: int, places: Sequence[int]) -> list[tuple[int, int]]:
    """Most lies in the first place; every other one has an equal part of a quarter."""
    if len(places) == 1:
        return [(places[0], units)]
    part = units // 4 // (len(places) - 1)
    return [(places[0], units - part * (len(places) - 1)), *((place, part) for place in places[1:])]


def script(what: Market, seed: int, hours: float) -> list[tuple[int, Deed]]:
    """What happens when (ms from the start)."""
    chance, end = Random(seed), int(hours * HOUR_MS)
    names = list(what.policy.channels)
    shares = shares_of(len(names))
    deeds = _replayed(what)
    for kind in what.kinds:
        at = 0.0
        while not what.invoices and (at := at + chance.expovariate(kind.per_hour / HOUR_MS)) < end:
            deeds.append((int(at), visit(kind.sku, chance.choices(names, shares)[0], len(deeds), chance)))
        if not kind.bundle:
            deeds += _supply(kind, end, _places(what.policy), chance)
    for _ in range(max(1, round(hours / 2))):
        sku, store = chance.choice(what.kinds).sku, chance.choice(names)
        at, by, places = (
            chance.randrange(end),
            chance.choice([-4, -2, 2, 4]),
            len(what.policy.channels[store].places),
        )
        deeds.append((at, foreign_write(sku, store, by, chance.randrange(places) if places > 1 else 0)))
    return sorted(deeds, key=lambda each: each[0])


def _replayed(what: Market) -> list[tuple[int, Deed]]:
    """Each invoice at its own moment, less what is not sold here."""
    codes = {kind.sku for kind in what.kinds}
    players: dict[int, Replay] = {}

    def play(invoice: Invoice, world: World, now: Instant) -> None:
        players.setdefault(id(world), Replay(world)).play(invoice, now)

    deeds: list[tuple[int, Deed]] = []
    for invoice in what.invoices:
        lines = tuple(line for line in invoice.lines if line.code in codes)
        if lines:
            deeds.append((invoice.at - what.invoices[0].at, partial(play, replace(invoice, lines=lines))))
    return deeds


def _supply(kind: Kind, end: int, places: Sequence[int], chance: Random) -> list[tuple[int, Deed]]:
    """A receipt whenever half of one has sold by the mean, somewhere; now and then something breaks or comes back."""
    every_ms = max(1.0, kind.units / 2 / kind.per_hour * HOUR_MS)
    deeds: list[tuple[int, Deed]] = []
    at = 0.0
    while (at := at + every_ms * chance.uniform(0.5, 1.5)) < end:
        deeds.append((int(at), receipt(kind.sku, chance.choice(places), max(1, kind.units // 2))))
        if chance.random() < 0.3:
            deeds.append((chance.randrange(end), breakage(kind.sku, chance.randint(1, 4))))
    return deeds
