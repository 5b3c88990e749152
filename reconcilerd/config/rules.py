"""Rules for single SKUs from a CSV, linted like the configuration: every fault with file, line and column."""

import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from reconcilerd.config.agreement import meant
from reconcilerd.config.settings import Settings
from reconcilerd.domain.names import ChannelName, LocationName, Sku, sku_of
from reconcilerd.domain.policy import MaxUnits, OfferRule, Percent, Rule, SkuRule
from reconcilerd.domain.quantities import MAX_UNITS, Rate
from reconcilerd.errors import ConfigFault

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
    "max": ("eaches", "instead of a share, this many"),
    "low_stock_percent": ("%", "the share when stock is low"),
    "low_stock_max": ("eaches", "or this many then"),
    "cap": ("eaches", "never more than this"),
    "floor": ("eaches", "first of all this many, as far as there are any"),
    "buffer": ("eaches", "less than its share by this many, for our own delay"),
    "units_per_sale": ("eaches", "how many one sale of the listing takes"),
    "managed": ("yes | no", "no: looked at, never written"),
}
"""For rows with a channel: unit and reason."""
COLUMNS: Final = {**KEY_COLUMNS, **SKU_COLUMNS, **LISTING_COLUMNS}
MAX_FAULTS: Final = 50

_WHOLE: Final = re.compile(r"[0-9]{1,10}")
_MONEY: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]))?")

Offers = Mapping[ChannelName, OfferRule]


@dataclass(slots=True)
class Rules:
    """What the CSV says: by SKU, and by SKU and channel."""

    skus: dict[Sku, SkuRule] = field(default_factory=dict)
    offers: dict[tuple[Sku, ChannelName], OfferRule] = field(default_factory=dict)


@dataclass(slots=True)
class _Sheet:
    """The file under reading: what was taken from it, on which line, and what is wrong with it."""

    name: str
    settings: Settings
    default: Offers
    base: SkuRule
    rules: Rules = field(default_factory=Rules)
    lines: dict[tuple[Sku, str], int] = field(default_factory=dict)
    doubtful: set[Sku] = field(default_factory=set)
    """SKUs with a fault: their shares are not added up."""
    faults: list[str] = field(default_factory=list)

    @property
    def pools(self) -> list[str]:
        return [each.name for each in self.settings.pools]

    @property
    def warehouses(self) -> list[str]:
        drawn = {w for each in self.settings.channels for draws in each.places.values() for w in draws}
        return sorted(drawn)


@dataclass(slots=True)
class _Line:
    """One row under reading; every fault is told with its column."""

    sheet: _Sheet
    number: int
    row: Mapping[str, str]

    def text(self, column: str) -> str:
        return (self.row.get(column) or "").strip()

    def fault(self, column: str, text: str) -> None:
        self.sheet.faults.append(f"{self.sheet.name}:{self.number}: {column}: {text}")

    def whole(self, column: str, default: int, least: int = 0, most: int = MAX_UNITS) -> int:
        """The number in a column, or ``default`` where there is none."""
        text = self.text(column)
        if text and not (_WHOLE.fullmatch(text) and least <= int(text) <= most):
            self.fault(column, f"a whole number from {least} to {most} (got {text[:40]!r})")
            return default
        return int(text) if text else default

    def yes(self, column: str, *, default: bool) -> bool:
        text = self.text(column).casefold()
        if text not in {"", "yes", "no"}:
            self.fault(column, f"yes or no (got {text[:40]!r})")
        return default if not text else text == "yes"

    def money(self, column: str, default: int) -> int:
        """Hundredths of the currency."""
        text = self.text(column)
        if not text:
            return default
        found = _MONEY.fullmatch(text)
        if not found:
            self.fault(column, f"an amount like 12.50, without a currency (got {text[:40]!r})")
            return default
        return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))

    def percent(self, column: str) -> Percent | None:
        text = self.text(column)
        if not text:
            return None
        found = _PERCENT.fullmatch(text)
        permille = int(found[1]) * 10 + int(found[2] or 0) if found else -1
        if not 0 <= permille <= 1000:
            self.fault(column, f"a percentage from 0 to 100 with at most one decimal (got {text[:40]!r})")
            return None
        return Percent(permille)

    def rule(self, percent: str, most: str) -> Rule | None:
        if self.text(percent) and self.text(most):
            self.fault(most, f"{percent} and {most} exclude each other; leave one empty")
            return None
        return MaxUnits(self.whole(most, 0)) if self.text(most) else self.percent(percent)

    def locations(self) -> frozenset[LocationName]:
        """The warehouses named, separated by ``;``."""
        named = [part.strip() for part in self.text("exclude_locations").split(";") if part.strip()]
        known = self.sheet.warehouses
        for each in named:
            if each not in known:
                self.fault(
                    "exclude_locations", f"no channel draws on warehouse {each[:40]!r}{meant(each, known)}"
                )
        return frozenset(LocationName(each) for each in named)

    def refuse(self, columns: Iterable[str], why: str) -> None:
        for column in columns:
            if self.text(column):
                self.fault(column, why)


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
    sheet = _Sheet(path.name, settings, default, default_sku(settings))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            _take_all(sheet, csv.DictReader(file))
    except FileNotFoundError:
        sheet.faults.append(f"{path}: there is no such file; rules_csv names it")
    except UnicodeDecodeError:
        sheet.faults.append(f"{path}: not UTF-8; save it as CSV UTF-8")
    except OSError as error:
        sheet.faults.append(f"{path}: cannot be read: {error.strerror or error}")
    if sheet.faults:
        more = len(sheet.faults) - MAX_FAULTS
        raise ConfigFault((*sheet.faults[:MAX_FAULTS], *([f"... and {more} more"] if more > 0 else [])))
    return sheet.rules


