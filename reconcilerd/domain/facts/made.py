"""What facts of our own making have in common."""

from bisect import bisect_left

from reconcilerd.domain.names import Instant, Sku, SlotKey

Limit = tuple[Sku, int, int]
"""Of one SKU, by how many units at most a listing may fall, and rise; 0: not that way."""


class Made:
    """A fact of our own making: true from the moment it was made."""

    __slots__ = ()

    @property
    def as_of(self) -> Instant:
        at: Instant = self.at  # type: ignore[attr-defined]  # each of them has it, among its own fields
        return at


class OfSlot(Made):
    """What happened to one slot: the newest of its kind is its state."""

    __slots__ = ()
    slot: SlotKey

    @property
    def about(self) -> str:
        return self.slot.path


class Release(Made):
    """What a person lets go: which SKUs, which way, and by how much a listing of each may change at most.

    ``limits``: each SKU's own, sorted by SKU; where there are none, as once, ``direction`` and ``ceiling`` are of all.
    """

    __slots__ = ()
    skus: tuple[Sku, ...]
    direction: str
    ceiling: int
    limits: tuple[Limit, ...]

    def most(self, sku: Sku, way: str) -> int | None:
        """By how many units a listing of a SKU may change at most, ``lower`` or ``raise``; None: it may not."""
        if not self.limits:
            return self.ceiling if sku in self.skus and self.direction in {way, "both"} else None
        place = bisect_left(self.limits, (sku, 0, 0))
        if place == len(self.limits) or self.limits[place][0] != sku:
            return None
        _, lower, rise = self.limits[place]
        return (lower if way == "lower" else rise) or None


class Standing(Made):
    """What holds from when it was made until its end, or until a newer one of its kind takes it back."""

    __slots__ = ()
    on: bool
    until: Instant | None

    def holds(self, now: Instant) -> bool:
        return self.on and (self.until is None or self.until > now)
