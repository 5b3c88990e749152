"""Real orders replayed: a CSV of order lines becomes visitors at the stores, cancels and write-offs included."""

import codecs
import csv
import io
import itertools
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

from reconcilerd.domain.names import MAX_SKU_LENGTH, Instant, parse_instant, sku_of
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.stores import Order
from reconcilerd.simulator.truth import World

COLUMNS = ("invoice", "stock_code", "description", "quantity", "ordered_at", "unit_price_gbp", "country")
NOT_PRODUCTS = frozenset({"POST", "DOT", "M", "C2", "D", "S", "BANK CHARGES", "AMAZONFEE", "CRUK", "PADS"})
"""Codes of postage, fees and corrections: sold, but mapped to nothing."""
NEEDED = COLUMNS[:6]
DAY_MS = 86_400_000
MAX_FAULTS = 20
ALIKE = 5
"""How many faults of one kind are told: a column that is wrong throughout is wrong in one way."""
PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip, as a spreadsheet is"}
"""How files begin that hold no text until they are unpacked."""
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


@dataclass(slots=True)
class _Told:
    """What a file says so far: what was ordered and what cancelled under a number, and what is wrong with it."""

    invoices: dict[tuple[str, bool], list[tuple[Instant, list[Line]]]] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Where and what; what is alike begins with the same word."""


def _read(path: Path) -> list[Invoice]:
    told = _Told()
    reader = csv.DictReader(io.StringIO(_text_of(path), newline=""), strict=True)
    try:
        _check_header(reader.fieldnames or (), f"{path.name}:1")
        for row in reader:
            _take(row, f"{path.name}:{reader.line_num}", told)
    except csv.Error as error:
        text = f"not CSV from here on: {error}; a quote may be open"
        told.faults.append((f"{path.name}:{reader.line_num + 1}", text))
    if told.faults:
        raise ConfigFault(_shortened(told.faults))
    if not told.invoices:
        raise ConfigFault((f"{path}: holds no order lines",))
    return sorted(_invoices(told), key=lambda each: (each.at, each.number, each.cancels))


def _check_header(header: Sequence[str], where: str) -> None:
    """Raises ConfigFault where it cannot be told by it what stands in a row."""
    missing = [name for name in NEEDED if name not in header]
    if missing:
        cells = "; its cells are to be separated by commas" if _one_cell(header) else ""
        raise ConfigFault((f"{where}: lacks the columns {', '.join(missing)}{cells}",))
    twice = [name for name in NEEDED if header.count(name) > 1]
    if twice:
        raise ConfigFault(tuple(f"{where}: column {name!r} is there twice; keep one" for name in twice))


def _invoices(told: _Told) -> Iterator[Invoice]:
    taken = {number for number, _ in told.invoices}
    for (number, cancels), some in told.invoices.items():
        for at, lines in some:
            # To a store and to Extensiv, two orders of one number are one order.
            again = not cancels and lines is not some[0][1]
            names = (f"{number}-{count}" for count in itertools.count(2))
            name = next(each for each in names if each not in taken) if again else number
            taken.add(name)
            yield Invoice(name, at, tuple(lines), cancels)


def _shortened(faults: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    """The first few of each kind, and how many more there are."""
    kinds = Counter[str]()
    shown: list[str] = []
    for where, text in faults:
        kinds[text.split()[0]] += 1
        if kinds[text.split()[0]] <= ALIKE and len(shown) < MAX_FAULTS:
            shown.append(f"{where}: {text}")
    more = len(faults) - len(shown)
    return (*shown, *([f"... and {more} more"] if more else []))


def _one_cell(header: Sequence[str]) -> bool:
    """Whether a header is one cell that was meant to be several."""
    return len(header) == 1 and any(mark in header[0] for mark in ";\t|")


def _text_of(path: Path) -> str:
    """All of a file. Raises ConfigFault for what cannot be read, or holds no text until it is unpacked.

    It is opened once: a pipe gives what it holds a single time.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigFault((f"{path}: cannot be read: {error.strerror or error}",)) from error
    for mark, what in PACKED.items():
        if raw.startswith(mark):
            raise ConfigFault((f"{path}: is compressed ({what}); unpack it, or save it as CSV UTF-8",))
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigFault((f"{path.name}:{line}: not UTF-8; save it as CSV UTF-8",)) from error


def _take(row: dict[str, str], where: str, told: _Told) -> None:
    try:
        # DictReader keeps what lies beyond the last column under None, and fills up with it.
        if None in row:
            raise ValueError("more cells than the header has columns; quote a cell that holds a comma")
        if any(row[name] is None for name in NEEDED):
            raise ValueError("fewer cells than the header has columns")
        number, code = (row["invoice"] or "").strip(), (row["stock_code"] or "").strip()
        if not number:
            raise ValueError("invoice is blank")
        if not code:
            raise ValueError("stock_code is blank")
        try:
            sku_of(code)
        except ValueError:
            raise ValueError(
                f"stock_code must be at most {MAX_SKU_LENGTH} characters that print, not {code[:40]!a}"
            ) from None
        text = (row["quantity"] or "").strip()
        if not _WHOLE.fullmatch(text) or int(text) == 0:
            raise ValueError(
                f"quantity must be a whole number other than 0 of at most nine digits, not {text[:40]!r}"
            )
        try:
            at = parse_instant((row["ordered_at"] or "").strip())
        except ValueError:
            raise ValueError(f"ordered_at must be a time with zone, not {row['ordered_at'][:40]!r}") from None
        price = (row["unit_price_gbp"] or "").strip()
        if price and not _PRICE.fullmatch(price):
            raise ValueError(f"unit_price_gbp must be an amount like 2.55, not {price[:40]!r}")
    except (ValueError, TypeError) as error:
        told.faults.append((where, str(error)))
        return
    units = int(text)
    # Many a shop's own numbers begin with C: what takes an order back is less than zero besides.
    cancels = units < 0 and number.upper().startswith("C")
    # What is less than zero and cancels no sale has left the shelf, whatever price stands beside it.
    line = Line(code, row["description"] or code, abs(units), units < 0 and not cancels)
    under = told.invoices.setdefault((number, cancels), [])
    # Where numbers begin anew, one number is many orders; one order is written down within a day.
    lines = next((some for began, some in under if abs(at - began) <= DAY_MS), None)
    if lines is None:
        under.append((at, [line]))
    else:
        lines.append(line)


def sells(invoices: Iterable[Invoice]) -> bool:
    """Whether any product is ordered: cancels, write-offs, postage and fees play no orders."""
    lines = (line for each in invoices if not each.cancels for line in each.lines)
    return any(not line.write_off and line.code.upper() not in NOT_PRODUCTS for line in lines)


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
