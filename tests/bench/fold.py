"""How the work of a first reading grows with the catalogue: it must not grow faster than the catalogue does.

Without network or ledger: facts of products, listings, stock and slots of four stores, page by page, into the desk;
then every pool group is planned once, and the whole is loaded again as after a restart.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import anyio

from reconcilerd.daemon.desk import Desk
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import (
    Fact,
    ListingDeclared,
    ProductObserved,
    ProductType,
    SlotObserved,
    SlotState,
    StockObserved,
)
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, SlotKey
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import ChannelRule, Mode, Policy, PoolMode, PoolRule
from reconcilerd.domain.survey import position_of, weather_of
from tests.bench.ratio import Ratio
from tests.world.stage import Journal

SMALL, GROWTH, STORES, PAGE = (
    4_000,
    4,
    4,
    100,
)  # below, the collector of cyclic garbage rests, and a ratio tells of that
AT = Instant(1_000_000)
ROUNDS = 2


def ratios() -> Sequence[Ratio]:
    """The best of a few rounds of each size: what a machine does beside it only ever adds."""
    small = [_seconds(SMALL) for _ in range(ROUNDS)]
    large = [_seconds(SMALL * GROWTH) for _ in range(ROUNDS)]
    names = ("fold.read", "fold.plan", "fold.load")
    return [
        Ratio(
            name,
            min(each[i] for each in large) / (GROWTH * min(each[i] for each in small)),
            1.5,
            f"{min(each[i] for each in large):.2f} s for {SMALL * GROWTH} SKUs at {STORES} stores, "
            f"{min(each[i] for each in small):.2f} s for {SMALL}",
        )
        for i, name in enumerate(names)
    ]


def _seconds(skus: int) -> tuple[float, float, float]:
    book = Book(policy())
    desk = Desk(book, Journal(), lambda: AT)

    async def read() -> None:
        for page in pages(skus):
            await desk.take(page)
            await desk.groups(10**9)

    def plan() -> None:
        weather = weather_of(book, AT)
        for group in book.joins().groups.members:
            make_plan(position_of(book, group, weather), Rails(Mode.AUTO))

    state = [fact for page in pages(skus) for fact in page]
    return (
        _timed(lambda: anyio.run(read)),
        _timed(plan),
        _timed(lambda: Book(policy()).load(state, AT)),
    )


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def policy() -> Policy:
    channels = {
        ChannelName(f"shop-{n}"): ChannelRule(sales_channel_id=n, places={"p": frozenset()})
        for n in range(STORES)
    }
    return Policy("bench", {"default": PoolRule(PoolMode.SPLIT)}, channels)


def pages(skus: int) -> Iterator[list[Fact]]:
    """Every feed in the order in which a daemon first reads it."""
    codes = [f"sku-{number:06d}" for number in range(skus)]
    bundles = {code: (codes[i - 1], codes[i - 2]) for i, code in enumerate(codes) if i > 2 and i % 20 == 0}
    yield [_product(number, code, bundles.get(code, ())) for number, code in enumerate(codes)]
    yield [
        ListingDeclared(store, number, code, Sku(code), False, True, AT)
        for store in range(STORES)
        for number, code in enumerate(codes, store * skus)
    ]
    makers: list[Callable[[str], Fact]] = [_stock, *(_slot_at(store) for store in range(STORES))]
    for make in makers:
        for start in range(0, skus, PAGE):
            yield [make(code) for code in codes[start : start + PAGE]]


def _product(number: int, code: str, parts: tuple[str, ...]) -> ProductObserved:
    kind = ProductType.BUNDLE if parts else ProductType.CORE
    components = tuple((Sku(part), 1) for part in parts)
    return ProductObserved(Sku(code), code, number, code, kind, "", True, components, AT)


def _stock(code: str) -> StockObserved:
    return StockObserved(Sku(code), LocationName("1"), 40, 0, 0, AT, AT)


def _slot_at(store: int) -> Callable[[str], SlotObserved]:
    name = ChannelName(f"shop-{store}")
    return lambda code: SlotObserved(SlotKey(name, code, "p"), code, "", 10, SlotState.BUYABLE, False, AT, AT)
