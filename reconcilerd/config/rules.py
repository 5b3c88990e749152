"""Rules for single SKUs from a CSV, linted like the configuration: every fault with file, line and column."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from reconcilerd.config.agreement import meant, mixed_weights, starved
from reconcilerd.config.csv_rows import Line, Sheet, read_rows, refuse_faulty
from reconcilerd.config.settings import PoolSection, Settings
from reconcilerd.domain.names import ChannelName, Sku, sku_of
from reconcilerd.domain.policy import MaxUnits, OfferRule, Percent, Rule, SkuRule
from reconcilerd.domain.quantities import MAX_UNITS, Rate

KEY_COLUMNS: Final = {
    "sku": ("text", "the seller's own code, in whatever case"),
    "channel": ("name", "empty: the row is about the SKU itself"),
    "exclude_locations": ("warehouse ids", "never sold from there (on this channel); separated by ;"),
}
SKU_COLUMNS: Final = {
    "pool": ("name", "which pool's mode holds"),
    "min_level": ("eaches", "at or below it the low-stock rules are in force"),
    "safety_stock": ("eaches", "never offered anywhere"),
    "rate_per_day": ("eaches a day", "the guess of sales where none were seen yet"),
    "unit_price": ("currency", "what an each is worth to limits.window_value; at 0 only its units count"),
    "protected": ("yes | no", "yes: changes that orders do not explain wait for a person"),
    "kit": ("yes | no", "a bundle packed ahead: it sells from its own on hand, not from its components"),
}
"""For rows without a channel: unit and reason."""
LISTING_COLUMNS: Final = {
    "percent": ("%", "the channel's share of what it may draw on"),
    "max": ("eaches", "instead of a share, this many at a place"),
    "low_stock_percent": ("%", "the share when stock is low"),
    "low_stock_max": ("eaches", "or this many then"),
    "cap": ("eaches", "never more than this at a place"),
    "floor": ("eaches", "first of all this many at a place, as far as there are any"),
    "buffer": ("eaches", "less than its share by this many at a place, for our own delay"),
    "units_per_sale": ("eaches", "how many one sale of the listing takes"),
    "managed": ("yes | no", "no: looked at, never written"),
    "weight": (
        "parts",
        "its part of a split pool beside those of the others; percent is then only a ceiling",
    ),
    "tier": (
        "1 is first",
        "lower tiers of a split pool are filled to their ceilings before others get anything",
    ),
    "priority": (
        "1 is first",
        "who keeps the last units of a split pool: its floor, or one sale, comes first",
    ),
    "pot": (
        "eaches",
        "set aside for this listing alone; its share is of the rest (percent 0: the pot alone)",
    ),
    "minimum": (
        "eaches",
        "shown at a place even where less is there, as far as the pool's overcommit reaches",
    ),
    "preorder": ("yes | no", "yes: it is meant to sell past zero, nobody is told that it does"),
}
"""For rows with a channel: unit and reason."""
COLUMNS: Final = {**KEY_COLUMNS, **SKU_COLUMNS, **LISTING_COLUMNS}
MAX_PLACE: Final = 1_000
MAX_WEIGHT: Final = 1_000_000

Offers = Mapping[ChannelName, OfferRule]


@dataclass(slots=True)
class Rules:
    """What the CSV says: by SKU, and by SKU and channel."""

    skus: dict[Sku, SkuRule] = field(default_factory=dict)
    offers: dict[tuple[Sku, ChannelName], OfferRule] = field(default_factory=dict)


@dataclass(slots=True)
class _Rules(Sheet):
    """The file under reading, and what was taken from it on which line."""

    default: Offers = field(kw_only=True)
    base: SkuRule = field(kw_only=True)
    rules: Rules = field(default_factory=Rules)
    lines: dict[tuple[Sku, str], int] = field(default_factory=dict)
    said: dict[tuple[Sku, str], frozenset[str]] = field(default_factory=dict)
    """Which columns a row fills in itself."""
    doubtful: set[Sku] = field(default_factory=set)
    """SKUs with a fault: their shares are not added up."""

    @property
    def pools(self) -> list[str]:
        return [each.name for each in self.settings.pools]


_Row = Line[_Rules]


def default_sku(settings: Settings) -> SkuRule:
    """What holds for a SKU that no row names."""
    base = settings.sku_defaults
    return SkuRule(
        safety_stock=base.safety_stock,
        min_level=base.min_level,
        rate=_rate(base.rate_per_day),
        price=round(base.unit_price * 100),
        pool=next(each.name for each in settings.pools if each.default),
    )


def _rate(a_day: int) -> Rate:
    return Rate(a_day * 1000 // 24)


def read_rules(path: Path, settings: Settings, default: Offers) -> Rules:
    """Raises ConfigFault with every fault (at most MAX_FAULTS are listed)."""
    sheet = _Rules(path.name, "rules_csv", settings, default=default, base=default_sku(settings))
    # Where a column was not understood, sums over it would only be false alarms.
    if read_rows(path, sheet, tuple(COLUMNS), _take):
        for sku in sorted({sku for sku, _ in sheet.lines} - sheet.doubtful):
            sheet.faults += _together(sheet, sku)
    refuse_faulty(sheet.faults)
    return sheet.rules


def _take(line: _Row) -> None:
    sheet = line.sheet
    try:
        sku = sku_of(line.text("sku"))
    except ValueError:
        line.fault("sku", f"is {'not a SKU' if line.text('sku') else 'blank'}")
        return
    before = len(sheet.faults)
    _take_sku(line, sku)
    if len(sheet.faults) > before:
        sheet.doubtful.add(sku)


def _take_sku(line: _Row, sku: Sku) -> None:
    sheet, channel = line.sheet, ChannelName(line.text("channel"))
    line.whole_row()
    if channel and channel not in sheet.default:
        line.fault("channel", f"no channel {channel[:40]!r}{meant(channel, sorted(sheet.default))}")
        return
    if (sku, channel) in sheet.lines:
        first = sheet.lines[sku, channel]
        line.fault("sku", f"{sku!r} has a row for {channel or 'all channels'} already, on line {first}")
        return
    sheet.lines[sku, channel] = line.number
    sheet.said[sku, channel] = frozenset(column for column in COLUMNS if line.text(column))
    if channel:
        sheet.rules.offers[sku, channel] = _offer(line, sheet.default[channel])
    else:
        sheet.rules.skus[sku] = _sku_rule(line, sheet.base)


def _offer(line: _Row, default: OfferRule) -> OfferRule:
    line.refuse(SKU_COLUMNS, "belongs to the SKU: put it in a row without a channel")
    rule = replace(
        default,
        normal=line.rule("percent", "max") or default.normal,
        low_stock=line.rule("low_stock_percent", "low_stock_max"),
        cap=line.whole("cap", 0) if line.text("cap") else default.cap,
        floor=line.whole("floor", default.floor),
        buffer=line.whole("buffer", default.buffer),
        units_per_sale=line.whole("units_per_sale", default.units_per_sale, 1, 100_000),
        excluded_locations=line.locations("exclude_locations"),
        managed=line.yes("managed", default=True),
        weight=line.whole("weight", 1, 1, MAX_WEIGHT) if line.text("weight") else default.weight,
        tier=line.whole("tier", default.tier, 1, MAX_PLACE),
        priority=line.whole("priority", 1, 1, MAX_PLACE) if line.text("priority") else default.priority,
        pot=line.whole("pot", 0),
        minimum=line.whole("minimum", default.minimum),
        preorder=line.yes("preorder", default=False),
    )
    _agree(line, rule)
    return rule


def _agree(line: _Row, rule: OfferRule) -> None:
    """Refuse what the cells of one row say against one another, by the column that says it."""
    for column, units in (("floor", rule.floor), ("pot", rule.pot), ("minimum", rule.minimum)):
        if rule.cap is not None and units > rule.cap:
            line.fault(column, f"{units} is above the cap of {rule.cap}")
        elif column != "floor" and isinstance(rule.normal, MaxUnits) and units > rule.normal.units:
            line.fault(column, f"{units} is above the max of {rule.normal.units}")
    if rule.pot and not rule.managed:
        line.fault("pot", "the listing is not managed: nothing set aside for it could ever be shown")
    if rule.tier != 1 and rule.weight is None:
        line.fault("tier", "needs a weight: within a tier units are divided by weight")


def _sku_rule(line: _Row, base: SkuRule) -> SkuRule:
    line.refuse(LISTING_COLUMNS, "belongs to a listing: put it in a row with a channel")
    pool, pools = line.text("pool") or base.pool, line.sheet.pools
    if pool not in pools:
        line.fault("pool", f"no pool {pool[:40]!r}{meant(pool, pools)}")
    return SkuRule(
        safety_stock=line.whole("safety_stock", base.safety_stock),
        min_level=line.whole("min_level", base.min_level),
        excluded_locations=line.locations("exclude_locations"),
        rate=_rate(line.whole("rate_per_day", 0)) if line.text("rate_per_day") else base.rate,
        pool=pool,
        price=line.money("unit_price", base.price),
        protected=line.yes("protected", default=False),
        kit=line.yes("kit", default=False),
    )


def _together(sheet: _Rules, sku: Sku) -> Iterator[str]:
    """What the rules of one SKU say against one another, or against its pool."""
    name = sheet.rules.skus.get(sku, sheet.base).pool
    pool = next(each for each in sheet.settings.pools if each.name == name)
    offers = {name: sheet.rules.offers.get((sku, name), rule) for name, rule in sheet.default.items()}
    first = min(number for (each, _), number in sheet.lines.items() if each == sku)
    where = f"{sheet.name}:{first}"
    pots = sum(offer.pot for offer in offers.values())
    if pots > MAX_UNITS:
        yield f"{where}: pot: the pots of {sku!r} add up to {pots}, more than any stock can hold ({MAX_UNITS})"
    yield from _of_no_use(sheet, sku, pool)
    if pool.mode == "shared":
        return
    parts = {str(name): (offer.weight, offer.normal == Percent(0)) for name, offer in offers.items()}
    if without := mixed_weights(parts):
        yield f"{where}: weight: {sku!r} has one on some channels, but not on {without}; give all of them one, or none"
    tiers = {str(name): (offer.tier, _has_ceiling(offer)) for name, offer in offers.items() if offer.weight}
    if hungry := starved(tiers):
        yield f"{where}: tier: {sku!r} would never reach {hungry}"
    if pool.mode == "split":
        yield from _split_shares(sheet, sku, name, offers)


def _of_no_use(sheet: _Rules, sku: Sku, pool: PoolSection) -> Iterator[str]:
    """Cells that the pool of the SKU makes meaningless: somebody expects something of them."""
    for channel in sheet.default:
        said, line = sheet.said.get((sku, channel), frozenset()), sheet.lines.get((sku, channel), 0)
        for column in sorted(said & {"weight", "tier", "priority"} if pool.mode == "shared" else ()):
            yield (
                f"{sheet.name}:{line}: {column}: {sku!r} is in the shared pool {pool.name!r}, which never splits; "
                'use a pool with mode = "adaptive" or "split"'
            )
        if "minimum" in said and not pool.overcommit:
            yield (
                f"{sheet.name}:{line}: minimum: the pool {pool.name!r} of {sku!r} has no overcommit: say how many "
                "units that are not there it may show, or use floor"
            )


def _has_ceiling(offer: OfferRule) -> bool:
    return offer.cap is not None or offer.normal != Percent(1000)


def _split_shares(sheet: _Rules, sku: Sku, pool: str, offers: Offers) -> Iterator[str]:
    """Percentages must fit into one hundred, in both regimes, and a maximum is no share; weights need neither."""
    plain = {name: offer for name, offer in offers.items() if offer.weight is None}
    normal = {name: offer.normal for name, offer in plain.items()}
    low = {name: offer.low_stock or offer.normal for name, offer in plain.items()}
    yield from _shares(sheet, sku, pool, "", normal)
    if low != normal:
        yield from _shares(sheet, sku, pool, "low_stock_", low)


def _shares(
    sheet: _Rules, sku: Sku, pool: str, regime: str, shares: Mapping[ChannelName, Rule]
) -> Iterator[str]:
    total = 0
    for channel, rule in shares.items():
        line = sheet.lines.get((sku, channel), 0)
        match rule:
            case Percent(permille):
                total += permille
            case MaxUnits() if regime and sheet.rules.offers[sku, channel].low_stock is None:
                pass  # told already, as the fault of the normal rule
            case MaxUnits():
                yield (
                    f"{sheet.name}:{line}: {regime}max: {sku!r} on {channel} is in the split pool {pool!r}; "
                    f"use {regime}percent with cap"
                )
    if total > 1000:
        line = min(number for (each, _), number in sheet.lines.items() if each == sku)
        yield (
            f"{sheet.name}:{line}: {regime}percent: the percentages of {sku!r} in the split pool {pool!r} "
            f"add up to {total / 10:g} over {', '.join(sorted(shares))}; at most 100"
        )
