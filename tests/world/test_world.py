"""The whole daemon against a pretend business, hours in virtual time. Asserted on the world, not on calls."""

import os

import anyio
import pytest

from reconcilerd.daemon.audit import audit_rest, stopped
from reconcilerd.domain.book import Book
from reconcilerd.domain.facts import Fact, FreezeSet, StockObserved
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.invariants import check_history
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Mode
from reconcilerd.domain.position import Position
from reconcilerd.domain.taken import Taken
from reconcilerd.simulator.faults import MILD, FaultPlan
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import STORES, Stage, play, policy, shop, small_world

WORLDS = int(os.environ.get("RECONCILERD_WORLDS", "2"))


async def settle(stage: Stage, seconds: float = 400) -> None:
    await anyio.sleep(seconds)


def test_a_split_pool_is_divided_by_its_shares() -> None:
    stage = play(small_world(WorldConfig(), split=True), policy(split=True), settle)
    assert stage.shown("a") == {"shop-uk": 50, "shop-eu": 30, "shop-us": 20}


def test_a_shared_pool_shows_everything_everywhere() -> None:
    stage = play(small_world(WorldConfig(), split=False), policy(split=False), settle)
    assert stage.shown("a") == {"shop-uk": 100, "shop-eu": 100, "shop-us": 100}


@pytest.mark.parametrize("seed", range(1, WORLDS + 1))
@pytest.mark.parametrize("split", [True, False])
def test_an_hour_of_trade_breaks_no_invariant_and_converges(seed: int, split: bool) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        await shop(stage, 60, 1.0, seed)
        await anyio.sleep(1200)
        assert audit_rest(stage.built.daemon, stage.journal.facts) == ()
        assert check_history([(stage.clock(), stage.journal.facts)]) == ()

    world = small_world(WorldConfig(seed=seed), split)
    stage = play(world, policy(split), scene)
    shown, left = stage.shown("a"), world.shippable("a")
    # A shared pool leaves differences within its dead band of 5 % alone.
    assert sum(shown.values()) <= left if split else max(shown.values()) <= left * 105 // 100 + 1
    assert world.score.oversold <= 1
    assert world.score.sold > 30


def test_raises_still_happen_on_a_hot_sku() -> None:
    """Waiting for the order feed before each raise would never raise anything: a receipt must show."""

    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        stage.business.world.at(stage.clock() + 300_000, lambda now: stage.world.receive("a", 1, 200, now))
        await shop(stage, 40, 3.0, 7)

    world = small_world(WorldConfig(), split=True, units=60)
    stage = play(world, policy(split=True), scene)
    assert world.score.sold > 80, "the receipt of 200 units was never shown"
    assert stopped(stage.built.daemon.desk.book) == []


def test_a_foreign_write_is_found_and_cured() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        stage.world.set_quantity(stage.item("shop-eu", "a"), 500, stage.clock())
        await anyio.sleep(300)

    stage = play(small_world(WorldConfig(), split=False), policy(split=False), scene)
    assert stage.shown("a")["shop-eu"] == 100


def test_a_converged_world_is_left_alone() -> None:
    seen: list[int] = []

    async def scene(stage: Stage) -> None:
        await anyio.sleep(400)
        seen.append(stage.world.score.writes)
        await anyio.sleep(3600)
        seen.append(stage.world.score.writes)

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert seen[0] == seen[1]


def test_observe_writes_nothing() -> None:
    stage = play(small_world(WorldConfig(), split=True), policy(split=True, mode=Mode.OBSERVE), settle)
    assert stage.world.score.writes == 0
    assert stage.built.daemon.passes.standing.drifts


def test_native_push_means_the_slot_is_not_ours() -> None:
    world = small_world(WorldConfig(), split=False)
    for store, _, _ in STORES:
        for item in world.stores[store].items.values():
            item.push = True
    stage = play(world, policy(split=False), settle)
    assert stage.world.score.writes == 0


def test_a_frozen_channel_is_not_written_and_the_others_are() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(1)
        await stage.built.daemon.desk.take([FreezeSet("shop-uk", True, "test", "why not", stage.clock())])
        await anyio.sleep(400)

    stage = play(small_world(WorldConfig(), split=False), policy(split=False), scene)
    assert stage.shown("a")["shop-uk"] == 0
    assert stage.shown("a")["shop-eu"] == 100


