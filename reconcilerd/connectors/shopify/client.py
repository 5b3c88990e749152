"""One Shopify store as a channel: slots, orders, corrections."""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from reconcilerd.connectors.port import (
    LAG_MARGIN_MS,
    Emit,
    Page,
    Withholding,
    WriteAnswer,
    rejected_rows,
    strangers,
    too_many_unreadable,
)
from reconcilerd.connectors.rejected import Rejected, parsed
from reconcilerd.connectors.shopify import rows
from reconcilerd.connectors.shopify.graphql import GraphQL, Sender
from reconcilerd.connectors.shopify.lists import Node, connection_of, nodes_of
from reconcilerd.connectors.shopify.writes import Writes
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    Fact,
    FindingKind,
    FindingRaised,
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


NEEDED: Final = frozenset(
    {"read_products", "read_inventory", "write_inventory", "read_orders", "read_locations"}
)
"""The scopes of the app, and no more. A write scope holds its read scope."""


class Shopify:
    """The connector of one store. Keeps the slots of its last complete sweep."""

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
        at most, which asks again for what the one before should have shown: a replica may lag without a sign.
        ``known``: slots as last read before this start; ``duplicates``: SKUs that several items carried then.
        """
        self._name = name
        self._clock = clock
        self._places = frozenset(places)
        self._lag = read_lag_ms
        self._overlap_ms = max(OVERLAP_MS, poll_ms + order_lag_ms + LAG_MARGIN_MS)
        self._batch_max = batch_max
        self._graphql = GraphQL(client, name)
        self._writes = Writes(self._graphql)
        self._unreadable: set[str] = set()
        """Orders that the last reading could not read."""
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
            facts, _ = self._facts(nodes, began, asked)
            await emit(Page(self.slots_feed, tuple(facts)))

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
        began, seen, cursor, count, why = self._clock(), set[SlotKey](), None, 0, ""
        oldest, known, met, new = began, set(self._known), set[object](), list[SlotObserved]()
        while True:
            variables = {"first": PAGE, "after": cursor}
            data, asked = await self._graphql.run("inventory_items", variables, Priority.STOCK)
            page = connection_of(data, "inventoryItems", f"{self._name} inventory_items")
            nodes = await self._with_all_levels(page.nodes, Priority.STOCK)
            facts, slots = self._facts(nodes, began, asked)
            if known:
                # Whether these are this store's is known only at the end.
                new += [each for each in facts if isinstance(each, SlotObserved) and each.slot not in known]
                facts = [each for each in facts if not isinstance(each, SlotObserved) or each.slot in known]
            oldest = min(oldest, asked)
            seen |= slots
            met |= {node.get("id") for node in nodes}
            count += len(nodes)
            await emit(Page(self.slots_feed, tuple(facts)))
            if not page.more:
                break
            if count >= DEPTH_CAP:
                why = f"more than {DEPTH_CAP} items: paging does not go deeper"
                break
            if page.following == cursor or not page.nodes:
                why = "paging does not move on"
                break
            cursor = page.following
        others = strangers({slot.listing for slot in known}, met, count, "items")
        why = why or others
        if not why:
            again, why = await self._confirm(known - seen, began, emit)
            # What was missing from a page, and is there, is of this reading: it has not shrunk, and no SKU lost a twin.
            seen |= again
            met |= {slot.listing for slot in again}
        if others:
            for each in new:
                self._known.pop(each.slot, None)
        else:
            await emit(Page(self.slots_feed, tuple(new)))
        if not why:
            await emit(Page(self.slots_feed, self._twice(seen, began)))
        return SweepRead(self.slots_feed, oldest, self._clock(), not why, len(met), 0, why)

    async def _confirm(self, missing: set[SlotKey], began: Instant, emit: Emit) -> tuple[set[SlotKey], str]:
        """Slots of the last sweep that this one lacks: ask for each, twice. Those found, and why it stays open."""
        if not missing:
            return set(), ""
        # A bounded number each time: the next sweep asks for those that are left over.
        left_over = max(0, len(missing) - MAX_CONFIRM)
        missing = set(sorted(missing)[:MAX_CONFIRM])
        ids = sorted({slot.listing for slot in missing})
        found: set[SlotKey] = set()
        unreadable: set[str] = set()
        for _ in range(2):
            for start in range(0, len(ids), IDS_A_CALL):
                nodes, asked = await self._items(ids[start : start + IDS_A_CALL])
                facts, slots = self._facts(nodes, began, asked)
                found |= slots
                unreadable |= {finding.subject.partition(":")[2] for finding in rejected_rows(facts)}
                await emit(Page(self.slots_feed, tuple(facts)))
        if any(slot.listing in unreadable for slot in missing - found):
            return (
                found,
                f"{len(unreadable)} items of the last complete reading cannot be read: {min(unreadable)}",
            )
        gone: list[Fact] = []
        for slot in sorted(missing - found):
            last = self._known.pop(slot)
            now = after(self._clock(), -self._lag)
            gone.append(
                SlotObserved(
                    slot, last.listing_sku, last.title, None, last.state, False, began, now, gone=True
                )
            )
        if gone:
            await emit(Page(self.slots_feed, tuple(gone)))
        return found, f"{left_over} slots of the last reading are still to be asked for" if left_over else ""

    async def _items(self, ids: Sequence[str]) -> tuple[list[Node], Instant]:
        data, asked = await self._graphql.run("items_by_id", {"ids": list(ids)}, Priority.RAISE)
        nodes = nodes_of(data, f"{self._name} items_by_id", len(ids))
        return await self._with_all_levels(nodes, Priority.RAISE), asked

    def _twice(self, seen: set[SlotKey], at: Instant) -> tuple[Fact, ...]:
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
        if not isinstance(node.get(nested), dict):
            return node  # it has no such list at all: its row says so
        where = f"{self._name} {document}"
        page = connection_of(node, nested, where, of=node.get("id"))
        so_far, asked_for = list(page.nodes), set[str | None]()
        while page.more:
            if page.following in asked_for or len(asked_for) >= MAX_NESTED_PAGES:
                raise MalformedReply(
                    f"{where}: the {nested} of {node['id']} did not end within {MAX_NESTED_PAGES} pages"
                )
            asked_for.add(page.following)
            variables = {"id": node["id"], "after": page.following}
            data, _ = await self._graphql.run(document, variables, priority)
            page = connection_of(data.get(root), nested, where, of=node["id"])
            so_far += page.nodes
        return {**node, nested: {"nodes": so_far}}

    def _facts(
        self, nodes: Sequence[Node], began: Instant, asked: Instant
    ) -> tuple[list[Fact], set[SlotKey]]:
        facts: list[Fact] = []
        seen: set[SlotKey] = set()
        age_of, as_of = min(began, asked), after(asked, -self._lag)
        for node in nodes:
            made = parsed(lambda node=node: rows.slots(node, self._name, self._places, age_of, as_of))  # type: ignore[misc]
            if isinstance(made, Rejected):
                subject = f"{self._name}:{str(node.get('id', '?'))[:MAX_SUBJECT]}"
                facts.append(
                    FindingRaised(FindingKind.REJECTED_ROW, subject, made.why, asked, feed=self.slots_feed)
                )
                continue
            slots, findings = made
            facts.extend((*slots, *findings))
            for slot in slots:
                seen.add(slot.slot)
                self._known[slot.slot] = slot
        return facts, seen

    async def _sweep_orders(self, cursor: str, emit: Emit, *, whole: bool) -> SweepRead:
        """A whole reading: every order that is not shipped, however old, and what was changed; else what was changed.

        However long nobody read, what was cancelled meanwhile was changed since the last reading.
        """
        began = self._clock()
        since = after(Instant(int(cursor)), -self._overlap_ms) if cursor else began
        queries = []
        if whole:
            since = min(since, after(began, -FIRST_LOOK_BACK_MS))
            queries = [f"status:open fulfillment_status:{each}" for each in UNSHIPPED]
        rejected: list[FindingRaised] = []
        count, why, oldest = 0, "", began
        for query in (*queries, _changed_since(since)):
            read, trouble, asked = await self._read_orders(query, rejected, emit)
            count, why, oldest = count + read, why or trouble, min(oldest, asked)
        why = why or too_many_unreadable(rejected) or self._unread_before(rejected)
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
        self, query: str, rejected: list[FindingRaised], emit: Emit
    ) -> tuple[int, str, Instant]:
        """All orders of a query, the first changed first.

        Returns how many, why that is not the end of it, if so, and the oldest moment that a page tells of.
        """
        following, count, deep, oldest = None, 0, 0, self._clock()
        while True:
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
                # Paging goes no deeper: go on by the time of the last one, with a query of its own.
                newest = _newest_change(page.nodes)
                deeper = "" if newest is None else _changed_since(newest)
                if not query.startswith("updated_at") or deeper in {"", query}:
                    return count, f"more than {DEPTH_CAP} orders: paging does not go deeper", oldest
                query, following, deep = deeper, None, 0

    def _order_facts(self, nodes: Sequence[Node], asked: Instant) -> list[Fact]:
        facts: list[Fact] = []
        for node in nodes:
            made = parsed(lambda node=node: rows.order(node, self._name, asked, self._graphql.skew.ours))  # type: ignore[misc]
            if isinstance(made, Rejected):
                subject = f"{self._name}:order {str(node.get('name', '?'))[:MAX_SUBJECT]}"
                facts.append(FindingRaised(FindingKind.REJECTED_ROW, subject, made.why, asked))
                continue
            facts.extend((made[0], *made[1]))
        return facts


def _newest_change(nodes: Sequence[Node]) -> Instant | None:
    """When the last of these orders was changed, by the store's own clock, as its filter wants it."""
    stamps = [parsed(lambda node=node: parse_instant(node["updatedAt"])) for node in nodes]  # type: ignore[misc]
    return max((each for each in stamps if not isinstance(each, Rejected)), default=None)


def _changed_since(at: Instant) -> str:
    """Whole seconds, as the store has them."""
    return f"updated_at:>='{format_instant(Instant(at - at % 1000))}'"
