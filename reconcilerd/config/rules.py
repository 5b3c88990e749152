"""Rules for single SKUs from a CSV, linted like the configuration: every fault with file, line and column."""

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconcilerd.config.settings import Settings
from reconcilerd.domain.names import ChannelName, LocationName, Sku, sku_of
from reconcilerd.domain.policy import MaxUnits, OfferRule, Percent, Rule, SkuRule
from reconcilerd.domain.quantities import Rate
from reconcilerd.errors import ConfigFault

COLUMNS = (
    "sku", "channel", "pool", "percent", "max", "low_stock_percent", "low_stock_max", "min_level", "cap", "floor",
    "buffer", "safety_stock", "units_per_sale", "exclude_locations", "managed", "rate_per_day",
)  # fmt: skip
MAX_FAULTS = 50


@dataclass(slots=True)
class Rules:
    """What the CSV says: by SKU, and by SKU and channel."""

    skus: dict[Sku, SkuRule] = field(default_factory=dict)
    offers: dict[tuple[Sku, ChannelName], OfferRule] = field(default_factory=dict)


@dataclass(slots=True)
class _Line:
    """One row under reading; ``fault`` collects what is wrong with it."""

    where: str
    row: Mapping[str, str]
    faults: list[str]

    def fault(self, column: str, text: str) -> None:
        self.faults.append(f"{self.where}: {column}: {text}")

    def number(self, column: str, least: int = 0) -> int | None:
        text = (self.row.get(column) or "").strip()
        if not text:
            return None
        if not text.isascii() or not text.isdigit() or int(text) < least or int(text) > 1_000_000_000:
            self.fault(column, f"a whole number from {least} up, not {text!r}")
            return None
        return int(text)

    def percent(self, column: str) -> Percent | None:
        text = (self.row.get(column) or "").strip()
        if not text:
            return None
        try:
            permille = round(float(text) * 10)
            if abs(permille - float(text) * 10) > 1e-6:
                raise ValueError
            return Percent(permille)
        except (ValueError, OverflowError):
            self.fault(column, f"a percentage from 0 to 100 with at most one decimal, not {text!r}")
            return None

    def rule(self, percent: str, most: str) -> Rule | None:
        share, units = self.percent(percent), self.number(most)
        if share is not None and units is not None:
            self.fault(most, f"{percent} and {most} exclude each other")
        return share if share is not None else MaxUnits(units) if units is not None else None


def read_rules(path: Path, settings: Settings, default: Mapping[ChannelName, OfferRule]) -> Rules:
    """Raises ConfigFault with every fault (at most MAX_FAULTS are listed)."""
    faults: list[str] = []
    rules = Rules()
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            _check_header(path.name, reader.fieldnames or (), faults)
            for row in reader:
                _take(_Line(f"{path.name}:{reader.line_num}", row, faults), settings, default, rules)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        faults.append(f"{path}: cannot be read: {error}")
    if not faults:
        faults.extend(_split_sums(path.name, settings, rules, default))
    if faults:
        more = [f"... and {len(faults) - MAX_FAULTS} more"] if len(faults) > MAX_FAULTS else []
        raise ConfigFault(tuple(faults[:MAX_FAULTS] + more))
    return rules


def _check_header(name: str, columns: object, faults: list[str]) -> None:
    for column in list(columns):  # type: ignore[call-overload]
        if column not in COLUMNS:
            close = difflib.get_close_matches(str(column), COLUMNS, 1)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            faults.append(f"{name}:1: no such column {column!r}{meant}")


def _take(line: _Line, settings: Settings, default: Mapping[ChannelName, OfferRule], rules: Rules) -> None:
    try:
        sku = sku_of(line.row.get("sku") or "")
    except ValueError:
        line.fault("sku", "is blank or not a SKU")
        return
    channel = (line.row.get("channel") or "").strip()
    if channel and ChannelName(channel) not in default:
        line.fault("channel", f"no channel {channel!r}; known: {', '.join(sorted(default))}")
        return
    key = (sku, ChannelName(channel))
    if key in rules.offers or (not channel and sku in rules.skus):
        line.fault("sku", f"{sku!r} has a row for {channel or 'all channels'} already")
        return
    if channel:
        rules.offers[key] = _offer(line, default[ChannelName(channel)])
    else:
        rules.skus[sku] = _sku_rule(line, settings)


def _offer(line: _Line, default: OfferRule) -> OfferRule:
    for column in ("pool", "min_level", "safety_stock", "rate_per_day"):
        if (line.row.get(column) or "").strip():
            line.fault(column, "belongs to the SKU: put it in a row without a channel")
    managed = (line.row.get("managed") or "").strip().casefold()
    if managed not in {"", "yes", "no"}:
        line.fault("managed", f"yes or no, not {managed!r}")
    cap, floor, buffer = line.number("cap"), line.number("floor"), line.number("buffer")
    each = line.number("units_per_sale", 1)
    return replace(
        default,
        normal=line.rule("percent", "max") or default.normal,
        low_stock=line.rule("low_stock_percent", "low_stock_max"),
        cap=default.cap if cap is None else cap,
        floor=default.floor if floor is None else floor,
        buffer=default.buffer if buffer is None else buffer,
        units_per_sale=default.units_per_sale if each is None else each,
        excluded_locations=_locations(line),
        managed=managed != "no",
    )


def _sku_rule(line: _Line, settings: Settings) -> SkuRule:
    for column in ("percent", "max", "cap", "floor", "buffer", "units_per_sale", "managed"):
        if (line.row.get(column) or "").strip():
            line.fault(column, "belongs to a listing: put it in a row with a channel")
    pool = (line.row.get("pool") or "").strip() or next(p.name for p in settings.pools if p.default)
    if pool not in {each.name for each in settings.pools}:
        line.fault("pool", f"no pool {pool!r}; known: {', '.join(each.name for each in settings.pools)}")
    a_day = line.number("rate_per_day")
    return SkuRule(
        safety_stock=line.number("safety_stock") or 0,
        min_level=line.number("min_level") or 0,
        excluded_locations=_locations(line),
        rate=Rate(1000) if a_day is None else Rate(a_day * 1000 // 24),
        pool=pool,
    )


def _locations(line: _Line) -> frozenset[LocationName]:
    return frozenset(
        LocationName(part.strip())
        for part in (line.row.get("exclude_locations") or "").split(";")
        if part.strip()
    )


def _split_sums(
    name: str, settings: Settings, rules: Rules, default: Mapping[ChannelName, OfferRule]
) -> list[str]:
    """In a split pool percentages must fit into one hundred, and a maximum is no share."""
    split = {each.name for each in settings.pools if each.mode == "split"}
    base = next(each.name for each in settings.pools if each.default)
    faults = []
    for sku in sorted({*rules.skus, *(sku for sku, _ in rules.offers)}):
        pool = rules.skus[sku].pool if sku in rules.skus else base
        if pool not in split:
            continue
        total = 0
        for channel, rule in default.items():
            match rules.offers.get((sku, channel), rule).normal:
                case Percent(permille):
                    total += permille
                case MaxUnits():
                    faults.append(
                        f"{name}: {sku}: max on {channel} in split pool {pool!r}; use percent with cap"
                    )
        if total > 1000:
            faults.append(f"{name}: {sku}: percentages in split pool {pool!r} add up to {total / 10:g}")
    return faults
