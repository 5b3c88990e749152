"""An app that may do more at a store than it needs is told of once, and again only if it may do still more."""

from collections.abc import Sequence

import anyio

from reconcilerd.connectors.shopify.client import NEEDED, Shopify
from reconcilerd.daemon.scopes import EVERY_S, FIRST_S, watch_scopes
from reconcilerd.domain.facts import Fact, FindingKind, FindingRaised
from reconcilerd.domain.names import ChannelName
from reconcilerd.simulator.faults import Fault
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, small_world

STORE = ChannelName("shop-uk")


def told_at(looks: Sequence[Sequence[str]], state: Sequence[Fact] = ()) -> tuple[list[list[str]], list[Fact]]:
    """What is told at each look at a store whose app has these scopes beside the needed ones; the ledger after it."""
    found: list[list[str]] = []

    async def scene(stage: Stage) -> None:
        store, channel = stage.business.stores[STORE], stage.built.channels[STORE]
        assert isinstance(channel, Shopify)

        def widened(name: ChannelName, what: str) -> None:
            assert name == STORE
            found[-1].append(what)

        async with anyio.create_task_group() as group:
            group.start_soon(watch_scopes, {STORE: channel.more_scopes}, stage.built.daemon.desk, widened)
            await anyio.sleep(FIRST_S / 2)
            for scopes in looks:
                found.append([])
                store.scopes = (*sorted(NEEDED), *scopes)
                if "away" in scopes:
                    stage.business.faults.arm(STORE, *[Fault.SERVER_ERROR] * 30)
                await anyio.sleep(EVERY_S)
            group.cancel_scope.cancel()

    stage = play(small_world(WorldConfig(), split=True), policy(True), scene, state=state, poll_s=3_000)
    return found, stage.journal.facts


def test_the_needed_ones_are_no_news() -> None:
    assert told_at([[], []])[0] == [[], []]


def test_more_of_them_are_told_once_and_what_comes_later_by_itself() -> None:
    looks = [["read_customers"], ["read_customers"], ["read_customers", "write_products"], []]
    assert told_at(looks)[0] == [["read_customers"], [], ["write_products"], []]


def test_one_that_went_and_came_back_is_news() -> None:
    assert told_at([["read_customers"], [], ["read_customers"]])[0] == [
        ["read_customers"],
        [],
        ["read_customers"],
    ]


def test_a_restart_tells_nothing_twice() -> None:
    _, facts = told_at([["read_customers"]])
    kept = [
        each for each in facts if isinstance(each, FindingRaised) and each.what is FindingKind.MORE_SCOPES
    ]
    assert [each.detail for each in kept] == ["read_customers"]
    assert told_at([["read_customers"], ["read_customers", "write_products"]], facts)[0] == [
        [],
        ["write_products"],
    ]


def test_a_store_that_does_not_say_has_not_changed() -> None:
    looks = [
        ["read_customers"],
        ["read_customers", "write_products", "away"],
        ["read_customers", "write_products"],
    ]
    assert told_at(looks)[0] == [["read_customers"], [], ["write_products"]]
