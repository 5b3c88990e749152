"""What a pretend business is made of: products, warehouses and what lies there, stores, listings, orders."""

from collections import deque
from dataclasses import dataclass, field

from reconcilerd.domain.names import ChannelName, Instant, SlotKey


@dataclass(slots=True)
class Product:
    id: int
    sku: str
    name: str
    components: tuple[tuple[str, int], ...] = ()
    split: bool = False
    virtual: bool = False
    """The parent of variations: Extensiv lists it, nothing of it lies anywhere."""


@dataclass(slots=True)
class Place:
    """A warehouse. ``mirror``: Extensiv holds a late copy of somebody else's count."""

    id: int
    name: str
    mirror: bool = False


@dataclass(slots=True)
class Bin:
    id: int
    sku: str
    place: int
    on_hand: int
    locked: int = 0
    copied: int = 0
    """What Extensiv says is on hand."""
    allocated: int = 0
    routed: int = 0
    """Units of open orders that are to leave from here, allocated or not."""


@dataclass(slots=True)
class Item:
    """One listing at one place of a store, with the quantity it shows there (sales units).

    What a store sells is known by the listing at its first place; ``beside`` that are its other places, in the order in
    which sales take from them.
    """

    id: str
    store: str
    listing_id: int
    listing_sku: str
    sku: str
    quantity: int
    each: int = 1
    tracked: bool = True
    continues: bool = False
    active: bool = True
    push: bool = False
    updated: Instant = Instant(0)
    written_at: Instant = Instant(0)
    meddled_at: Instant = Instant(0)
    """When our side last wrote it, and when anybody else did."""
    past: deque[tuple[Instant, int]] = field(default_factory=lambda: deque(maxlen=64))
    """What it showed before and until when: a store's readings may lag."""
    coming: list[int] = field(default_factory=list)
    """Accepted writes that have yet to take effect, and will."""
    place: str = ""
    beside: list["Item"] = field(default_factory=list)

    @property
    def levels(self) -> list["Item"]:
        """The listing at each place of its store, this one first."""
        return [self, *self.beside]

    @property
    def slot(self) -> SlotKey:
        """As the daemon knows it."""
        return SlotKey(ChannelName(self.store), self.id, self.place)

    @property
    def offered(self) -> int:
        """Units that a visitor is shown: what all places have together."""
        shown = max(0, self.quantity)
        for each in self.beside:
            shown += max(0, each.quantity)
        return shown

    def parts(self, units: int) -> list[tuple["Item", int]]:
        """From where a sale takes its units: the first place that has them all, else each place in its turn.

        What no place has, the first one is short of.
        """
        whole = next((each for each in self.levels if each.quantity >= units), None)
        if whole is not None or not self.beside:
            return [(whole or self, units)]
        taken = []
        for each in self.levels:
            taken.append((each, min(units, max(0, each.quantity))))
            units -= taken[-1][1]
        taken[0] = self, taken[0][1] + units
        return [(each, part) for each, part in taken if part]


@dataclass(slots=True)
class Store:
    """``place``: the first of the places that it sells from, ``others`` the rest of them."""

    name: str
    sales_channel_id: int
    place: str
    items: dict[str, Item] = field(default_factory=dict)
    by_sku: dict[str, Item] = field(default_factory=dict)
    orders: list["Order"] = field(default_factory=list)
    compares: bool = True
    """Whether a write is refused when the quantity is not what the writer believes."""
    apply_ms: tuple[int, int] = (0, 0)
    """How long an accepted write takes until it shows; meanwhile sales go on, and are then overwritten."""
    read_lag_ms: int = 0
    """How old the quantities are that it answers with."""
    restocks: bool = True
    """Whether a cancel gives the units back to what it shows."""
    others: tuple[str, ...] = ()

    def level(self, listing: str, place: str) -> Item | None:
        """A listing at a place; None where there is no such listing, or the store has no such place."""
        item = self.items.get(listing)
        return next((each for each in item.levels if each.place == place), None) if item else None

    @property
    def levels(self) -> list[Item]:
        """Every listing at every place."""
        return [each for item in self.items.values() for each in item.levels]


@dataclass(slots=True)
class Order:
    """One order. ``lines``: (listing SKU, units), less what its customer took off. ``ext_``: Extensiv's side of it."""

    id: int
    number: str
    store: str
    sales_channel_id: int
    lines: list[tuple[str, int]]
    placed: Instant
    updated: Instant
    visible: Instant
    cancelled: Instant | None = None
    fulfilled: bool = False
    test: bool = False
    imported: Instant | None = None
    ext_status: str = ""
    ext_modified: Instant = Instant(0)
    ext_place: int | None = None
    shipped: Instant | None = None
    allocated: bool = False
    taken: list[tuple[Item, int]] = field(default_factory=list)
    """Off which listings at which places its units came."""
    ext_lines: list[tuple[str, int]] = field(default_factory=list)
    """What Extensiv has of its lines, from the import on."""
    bought: list[tuple[str, int]] = field(init=False)
    """Its lines as they were ordered."""
    edited: Instant | None = None
    """When its customer last took units off it."""
    parts: list["Order"] = field(default_factory=list)
    """Further orders that Extensiv made of it when it was split; no store knows of those."""
    part_of: "Order | None" = None
    """What it was split off from."""

    def __post_init__(self) -> None:
        self.bought = self.lines

    @property
    def whole(self) -> "Order":
        """The order as its customer placed it."""
        return self.part_of or self

    @property
    def pieces(self) -> list["Order"]:
        """All that Extensiv has of it: one by one they are shipped."""
        return [self, *self.parts] if self.part_of is None else self.part_of.pieces

    @property
    def split(self) -> bool:
        return self.part_of is not None or bool(self.parts)

    @property
    def off(self) -> Instant | None:
        """When its customer cancelled it, whole."""
        return self.whole.cancelled