def test_faults_on_every_system_delay_but_do_not_break() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        await shop(stage, 40, 1.0, 3)
        stage.business.faults.rates = {}
        await anyio.sleep(1500)

    world = small_world(WorldConfig(), split=True)
    faults = FaultPlan(5, {fault: rate * 5 for fault, rate in MILD.items()})
    stage = play(world, policy(split=True), scene, faults)
    assert faults.done, "the plan struck nothing: the test proves nothing"
    assert stopped(stage.built.daemon.desk.book) == []
    assert sum(stage.shown("a").values()) <= world.shippable("a")


def test_a_code_that_no_listing_maps_is_reported_not_guessed() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(120)
        stage.world.place_order("shop-uk", "77", [("POST", 1)], stage.clock())
        await anyio.sleep(300)

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), scene)
    assert any("post" in subject for subject in stage.built.daemon.desk.book.findings)
    assert [(kind, subject) for kind, subject, _ in stage.alerts.raised] == [("unmapped_sku", "shop-uk")]


def test_net_lowers_what_extensiv_pushes_and_oversells_less_than_the_push_alone() -> None:
    oversold = {}
    for mode in (Mode.NET, Mode.OBSERVE):
        total = 0
        for seed in range(1, 3):

            async def scene(stage: Stage, seed: int = seed) -> None:
                await anyio.sleep(120)
                await shop(stage, 120, 0.3, seed)

            world = small_world(WorldConfig(seed=seed), split=False, units=20)
            for store in world.stores.values():
                for item in store.items.values():
                    item.push, item.quantity = True, 20
            stage = play(world, policy(split=False, mode=mode), scene)
            assert stopped(stage.built.daemon.desk.book) == []
            total += world.score.oversold
        oversold[mode] = total
    assert oversold[Mode.NET] * 2 < oversold[Mode.OBSERVE], oversold


def test_a_push_onto_what_is_nearly_sold_out_is_undone_long_before_the_next_poll() -> None:
    """In net, Extensiv's push may undo our lower at any moment: such slots are watched like their stock."""
    poll_s = 900.0

    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        stage.world.set_quantity(stage.item("shop-uk", "a"), 9, stage.clock())
        await anyio.sleep(30)

    world = small_world(WorldConfig(), split=False, units=2)
    for store in world.stores.values():
        for item in store.items.values():
            item.push = True
    rules = policy(split=False, mode=Mode.NET, poll_ms=int(poll_s * 1000))
    stage = play(world, rules, scene, poll_s=poll_s)
    assert stage.shown("a")["shop-uk"] <= 2


def test_an_unexplained_collapse_of_one_listing_waits_for_a_person() -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(300)
        stage.world.damage("a", 4900, stage.clock())
        await anyio.sleep(1300)

    world = small_world(WorldConfig(), split=False, units=100)
    main = world.bins["a", 1]
    main.on_hand = main.copied = 4975
    stage = play(world, policy(split=False), scene)
    assert max(stage.shown("a").values()) == 5000
    assert any(kind == "held_plan" for kind, _, _ in stage.alerts.raised)


def test_one_sku_that_meets_a_bug_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(position: Position, rails: Rails, like: GroupPlan | None = None) -> GroupPlan:
        if position.group == "a":
            raise ZeroDivisionError("a bug")
        return make_plan(position, rails, like=like)

    monkeypatch.setattr("reconcilerd.domain.record.make_plan", broken)
    stage = play(small_world(WorldConfig(), split=False, skus=("a", "b", "c")), policy(split=False), settle)
    assert set(stage.shown("a").values()) == {0}
    assert set(stage.shown("b").values()) == set(stage.shown("c").values()) == {100}
    assert [kind for kind, _, _ in stage.alerts.raised if kind == "bug"] == ["bug"]


def test_one_fact_that_meets_a_bug_takes_no_other_along(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Book, fact: Fact) -> Taken:
        if isinstance(fact, StockObserved) and fact.sku == "a":
            raise ZeroDivisionError("a bug")
        return take(self, fact)

    take = Book.take
    monkeypatch.setattr(Book, "take", broken)
    stage = play(small_world(WorldConfig(), split=False), policy(split=False), settle)
    assert set(stage.shown("a").values()) == {0}
    assert set(stage.shown("b").values()) == {100}
    assert "bug" in stage.alerts.told
