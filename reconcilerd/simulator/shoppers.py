"""Real orders replayed: a CSV of order lines becomes visitors at the stores, cancels and write-offs included."""

import csv
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

from reconcilerd.domain.names import Instant, parse_instant
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.truth import Order, World

COLUMNS = ("invoice", "stock_code", "description", "quantity", "ordered_at", "unit_price_gbp", "country")
NOT_PRODUCTS = frozenset({"POST", "DOT", "M", "C2", "D", "S", "BANK CHARGES", "AMAZONFEE", "CRUK", "PADS"})
"""Codes of postage, fees and corrections: sold, but mapped to nothing."""
MAX_FAULTS = 20
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_PRICE = re.compile(r"-?[0-9]{1,12}(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Line:
    code: str
    name: str
    units: int
    write_off: bool


@dataclass(frozen=True, slots=True)
class Invoice:
    """One order, or (``cancels``) the cancel of one."""

    number: str
    at: Instant
    lines: tuple[Line, ...]
    cancels: bool


def read_invoices(path: Path | None) -> list[Invoice]:
    """All invoices of a file (None: the one that ships), in time order. Raises ConfigFault for every bad row."""
    if path is not None:
        return _read(path)
    with as_file(files("reconcilerd.simulator") / "data" / "online_retail_2010-12.csv") as own:
        return _read(own)


def _read(path: Path) -> list[Invoice]:
    faults: list[str] = []
    found: dict[str, tuple[Instant, list[Line]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS[:6] if name not in (reader.fieldnames or ())]
            if missing:
                cells = "; its cells are to be separated by commas" if _one_cell(reader.fieldnames) else ""
                raise ConfigFault((f"{path.name}:1: lacks the columns {', '.join(missing)}{cells}",))
            try:
                for row in reader:
                    _take(row, f"{path.name}:{reader.line_num}", found, faults)
            except csv.Error as error:
                faults.append(
                    f"{path.name}:{reader.line_num + 1}: not CSV from here on: {error}; a quote may be open"
                )
    except UnicodeDecodeError as error:
        text = f"{path.name}:{_first_bad_line(path)}: not UTF-8; save it as CSV UTF-8"
        raise ConfigFault((text,)) from error
    except OSError as error:
        raise ConfigFault((f"{path}: cannot be read: {error.strerror or error}",)) from error
    if faults:
        more = [f"... and {len(faults) - MAX_FAULTS} more"] if len(faults) > MAX_FAULTS else []
        raise ConfigFault(tuple(faults[:MAX_FAULTS] + more))
    if not found:
        raise ConfigFault((f"{path}: holds no order lines",))
    invoices = [Invoice(n, at, tuple(lines), _cancels(n)) for n, (at, lines) in found.items()]
    return sorted(invoices, key=lambda each: (each.at, each.number))


def _one_cell(header: Sequence[str] | None) -> bool:
    """Whether a header is one cell that was meant to be several."""
    return header is not None and len(header) == 1 and any(mark in header[0] for mark in ";\t|")


def _first_bad_line(path: Path) -> int:
    raw = path.read_bytes()
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return raw[: error.start].count(b"\n") + 1
    return 1


def _cancels(number: str) -> bool:
    return number.upper().startswith("C")


def _take(
    row: dict[str, str], where: str, found: dict[str, tuple[Instant, list[Line]]], faults: list[str]
) -> None:
    try:
        # DictReader keeps what lies beyond the last column under None, and fills up with it.
        if None in row:
            raise ValueError("more cells than the header has columns; quote a cell that holds a comma")
        if any(row[name] is None for name in COLUMNS[:6]):
            raise ValueError("fewer cells than the header has columns")
        number, code = (row["invoice"] or "").strip(), (row["stock_code"] or "").strip()
        if not number:
            raise ValueError("invoice is blank")
        if not code:
            raise ValueError("stock_code is blank")
        text = (row["quantity"] or "").strip()
        if not _WHOLE.fullmatch(text) or int(text) == 0:
            raise ValueError(
                f"quantity must be a whole number other than 0 of at most nine digits, not {text[:40]!r}"
            )
        try:
            at = parse_instant((row["ordered_at"] or "").strip())
        except ValueError:
            raise ValueError(f"ordered_at must be a time with zone, not {row['ordered_at']!r}") from None
        price = (row["unit_price_gbp"] or "").strip()
        if price and not _PRICE.fullmatch(price):
            raise ValueError(f"unit_price_gbp must be an amount like 2.55, not {price[:40]!r}")
    except (ValueError, TypeError) as error:
        faults.append(f"{where}: {error}")
        return
    units = int(text)
    # What is less than zero and cancels no sale has left the shelf, whatever price stands beside it.
    line = Line(code, row["description"] or code, abs(units), units < 0 and not _cancels(number))
    found.setdefault(number, (at, []))[1].append(line)


def busy_hour(invoices: Sequence[Invoice]) -> list[Invoice]:
    """The invoices of the busiest hour on the last day."""
    day = invoices[-1].at // 86_400_000
    today = [each for each in invoices if each.at // 86_400_000 == day]
    hours: dict[int, list[Invoice]] = {}
    for each in today:
        hours.setdefault(each.at // 3_600_000, []).append(each)
    return max(hours.values(), key=lambda some: (sum(len(each.lines) for each in some), some[0].at))


def store_of(invoice: Invoice, stores: Sequence[str]) -> str:
    """Every invoice is an order at one store, the same in every run; the first two take two of five each."""
    return stores[(0, 0, 1, 1, 2)[zlib.crc32(invoice.number.encode()) % 5] % len(stores)]


Wanted = Sequence[tuple[str, int]]
"""Codes and units."""

Basket = Callable[[str, Wanted], list[tuple[str, int]]]
"""How what a visitor wants is listed at a store."""


def as_named(_store: str, wanted: Wanted) -> list[tuple[str, int]]:
    """Each code as itself."""
    return list(wanted)


@dataclass(slots=True)
class Replay:
    """Plays invoices into a world."""

    world: World
    placed: dict[str, list[Order]] = field(default_factory=dict)
    basket: Basket = as_named

    def play(self, invoice: Invoice, now: Instant) -> None:
        """One invoice: an order, a cancel of the newest order with the same goods, or a write-off."""
        if invoice.cancels:
            self._cancel(invoice, now)
            return
        wanted = [(line.code, line.units) for line in invoice.lines if not line.write_off]
        for line in invoice.lines:
            if line.write_off and line.code in self.world.products:
                self.world.damage(line.code, line.units, now)
        if wanted:
            store = store_of(invoice, tuple(self.world.stores))
            order = self.world.place_order(store, invoice.number, self.basket(store, wanted), now)
            if order is not None:
                for code, _ in wanted:
                    self.placed.setdefault(code, []).append(order)

    def _cancel(self, invoice: Invoice, now: Instant) -> None:
        for line in invoice.lines:
            for order in reversed(self.placed.get(line.code, [])):
                if order.cancelled is None and order.shipped is None:
                    self.world.cancel(order, now)
                    return
