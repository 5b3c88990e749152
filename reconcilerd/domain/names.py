"""The names things go by, and instants.

An ``Instant`` is whole milliseconds since 1970-01-01T00:00:00Z: one number that sorts, subtracts exactly and
has no zone to forget. Text with a zone becomes an Instant at the edge; text without one is refused there.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NewType

Sku = NewType("Sku", str)
"""The seller's own item code, case folded (Extensiv compares without case)."""

ChannelName = NewType("ChannelName", str)
"""A sales channel as the configuration names it."""

LocationName = NewType("LocationName", str)
"""A place where stock lies, as the configuration or Extensiv names it."""

FeedName = NewType("FeedName", str)
"""One thing that is read again and again, e.g. ``extensiv.stock`` or ``shop-eu.orders``."""

Instant = NewType("Instant", int)
"""Milliseconds since the Unix epoch, UTC."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
"""What can be written down again; with a zone, a text may denote what lies hours beyond."""

MAX_SKU_LENGTH = 128


def sku_of(text: str) -> Sku:
    """The SKU that a code stands for. Raises ValueError for blank, overlong or unprintable codes."""
    trimmed = text.strip()
    if not trimmed or len(trimmed) > MAX_SKU_LENGTH or not trimmed.isprintable():
        raise ValueError(f"not a SKU: {text[:40]!r}")
    return Sku(trimmed.casefold())


def instant_of(moment: datetime) -> Instant:
    """Milliseconds of an aware datetime. Raises ValueError for one without a zone, or out of the calendar in UTC."""
    if moment.tzinfo is None:
        raise ValueError(f"a time without a zone: {moment.isoformat()}")
    if not FIRST <= moment <= LAST:
        raise ValueError(f"a time out of the calendar: {moment.isoformat()}")
    return Instant((moment - _EPOCH) // _MS)


def parse_instant(text: str) -> Instant:
    """An ISO 8601 time with zone, e.g. ``2026-11-24T08:00:00Z``. Raises ValueError otherwise."""
    if not (text.isascii() and text.isprintable()):  # what follows a NUL would pass unseen
        raise ValueError(f"not a time: {text[:40]!a}")
    return instant_of(datetime.fromisoformat(text))


@lru_cache(maxsize=4_096)
def format_instant(at: Instant) -> str:
    """ISO 8601 in UTC, with milliseconds only when there are any."""
    moment = _EPOCH + timedelta(milliseconds=at)
    return moment.isoformat(timespec="milliseconds" if at % 1000 else "seconds").replace("+00:00", "Z")


def format_second(at: Instant) -> str:
    """The same to the second, cut."""
    return format_instant(Instant(at - at % 1000))


def format_span(ms: int) -> str:
    """A length of time in its two largest units, cut: ``45 s``, ``30 min``, ``2 h 5 min``, ``3 d``."""
    s = max(0, ms) // 1000
    if s < 120:
        return f"{s} s"
    days, hours, minutes = s // 86_400, s // 3_600 % 24, s // 60 % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    first = next(number for number, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def count_of(count: int, thing: str) -> str:
    """``1 listing``, ``2 listings``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def after(at: Instant, ms: int) -> Instant:
    """The instant ``ms`` milliseconds later (earlier if negative)."""
    return Instant(at + ms)


@dataclass(frozen=True, slots=True, order=True)
class SlotKey:
    """One channel location of a listing: what a quantity is read from and written to.

    ``listing`` is the channel's own id of the offer (Shopify: the inventory item), ``place`` the channel's
    own id of its location (empty where a channel has none).
    """

    channel: ChannelName
    listing: str
    place: str = ""

    def __hash__(self) -> int:  # type: ignore[explicit-override]  # its decorator is not in 3.11's typing
        # What two slots nearly always differ in; a str keeps its own hash, and a tuple would not.
        return hash(self.listing) ^ hash(self.place)

    @property
    def path(self) -> str:
        return f"{self.channel}/{self.listing}/{self.place}"

    def at_one_listing(self, other: "SlotKey") -> bool:
        """Whether both are of one listing, at whatever places of its channel."""
        return self.listing == other.listing and self.channel == other.channel


@dataclass(frozen=True, slots=True, order=True)
class OrderKey:
    """A channel's order number, as it appears on the channel and, by its pattern, in Extensiv."""

    channel: ChannelName
    number: str
