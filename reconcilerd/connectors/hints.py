"""What a system may tell us unasked: that something changed, and never what it is now.

Whoever forges one, holds one back or sends it a thousand times changes when we read, and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from reconcilerd.domain.names import ChannelName, SlotKey


class Topic(StrEnum):
    """What a hint is about, as far as it matters which reading shows it."""

    LISTING = "listing"
    ORDERS = "orders"
    OTHER = "other"
    """Not known, or of no use to us."""


class Became(StrEnum):
    """What became of one. None of these says anything to whoever sent it."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"
    """Its id, or its very words, came before."""
    CROWDED = "crowded"
    """More listings wait to be read than hints may ask for; the next poll reads it."""
    UNKNOWN = "unknown"
    """Of a listing that was never read."""
    UNNEEDED = "unneeded"
    """Of a topic that changes nothing for us."""
    UNREADABLE = "unreadable"
    """Well signed, and not what the vendor documents."""
    BAD_SIGNATURE = "bad_signature"
    OTHER_SHOP = "other_shop"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    NO_POST = "no_post"


REFUSED: Final = frozenset(
    {Became.BAD_SIGNATURE, Became.OTHER_SHOP, Became.TOO_LARGE, Became.TOO_SLOW, Became.NO_POST}
)
"""Of somebody who may not tell us anything."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A hint whose sender is proven. ``marks``: what it is known again by; ``slots``: what to read, for a listing."""

    channel: ChannelName
    topic: Topic
    marks: tuple[str, ...]
    slots: tuple[SlotKey, ...] = ()


class Reader(Protocol):
    """Tells whose word a message is, and what it hints at; else why it hints at nothing."""

    def __call__(self, headers: Mapping[str, str], body: bytes) -> Hint | Became: ...