def _take_all(sheet: _Sheet, reader: "csv.DictReader[str]") -> None:
    try:
        if not _header_serves(sheet, reader.fieldnames or ()):
            return
        misspelt = bool(sheet.faults)
        for row in reader:
            _take(_Line(sheet, reader.line_num, row))
    except csv.Error as error:
        sheet.faults.append(f"{sheet.name}:{reader.line_num + 1}: not CSV: {error}")
        return
    # Where a column was not understood, sums over it would only be false alarms.
    if not misspelt:
        _add_up(sheet)


def _header_serves(sheet: _Sheet, columns: Sequence[str]) -> bool:
    """Whether rows can be told by it; a misspelt column is a fault, but the others can still be read."""
    if len(columns) == 1 and ";" in columns[0]:
        sheet.faults.append(f"{sheet.name}:1: separated by semicolons; save it as CSV with commas")
        return False
    for number, column in enumerate(columns):
        if column in columns[:number]:
            sheet.faults.append(f"{sheet.name}:1: column {column!r} is there twice")
        elif column not in COLUMNS:
            close = difflib.get_close_matches(column, COLUMNS, 1)
            hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(COLUMNS)}"
            sheet.faults.append(f"{sheet.name}:1: no such column {column[:40]!r}{hint}")
    if "sku" not in columns:
        sheet.faults.append(f"{sheet.name}:1: the column 'sku' is missing; the first line names the columns")
        return False
    return True


def _take(line: _Line) -> None:
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


def _take_sku(line: _Line, sku: Sku) -> None:
    sheet, channel = line.sheet, ChannelName(line.text("channel"))
    # DictReader keeps what lies beyond the last column under None.
    if None in line.row:
        line.fault("row", "more cells than the header has columns; quote a cell that holds a comma")
    if channel and channel not in sheet.default:
        line.fault("channel", f"no channel {channel[:40]!r}{meant(channel, sorted(sheet.default))}")
        return
    if (sku, channel) in sheet.lines:
        first = sheet.lines[sku, channel]
        line.fault("sku", f"{sku!r} has a row for {channel or 'all channels'} already, on line {first}")
        return
    sheet.lines[sku, channel] = line.number
    if channel:
        sheet.rules.offers[sku, channel] = _offer(line, sheet.default[channel])
    else:
        sheet.rules.skus[sku] = _sku_rule(line, sheet.base)


def _offer(line: _Line, default: OfferRule) -> OfferRule:
    line.refuse(SKU_COLUMNS, "belongs to the SKU: put it in a row without a channel")
    cap = line.whole("cap", 0) if line.text("cap") else default.cap
    floor = line.whole("floor", default.floor)
    if cap is not None and floor > cap:
        line.fault("floor", f"{floor} is above the cap of {cap}")
    return replace(
        default,
        normal=line.rule("percent", "max") or default.normal,
        low_stock=line.rule("low_stock_percent", "low_stock_max"),
        cap=cap,
        floor=floor,
        buffer=line.whole("buffer", default.buffer),
        units_per_sale=line.whole("units_per_sale", default.units_per_sale, 1, 100_000),
        excluded_locations=line.locations(),
        managed=line.yes("managed", default=True),
    )


def _sku_rule(line: _Line, base: SkuRule) -> SkuRule:
    line.refuse(LISTING_COLUMNS, "belongs to a listing: put it in a row with a channel")
    pool, pools = line.text("pool") or base.pool, line.sheet.pools
    if pool not in pools:
        line.fault("pool", f"no pool {pool[:40]!r}{meant(pool, pools)}")
    return SkuRule(
        safety_stock=line.whole("safety_stock", base.safety_stock),
        min_level=line.whole("min_level", base.min_level),
        excluded_locations=line.locations(),
        rate=_rate(line.whole("rate_per_day", 0)) if line.text("rate_per_day") else base.rate,
        pool=pool,
        price=line.money("unit_price", base.price),
        protected=line.yes("protected", default=False),
        kit=line.yes("kit", default=False),
    )


def _add_up(sheet: _Sheet) -> None:
    """In a split pool percentages must fit into one hundred, in both regimes, and a maximum is no share."""
    split = {each.name for each in sheet.settings.pools if each.mode == "split"}
    for sku in sorted({sku for sku, _ in sheet.lines} - sheet.doubtful):
        pool = sheet.rules.skus.get(sku, sheet.base).pool
        if pool in split:
            offers = {name: sheet.rules.offers.get((sku, name), rule) for name, rule in sheet.default.items()}
            normal = {name: offer.normal for name, offer in offers.items()}
            low = {name: offer.low_stock or offer.normal for name, offer in offers.items()}
            _shares(sheet, sku, pool, "", normal)
            if low != normal:
                _shares(sheet, sku, pool, "low_stock_", low)


def _shares(sheet: _Sheet, sku: Sku, pool: str, regime: str, shares: Mapping[ChannelName, Rule]) -> None:
    total = 0
    for channel, rule in shares.items():
        line = sheet.lines.get((sku, channel), 0)
        match rule:
            case Percent(permille):
                total += permille
            case MaxUnits() if regime and sheet.rules.offers[sku, channel].low_stock is None:
                pass  # told already, as the fault of the normal rule
            case MaxUnits():
                sheet.faults.append(
                    f"{sheet.name}:{line}: {regime}max: {sku!r} on {channel} is in the split pool {pool!r}; "
                    f"use {regime}percent with cap"
                )
    if total > 1000:
        line = min(number for (each, _), number in sheet.lines.items() if each == sku)
        sheet.faults.append(
            f"{sheet.name}:{line}: {regime}percent: the percentages of {sku!r} in the split pool {pool!r} "
            f"add up to {total / 10:g} over {', '.join(sorted(shares))}; at most 100"
        )
