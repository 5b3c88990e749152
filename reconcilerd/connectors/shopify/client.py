"""One Shopify store as a channel: slots, orders, corrections."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from reconcilerd.connectors.port import (
    LAG_MARGIN_MS,
    REACHES_BACK,
    Emit,
    Page,
    Withholding,
    WriteAnswer,
    rejected_rows,
    strangers,
    too_many_aside,
    too_many_unreadable,
)
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.connectors.shopify import rows
from reconcilerd.connectors.shopify.graphql import GraphQL, Sender
from reconcilerd.connectors.shopify.lists import ById, Node, connection_of, id_of, nodes_of
from reconcilerd.connectors.shopify.writes import Writes
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    Fact,
    FindingKind,
    FindingRaised,
    OrderObserved,
    SlotObserved,
    SweepRead,
)
from reconcilerd.domain.joins import code_of
from reconcilerd.domain.names import (
    ChannelName,
    FeedName,
    Instant,
    SlotKey,
    after,
    format_instant,
    parse_instant,
)
from reconcilerd.errors import MalformedReply
from reconcilerd.transport.lane import Priority

PAGE: Final = 45
ORDERS_PAGE: Final = 40
IDS_A_CALL: Final = PAGE
"""With their nested pages these ask for at most 1,000 cost points a query, the most a store answers."""
MAX_NESTED_PAGES: Final = 50
DEPTH_CAP: Final = 25_000
OVERLAP_MS: Final = 300_000
FIRST_LOOK_BACK_MS: Final = 2 * 86_400_000
MAX_CONFIRM: Final = 200
UNSHIPPED: Final = ("unshipped", "unfulfilled", "partial", "on_hold", "scheduled", "request_declined")
"""Every value of the filter ``fulfillment_status`` but those that say it is shipped. An order may come under two."""
MAX_SUBJECT: Final = 80
ORDERS_KNOWN: Final = 20_000
"""Of so many orders the store's own ids are known, the last ones taken: those that another store's would pass for."""


NEEDED: Final = frozenset(
    {"read_products", "read_inventory", "write_inventory", "read_orders", "read_locations"}
)
"""The scopes of the app, and no more. A write scope holds its read scope."""


@dataclass(slots=True)
class Items:
    """What some items show."""

    slots: dict[SlotKey, SlotObserved] = field(default_factory=dict)
    findings: list[FindingRaised] = field(default_factory=list)
    unread: set[str] = field(default_factory=set)
    """Items that are there and cannot be read, whole: none of their slots is in ``slots``."""

    @property
    def facts(self) -> tuple[Fact, ...]:
        return (*self.slots.values(), *self.findings)


class Shopify:
    """The connector of one store. Keeps the slots that it told."""

    def __init__(
        self,
        client: Sender,
        clock: Callable[[], Instant],
        *,
        name: ChannelName,
        places: Collection[str],
        read_lag_ms: int = 0,
        order_lag_ms: int = 0,
        poll_ms: int = 0,
        batch_max: int = 25,
        known: Mapping[SlotKey, SlotObserved] = MappingProxyType({}),
        duplicates: frozenset[str] = frozenset(),
    ) -> None:
        """``places``: location ids that are ours to write. ``order_lag_ms``: how long after its change an order may
        turn up in the list, which is filtered by the change. ``poll_ms``: how long after one reading the next comes
        at most, which asks again for what those before should have shown: a replica may lag without a sign.
        ``known``: slots as last read before this start; ``duplicates``: SKUs that several items carried then.
        """
        self._name = name
        self._clock = clock
        self._places = frozenset(places)
        self._lag = read_lag_ms
        self._overlap_ms = max(OVERLAP_MS, REACHES_BACK * poll_ms + order_lag_ms + LAG_MARGIN_MS)
        self._batch_max = batch_max
        self._graphql = GraphQL(client, name)
        self._writes = Writes(self._graphql)
        self._unreadable: set[str] = set()
        """Orders that the last reading could not read."""
        self._orders: dict[str, str] = {}
        """The store's own id of each order that was taken, by its number."""
        self._known: dict[SlotKey, SlotObserved] = dict(known)
        self._duplicates = duplicates
        self.slots_feed = FeedName(f"{name}.slots")
        self.orders_feed = FeedName(f"{name}.orders")

    @property
    def name(self) -> str:
        return self._name

    @property
    def feeds(self) -> tuple[FeedName, ...]:
        return (self.orders_feed, self.slots_feed)

    @property
    def batch_max(self) -> int:
        return self._batch_max

    async def sweep(self, feed: FeedName, cursor: str, emit: Emit, *, whole: bool = False) -> SweepRead:
        """Read all slots, or the orders updated since the cursor; with ``whole`` those not shipped as well."""
        if feed == self.orders_feed:
            return await self._sweep_orders(cursor, emit, whole=whole or not cursor)
        return await self._sweep_slots(emit)

    async def read_slots(self, slots: Sequence[SlotKey], emit: Emit) -> None:
        """Read the items of these slots now."""
        ids = sorted({slot.listing for slot in slots})
        for start in range(0, len(ids), IDS_A_CALL):
            began = self._clock()
            nodes, asked = await self._items(ids[start : start + IDS_A_CALL])
            await self._tell(self._read(nodes, began, asked).facts, emit)

    async def scopes(self) -> frozenset[str]:
        """What the store's app may do."""
        data, _ = await self._graphql.run("access_scopes", {}, Priority.STOCK, guess=10)
        try:
            return frozenset(each["handle"] for each in data["currentAppInstallation"]["accessScopes"])
        except (KeyError, TypeError) as odd:
            raise MalformedReply(f"{self._name} access_scopes: no list of scopes ({odd})") from None

    async def more_scopes(self) -> frozenset[str]:
        """What it may do beyond what is needed."""
        return await self.scopes() - NEEDED

    async def write(
        self, corrections: Sequence[CorrectionPlanned], run: str, withheld: Withholding
    ) -> tuple[WriteAnswer, ...]:
        """Compare-and-set from the reading each correction was computed from."""
        return await self._writes.send(corrections, run, withheld)

    async def _sweep_slots(self, emit: Emit) -> SweepRead:
        began, known, seen, count, why = self._clock(), set(self._known), set[SlotKey](), 0, ""
        oldest, met, new, unread, asks = began, set[object](), Items(), set[str](), ById(PAGE, DEPTH_CAP)
        while True:
            data, asked = await self._graphql.run("inventory_items", asks.variables, Priority.STOCK)
            page = connection_of(data, "inventoryItems", f"{self._name} inventory_items")
            nodes = await self._with_all_levels(page.nodes, Priority.STOCK)
            read = self._read(nodes, began, asked)
            if known:
                # Whether these are this store's is known only at the end.
                for slot in read.slots.keys() - known:
                    new.slots[slot] = read.slots.pop(slot)
            oldest = min(oldest, asked)
            seen |= read.slots.keys()
            unread |= read.unread
            met |= {id_of(node) for node in nodes}
            count += len(nodes)
            await self._tell(read.facts, emit)
            why = asks.turn(page) if page.more else ""
            if why or not page.more:
                break
        others = strangers({slot.listing for slot in known}, met, count, "items")
        why = why or others
        left, aside = known - seen, set[str]()
        if not why:
            again, aside, why = await self._confirm(left, unread, len(met), began, emit)
            # What was missing from a page, and is there, is of this reading: it has not shrunk, and no SKU lost a twin.
            seen |= again
            met |= {slot.listing for slot in again}
        if not others:
            await self._tell(new.facts, emit)
        if not why:
            there = seen | new.slots.keys() | {slot for slot in left if slot.listing in aside}
            await emit(Page(self.slots_feed, self._twice(there, began)))
        left_out = () if why else tuple(sorted(aside))
        ended = self._clock()
        return SweepRead(self.slots_feed, oldest, ended, not why, len(met), 0, why, unread=left_out)

    async def _confirm(
        self, missing: Collection[SlotKey], unread: Collection[str], met: int, began: Instant, emit: Emit
    ) -> tuple[set[SlotKey], set[str], str]:
        """Slots that were told and that this sweep lacks: ask for each, twice.

        ``unread``: items that it met and could not read; ``met``: how many it met. Returns the slots found, the items
        that are there and cannot be read, and why the reading stays open, if it does.
        """
        if not missing:
            return set(), set(), ""
        # A bounded number each time, what may be gone first: the next sweep asks for those that are left over.
        waiting = sorted(missing, key=lambda slot: (slot.listing in unread, slot))
        left_over = sum(slot.listing not in unread for slot in waiting[MAX_CONFIRM:])
        asked_for = set(waiting[:MAX_CONFIRM])
        ids = sorted({slot.listing for slot in asked_for})
        found, there = set[SlotKey](), set(unread)
        for _ in range(2):
            for start in range(0, len(ids), IDS_A_CALL):
                nodes, asked = await self._items(ids[start : start + IDS_A_CALL])
                read = self._read(nodes, began, asked)
                found |= read.slots.keys()
                there |= read.unread
                await self._tell(read.facts, emit)
        lost = [slot for slot in waiting if slot not in found]
        aside = {slot.listing for slot in lost} & there
        if too_many_aside(aside, {slot.listing for slot in self._known}, met):
            why = f"{len(aside)} items of the last complete reading cannot be read: {min(aside)}"
            return found, set(), why
        facts: list[Fact] = []
        for slot in lost:
            last, now = self._known[slot], after(self._clock(), -self._lag)
            if slot.listing in aside:
                facts += rows.still(last, self._places, began)
            elif slot in asked_for:
                facts.append(_gone(last, began, now))
        if facts:
            await self._tell(facts, emit)
        why = f"{left_over} slots of the last reading are still to be asked for" if left_over else ""
        return found, aside, why

    async def _tell(self, facts: Collection[Fact], emit: Emit) -> None:
        """Tell facts, and know from then on which slots they show."""
        await emit(Page(self.slots_feed, tuple(facts)))
        for fact in facts:
            if isinstance(fact, SlotObserved) and fact.gone:
                self._known.pop(fact.slot, None)
            elif isinstance(fact, SlotObserved):
                self._known[fact.slot] = fact

    async def _items(self, ids: Sequence[str]) -> tuple[list[Node], Instant]:
        data, asked = await self._graphql.run("items_by_id", {"ids": list(ids)}, Priority.RAISE)
        nodes = nodes_of(data, f"{self._name} items_by_id", ids)
        return await self._with_all_levels(nodes, Priority.RAISE), asked

    def _twice(self, seen: Iterable[SlotKey], at: Instant) -> tuple[Fact, ...]:
        """SKUs that several items of a whole reading carry, and those that no longer do.

        Counted from our own reading: the vendor does not say whether its duplicateSkuCount includes the item.
        """
        written: dict[str, set[str]] = {}
        for slot in seen:
            code = code_of(self._known[slot].listing_sku)
            if code:
                written.setdefault(code, set()).add(slot.listing)
        now = frozenset(code for code, items in written.items() if len(items) > 1)
        found = [
            FindingRaised(
                FindingKind.DUPLICATE_SKU,
                f"{self._name}:{code}",
                f"{len(written.get(code, ()))} items of this store carry this SKU; none of them is written"
                " until only one does",
                at,
                cleared=code not in now,
            )
            for code in sorted(now | self._duplicates)
        ]
        self._duplicates = now
        return tuple(found)

    async def _with_all_levels(self, nodes: Sequence[Node], priority: Priority) -> list[Node]:
        return [
            await self._whole(node, "inventoryLevels", "item_levels", "inventoryItem", priority)
            for node in nodes
        ]

    async def _with_all_lines(self, nodes: Sequence[Node], priority: Priority) -> list[Node]:
        return [await self._whole(node, "lineItems", "order_lines", "order", priority) for node in nodes]

    async def _whole(self, node: Node, nested: str, document: str, root: str, priority: Priority) -> Node:
        """A node with all pages of its nested list. Raises MalformedReply where that does not end.

        Whatever is missing of a page is no end: half an order, or a slot taken for gone, would follow from it.
        """
        id_ = node.get("id")
        if not isinstance(node.get(nested), dict) or not isinstance(id_, str):
            return node  # it has no such list at all, or none that can be asked for: its row says so
        where = f"{self._name} {document}"
        page = connection_of(node, nested, where, of=id_)
        so_far, asked_for = list(page.nodes), set[str | None]()
        while page.more:
            if page.following in asked_for or len(asked_for) >= MAX_NESTED_PAGES:
                raise MalformedReply(
                    f"{where}: the {nested} of {id_} did not end within {MAX_NESTED_PAGES} pages"
                )
            asked_for.add(page.following)
            variables = {"id": id_, "after": page.following}
            data, _ = await self._graphql.run(document, variables, priority)
            page = connection_of(data.get(root), nested, where, of=id_)
            so_far += page.nodes
        return {**node, nested: {"nodes": so_far}}

    def _read(self, nodes: Sequence[Node], began: Instant, asked: Instant) -> Items:
        read = Items()
        age_of, as_of = min(began, asked), after(asked, -self._lag)
        for node in nodes:
            made = parsed(lambda node=node: rows.slots(node, self._name, self._places, age_of, as_of))  # type: ignore[misc]
            if isinstance(made, Rejected):
                id_ = str(node.get("id", "?"))
                subject = f"{self._name}:{id_[:MAX_SUBJECT]}"
                read.unread.add(id_)
                read.findings.append(
                    FindingRaised(FindingKind.REJECTED_ROW, subject, made.why, asked, feed=self.slots_feed)
                )
                continue
            slots, findings = made
            read.slots.update((slot.slot, slot) for slot in slots)
            read.findings += findings
        return read

    async def _sweep_orders(self, cursor: str, emit: Emit, *, whole: bool) -> SweepRead:
        """A whole reading: every order that is not shipped, however old, and what was changed; else what was changed.

        However long nobody read, what was cancelled meanwhile was changed since the last reading.
        """
        began = self._clock()
        since = after(Instant(int(cursor)), -self._overlap_ms) if cursor else began
        lists: list[tuple[str, Instant | None]] = []
        if whole:
            since = min(since, after(began, -FIRST_LOOK_BACK_MS))
            lists = [(f"status:open fulfillment_status:{each}", None) for each in UNSHIPPED]
        rejected: list[FindingRaised] = []
        count, why, oldest = 0, "", began
        for state, from_ in (*lists, ("", since)):
            read, trouble, asked = await self._read_orders(state, from_, rejected, emit)
            count, why, oldest = count + read, why or trouble, min(oldest, asked)
        why = why or too_many_unreadable(rejected, count) or self._unread_before(rejected)
        # The next window is asked for by the store's time: by ours, if it is ahead, orders would fall between.
        cursor = cursor if why else str(self._graphql.skew.theirs(oldest))
        return SweepRead(self.orders_feed, oldest, self._clock(), not why, count, 0, why, cursor, full=whole)

    def _unread_before(self, rejected: Sequence[FindingRaised]) -> str:
        """Why a reading is not complete: orders that could not be read, and may be by the next one.

        Until then nobody knows what they sold. What cannot be read twice in a row is set aside, and a person is told.
        """
        now = {each.subject for each in rejected}
        news, self._unreadable = sorted(now - self._unreadable), now
        return (
            f"{len(news)} orders could not be read, the first is {news[0]}: they are asked for again"
            if news
            else ""
        )

    async def _read_orders(
        self, state: str, since: Instant | None, rejected: list[FindingRaised], emit: Emit
    ) -> tuple[int, str, Instant]:
        """All orders in a state, changed since a moment or (None) ever, the first changed first.

        Returns how many, why that is not the end of it, if so, and the oldest moment that a page tells of.
        """
        following, count, deep, oldest = None, 0, 0, self._clock()
        while True:
            changed = [] if since is None else [_changed_since(since)]
            query = " ".join([state, *changed]).strip()
            variables = {"first": ORDERS_PAGE, "after": following, "query": query}
            data, asked = await self._graphql.run("orders", variables, Priority.ORDERS)
            page = connection_of(data, "orders", f"{self._name} orders")
            nodes = await self._with_all_lines(page.nodes, Priority.ORDERS)
            facts = self._order_facts(nodes, asked)
            rejected += rejected_rows(facts)
            await emit(Page(self.orders_feed, tuple(facts)))
            count, deep, oldest = count + len(nodes), deep + len(nodes), min(oldest, asked)
            if not page.more:
                return count, "", oldest
            last, following = following, page.following
            if following == last or not nodes:
                return count, "paging does not move on", oldest
            if deep + ORDERS_PAGE > DEPTH_CAP:
                # Paging goes no deeper: go on by when the last ones were changed, with a query of its own.
                since = _going_on(page.nodes, since)
                if since is None:
                    return count, f"more than {DEPTH_CAP} orders of one second: paging goes no deeper", oldest
                following, deep = None, 0

    def _order_facts(self, nodes: Sequence[Node], asked: Instant) -> list[Fact]:
        facts: list[Fact] = []
        for node in nodes:
            made = parsed(lambda node=node: self._order(node, asked))  # type: ignore[misc]
            if isinstance(made, Rejected):
                subject = f"{self._name}:order {str(node.get('name', '?'))[:MAX_SUBJECT]}"
                facts.append(FindingRaised(FindingKind.REJECTED_ROW, subject, made.why, asked))
                continue
            facts.extend((made[0], *made[1]))
        return facts

    def _order(self, node: Node, asked: Instant) -> tuple[OrderObserved, list[FindingRaised]]:
        """One order. Raises ValueError, KeyError, TypeError.

        A number that another order was taken by is no sign that this one changed: somebody else's store counts its
        orders from the same number on.
        """
        made = rows.order(node, self._name, asked, self._graphql.skew.ours)
        number, id_ = made[0].key.number, node["id"]
        if not isinstance(id_, str):
            raise TypeError(f"id must be text, not {id_!r}")
        known = self._orders.pop(number, id_)
        self._orders[number] = known
        if known != id_:
            raise ValueError(f"{id_} goes by the number of {known}: does somebody else's account answer?")
        while len(self._orders) > ORDERS_KNOWN:
            del self._orders[next(iter(self._orders))]
        return made


def _gone(last: SlotObserved, began: Instant, now: Instant) -> SlotObserved:
    """That a slot is there no longer."""
    return SlotObserved(
        last.slot, last.listing_sku, last.title, None, last.state, False, began, now, gone=True
    )


def _going_on(nodes: Sequence[Node], since: Instant | None) -> Instant | None:
    """From when on to ask for what follows these orders; None where no order was changed later than was asked for.

    By the store's own clock, as its filter wants it. The first change among them that leads on is taken: what is read
    twice is no harm, and one date that is wrong takes no order out of the reading.
    """
    stamps = [parsed(lambda node=node: parse_instant(node["updatedAt"])) for node in nodes]  # type: ignore[misc]
    seconds = sorted(Instant(each - each % 1000) for each in stamps if not isinstance(each, Rejected))
    return next((each for each in seconds if since is None or each > since), None)


def _changed_since(at: Instant) -> str:
    """Whole seconds, as the store has them."""
    return f"updated_at:>='{format_instant(Instant(at - at % 1000))}'"
