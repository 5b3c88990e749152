"""Of a listing at several places of its channel, whoever acts on a plan is told at which of them."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from reconcilerd.cli.plan_text import applied, pins, reverted
from reconcilerd.cli.render import where
from reconcilerd.domain.names import ChannelName, LocationName
from reconcilerd.domain.policy import Mode, Policy
from reconcilerd.simulator.stores import Store
from reconcilerd.simulator.truth import World, WorldConfig
from tests.plans.stage import Shop, opened
from tests.world.stage import empty_shops, policy, put_on_sale

UK, MAIN, THIRD = ChannelName("shop-uk"), "gid://shopify/Location/101", "gid://shopify/Location/901"


def rules() -> Policy:
    """The first store sells from each warehouse under a location of its own."""
    said = policy(split=True, mode=Mode.GUARDED)
    places = MappingProxyType({MAIN: frozenset({LocationName("1")}), THIRD: frozenset({LocationName("2")})})
    return replace(said, channels={**said.channels, UK: replace(said.channels[UK], places=places)})


def world() -> World:
    shops = empty_shops(WorldConfig())
    shops.stores[UK] = Store(UK, 101, MAIN, others=(THIRD,))
    put_on_sale(shops, "a", 40, split=True)
    shops.start_mirrors()
    return shops


def test_apply_revert_and_pins_name_the_place(tmp_path: Path) -> None:
    def said(rows: Iterable[dict[str, Any]]) -> set[tuple[str, str]]:
        return {(where(each), each["place"]) for each in rows}

    at_both = {("shop-uk at 101", MAIN), ("shop-uk at 901", THIRD)}

    async def scene(shop: Shop) -> None:
        done = await shop.apply(await shop.plan())
        assert {each["outcome"] for each in done["sent"]} == {"confirmed"}
        elsewhere = {each for each in said(done["sent"]) if not each[0].startswith("shop-uk")}
        assert {name for name, _ in elsewhere} == {"shop-eu", "shop-us"}
        assert said(done["sent"]) == at_both | elsewhere
        assert "shop-uk at 901 a  0 -> " in applied(done, 80)

        (newest, *_) = (await shop.ask("passes"))["passes"]
        would = await shop.ask("revert", **{"pass": newest["id"]})
        assert at_both <= said(would["would"])
        assert "shop-uk at 901 a  " in reverted(would, 80)
        back = await shop.ask("revert", **{"pass": newest["id"]}, apply=True, reason="a try")
        assert at_both <= said(back["sent"] + back["held"]), back
        pinned = await shop.ask("pins")
        assert at_both <= said(pinned["pins"])
        assert "shop-uk at 901 a stays at 0" in pins(pinned, 80)
        again = await shop.ask("revert", **{"pass": newest["id"]})
        assert at_both <= said(again["skipped"])
        assert "shop-uk at 901 a  left alone: " in reverted(again, 80)

    opened(tmp_path / "l.db", scene, rules=rules(), world=world())


def test_a_daemon_that_is_older_than_its_programs_names_channels_alone() -> None:
    assert where({"channel": "shop-uk", "listing": "1"}) == "shop-uk"
