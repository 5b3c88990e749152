"""Rules of exposure in the whole daemon, in virtual time: large orders, pre-orders, reserves that end by themselves."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import anyio

from reconcilerd.daemon.audit import stopped
from reconcilerd.domain.announcements import LargeOrder
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku, after
from reconcilerd.domain.policy import Inbound, OfferRule, Policy, PoolMode, PoolRule, Reserve
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.trial.stage import START
from tests.world.stage import STORES, Stage, play, policy, small_world

FIRST_READ_S = 400.0
A = Sku("a")


def rules(mode: PoolMode = PoolMode.SHARED, **more: object) -> Policy:
    """All of it on every channel."""
    return replace(policy(split=False), pools={"default": PoolRule(mode)}, **more)  # type: ignore[arg-type]


def alerts(stage: Stage, kind: str) -> list[str]:
    return [subject for each, subject, _ in stage.alerts.raised if each == kind]


def test_a_large_order_is_told_before_any_channel_is_lowered_for_it() -> None:
    """The whole of the fall comes after the word of it; what was inferred from the store's own fall may go before."""
    seen: list[Mapping[str, int]] = []

    def prepare(stage: Stage) -> None:
        told = stage.built.daemon.passes.announce

        async def watch(orders: Sequence[LargeOrder]) -> None:
            seen.append(stage.shown("a"))
            await told(orders)

        stage.built.daemon.passes.announce = watch

    async def scene(stage: Stage) -> None:
        await anyio.sleep(FIRST_READ_S)
        stage.world.place_order("shop-uk", "1001", [("a", 60)], stage.clock())
        stage.world.place_order("shop-eu", "1002", [("b", 1)], stage.clock())
        await anyio.sleep(FIRST_READ_S)
        assert alerts(stage, "large_order") == ["shop-uk/1001"]
        assert "60 of the 100 units of a" in stage.alerts.raised[0][2]
        # Several components make one order no more than one alert.
        stage.world.place_order("shop-us", "1003", [("b", 70), ("a", 30)], stage.clock())
        await anyio.sleep(FIRST_READ_S)
        assert sorted(alerts(stage, "large_order")) == ["shop-uk/1001", "shop-us/1003"]
        (text,) = [text for _, subject, text in stage.alerts.raised if subject == "shop-us/1003"]
        assert "units of a" in text
        assert "units of b" in text
        # Shipped and proven by the stock, it is over.
        await anyio.sleep(4 * 3600)
        assert alerts(stage, "large_order") == []

    stage = play(small_world(WorldConfig(), split=False), rules(), scene, prepare=prepare)
    assert len(seen) in {2, 3}, "each told once, whoever shows it later"
    assert min(seen[0]["shop-eu"], seen[0]["shop-us"]) > 40
    assert stage.shown("a") == dict.fromkeys((name for name, _, _ in STORES), 10)


def test_where_zero_does_not_stop_sales_somebody_is_told_unless_it_is_meant() -> None:
    meant = MappingProxyType({(A, ChannelName("shop-uk")): OfferRule(preorder=True)})
    for offers, told in ((MappingProxyType({}), ["shop-uk"]), (meant, [])):
        world = small_world(WorldConfig(), split=False)
        for item in world.items_of("a"):
            item.continues = item.store == "shop-uk"

        async def scene(stage: Stage) -> None:
            await anyio.sleep(FIRST_READ_S)

        assert alerts(play(world, rules(offers=offers), scene), "sells_past_zero") == told


def test_a_preorder_shows_what_is_on_its_way_and_what_it_sells_is_expected() -> None:
    line = Inbound(300, 900, LocationName("1"), after(START, 3_600_000), after(START, 600_000))
    world = small_world(WorldConfig(), split=False)
    for item in world.items_of("a"):
        item.continues = item.store == "shop-uk"

    async def scene(stage: Stage) -> None:
        await anyio.sleep(500)
        assert stage.shown("a") == dict.fromkeys((name for name, _, _ in STORES), 100)
        await anyio.sleep(700)
        # 270 are counted on, 75 of the 100 lie at that place: 195 more, on the listing that sells past zero.
        assert stage.shown("a") == {"shop-uk": 295, "shop-eu": 100, "shop-us": 100}
        stage.world.place_order("shop-uk", "1001", [("a", 120)], stage.clock())
        await anyio.sleep(900)
        assert stage.shown("a") == {"shop-uk": 175, "shop-eu": 0, "shop-us": 0}
        standing = stage.built.daemon.passes.standing
        assert (standing.exposed.total, standing.hidden.total) == (0, 0)

    stage = play(world, rules(inbound=MappingProxyType({A: (line,)})), scene)
    assert stopped(stage.built.daemon.desk.book) == []


def test_a_reserve_ends_by_itself_though_nothing_else_happens() -> None:
    reserve = Reserve(30, Instant(START + 900_000), "fair")

    async def scene(stage: Stage) -> None:
        await anyio.sleep(800)
        assert set(stage.shown("a").values()) == {70}
        await anyio.sleep(400)
        assert set(stage.shown("a").values()) == {100}

    play(small_world(WorldConfig(), split=False), rules(reserves=MappingProxyType({A: (reserve,)})), scene)


def test_a_plain_shared_pool_shows_its_last_unit_everywhere_and_an_adaptive_one_once() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(FIRST_READ_S)

    for mode, shown in ((PoolMode.SHARED, 3), (PoolMode.ADAPTIVE, 1)):
        stage = play(small_world(WorldConfig(), split=False, units=1), rules(mode), scene)
        assert sum(stage.shown("a").values()) == shown
