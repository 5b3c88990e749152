"""What facts of our own making have in common."""

from reconcilerd.domain.names import Instant, SlotKey


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


class Standing(Made):
    """What holds from when it was made until its end, or until a newer one of its kind takes it back."""

    __slots__ = ()
    on: bool
    until: Instant | None

    def holds(self, now: Instant) -> bool:
        return self.on and (self.until is None or self.until > now)
