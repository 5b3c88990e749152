"""Reads a CSV that a person keeps, linted like the configuration: every fault with file, line and column.

Knows cells and how they may be written, not what any column means.
"""

import csv
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar

from reconcilerd.config.agreement import meant
from reconcilerd.config.nearest import nearest
from reconcilerd.config.settings import Settings
from reconcilerd.domain.names import Instant, LocationName, parse_instant
from reconcilerd.domain.policy import MaxUnits, Percent, Rule
from reconcilerd.domain.quantities import MAX_UNITS
from reconcilerd.errors import ConfigFault

MAX_FAULTS: Final = 50

_WHOLE: Final = re.compile(r"[0-9]{1,10}")
_MONEY: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,2}))?")
_PERCENT: Final = re.compile(r"([0-9]{1,3})(?:\.([0-9]))?")


@dataclass(slots=True)
class Sheet:
    """The file under reading, and what is wrong with it."""

    name: str
    key: str
    """The key of the configuration that names it."""
    settings: Settings
    faults: list[str] = field(default_factory=list)

    @property
    def warehouses(self) -> list[str]:
        drawn = {w for each in self.settings.channels for draws in each.places.values() for w in draws}
        return sorted(drawn)


S = TypeVar("S", bound=Sheet)


@dataclass(slots=True)
class Line(Generic[S]):
    """One row under reading; every fault is told with its column."""

    sheet: S
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

    def moment(self, column: str) -> Instant | None:
        """A time with its zone; None where there is none, or none that can be read (which is a fault)."""
        text = self.text(column)
        if not text:
            return None
        try:
            return parse_instant(text)
        except ValueError:
            self.fault(column, f"a time with its zone, e.g. 2030-11-24T08:00:00Z (got {text[:40]!r})")
            return None

    def locations(self, column: str) -> frozenset[LocationName]:
        """The warehouses named, separated by ``;``."""
        named = [part.strip() for part in self.text(column).split(";") if part.strip()]
        known = self.sheet.warehouses
        for each in named:
            if each not in known:
                self.fault(column, f"no channel draws on warehouse {each[:40]!r}{meant(each, known)}")
        return frozenset(LocationName(each) for each in named)

    def whole_row(self) -> None:
        """Refuse a row with more cells than columns: DictReader keeps what lies beyond the last under None."""
        if None in self.row:
            self.fault("row", "more cells than the header has columns; quote a cell that holds a comma")

    def refuse(self, columns: Iterable[str], why: str) -> None:
        for column in columns:
            if self.text(column):
                self.fault(column, why)


def read_rows(path: Path, sheet: S, columns: Sequence[str], take: Callable[[Line[S]], None]) -> bool:
    """Give every row to ``take``; whether all columns were understood. What cannot be read is among the faults."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return _take_all(sheet, csv.DictReader(file, strict=True), columns, take)
    except FileNotFoundError:
        sheet.faults.append(f"{path}: there is no such file; {sheet.key} names it")
    except UnicodeDecodeError:
        sheet.faults.append(f"{path}: not UTF-8; save it as CSV UTF-8")
    except OSError as error:
        sheet.faults.append(f"{path}: cannot be read: {error.strerror or error}")
    return False


def _take_all(
    sheet: S, reader: "csv.DictReader[str]", columns: Sequence[str], take: Callable[[Line[S]], None]
) -> bool:
    try:
        if not _header_serves(sheet, reader.fieldnames or (), columns):
            return False
        understood = not sheet.faults
        for row in reader:
            take(Line(sheet, reader.line_num, row))
    except csv.Error as error:
        # A quote that is left open takes all that follows for one cell.
        sheet.faults.append(
            f"{sheet.name}:{reader.line_num + 1}: not CSV: {error}; a quote may be open above it"
        )
        return False
    return understood


def _header_serves(sheet: Sheet, columns: Sequence[str], known: Sequence[str]) -> bool:
    """Whether rows can be told by it; a misspelt column is a fault, but the others can still be read."""
    if len(columns) == 1 and ";" in columns[0]:
        sheet.faults.append(f"{sheet.name}:1: separated by semicolons; save it as CSV with commas")
        return False
    for number, column in enumerate(columns):
        if column in columns[:number]:
            sheet.faults.append(f"{sheet.name}:1: column {column!r} is there twice")
        elif column not in known:
            close = nearest(column, known)
            hint = f"; did you mean {close!r}?" if close is not None else f"; known: {', '.join(known)}"
            sheet.faults.append(f"{sheet.name}:1: no such column {column[:40]!r}{hint}")
    if "sku" not in columns:
        sheet.faults.append(f"{sheet.name}:1: the column 'sku' is missing; the first line names the columns")
        return False
    return True


def refuse_faulty(faults: Sequence[str]) -> None:
    """Raises ConfigFault with every fault (at most MAX_FAULTS are listed)."""
    if faults:
        more = len(faults) - MAX_FAULTS
        raise ConfigFault((*faults[:MAX_FAULTS], *([f"... and {more} more"] if more > 0 else [])))
