"""What is declared for a time: units held for a purpose until a date, and units on their way. One CSV each."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from reconcilerd.config.csv_rows import Line, Sheet, read_rows, refuse_faulty
from reconcilerd.config.settings import Settings
from reconcilerd.domain.names import Instant, Sku, sku_of
from reconcilerd.domain.policy import Inbound, Reserve

RESERVE_COLUMNS: Final = {
    "sku": ("text", "whose units; of a bundle, those of its components"),
    "units": ("eaches", "held back from all channels, as far as they are there"),
    "until": ("time with zone", "when they are offered again, by themselves"),
    "purpose": ("text", "for whom or what: explain names it"),
    "locations": ("warehouse ids", "where they are held; empty: anywhere; separated by ;"),
}
INBOUND_COLUMNS: Final = {
    "sku": ("text", "of which units are on their way: a component, not a bundle of them"),
    "units": ("eaches", "how many"),
    "location": ("warehouse id", "where they will arrive; what lies there already is not counted again"),
    "due": ("time with zone", "from then on only the stock row counts"),
    "offered_from": ("time with zone", "when pre-orders begin; empty: at once"),
    "confidence": ("%", "how much of it to count on, rounded down; empty: 100"),
}


@dataclass(slots=True)
class Dated:
    """What both files say, by SKU, in the order of their lines."""

    reserves: dict[Sku, tuple[Reserve, ...]] = field(default_factory=dict)
    inbound: dict[Sku, tuple[Inbound, ...]] = field(default_factory=dict)


@dataclass(slots=True)
class _Sheet(Sheet):
    taken: Dated = field(default_factory=Dated)
    now: Instant | None = None
    """What has ended before then is refused."""


_Row = Line[_Sheet]


def read_dated(folder: Path, settings: Settings, now: Instant | None) -> Dated:
    """Both files, where they are named. Raises ConfigFault with every fault of both."""
    taken, faults = Dated(), list[str]()
    for name, key, columns, take in (
        (settings.reserves_csv, "reserves_csv", RESERVE_COLUMNS, _take_reserve),
        (settings.inbound_csv, "inbound_csv", INBOUND_COLUMNS, _take_inbound),
    ):
        if name:
            sheet = _Sheet(Path(name).name, key, settings, taken=taken, now=now)
            read_rows(folder / name, sheet, tuple(columns), take)
            faults += sheet.faults
    refuse_faulty(faults)
    return taken


def _sku(line: _Row) -> Sku | None:
    line.whole_row()
    try:
        return sku_of(line.text("sku"))
    except ValueError:
        line.fault("sku", f"is {'not a SKU' if line.text('sku') else 'blank'}")
        return None


def _end(line: _Row, column: str, what: str) -> Instant | None:
    at = line.moment(column)
    if at is None and not line.text(column):
        line.fault(column, f"is missing; {what}")
    elif at is not None and line.sheet.now is not None and at <= line.sheet.now:
        line.fault(column, f"{line.text(column)[:40]} has passed; take the row out, or name a later time")
    return at


def _units(line: _Row) -> int:
    if not line.text("units"):
        line.fault("units", "is missing")
    return line.whole("units", 0, 1)


def _take_reserve(line: _Row) -> None:
    sku, units, where = _sku(line), _units(line), line.locations("locations")
    until = _end(line, "until", "a reserve without an end is safety_stock in the rules CSV")
    if sku is not None and until is not None:
        reserve = Reserve(units, until, line.text("purpose")[:80], where)
        line.sheet.taken.reserves[sku] = (*line.sheet.taken.reserves.get(sku, ()), reserve)


def _take_inbound(line: _Row) -> None:
    sku, units, where = _sku(line), _units(line), sorted(line.locations("location"))
    due = _end(line, "due", "inbound that is never due would be counted for ever")
    begins, sure = line.moment("offered_from"), line.percent("confidence")
    if len(where) != 1:
        line.fault("location", "name the one warehouse where it will arrive")
    if due is not None and begins is not None and begins >= due:
        line.fault("offered_from", "is not before due")
    if sku is not None and due is not None and len(where) == 1:
        made = Inbound(units, sure.permille if sure else 1000, where[0], due, begins or Instant(0))
        line.sheet.taken.inbound[sku] = (*line.sheet.taken.inbound.get(sku, ()), made)
