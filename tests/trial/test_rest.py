"""What is shown at rest is judged by what policy says: its places, its dead band, its pool."""

from dataclasses import replace
from types import MappingProxyType

import pytest

from reconcilerd.daemon.audit import waits
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.facts import RegimeSwitched, SweepRead
from reconcilerd.domain.guards import Verdict
from reconcilerd.domain.names import ChannelName, FeedName, LocationName, Sku, after
from reconcilerd.domain.policy import Policy, PoolMode, PoolRule
from reconcilerd.simulator.faults import FaultPlan, Injected
from reconcilerd.simulator.menu import LASTS_MS, Fault
from reconcilerd.simulator.truth import World, WorldConfig
from reconcilerd.trial.blame import TROUBLE_MS
from reconcilerd.trial.oracle import Oracle
from reconcilerd.trial.stage import START
from reconcilerd.trial.witness import Witness
from tests.domain.builders import slot
from tests.world.stage import empty_shops, policy, put_on_sale

UK, EU = "shop-uk", "shop-eu"


def of_pool(mode: PoolMode, dead_band_permille: int = 50) -> Policy:
    pool = PoolRule(mode, dead_band_permille=dead_band_permille)
    return replace(policy(split=False), pools={"default": pool})


def said(rules: Policy, units: int, *, scarce: bool = False, **shown: int) -> list[str]:
    """What is found of so many units of which the shops show so many each. ``scarce``: an adaptive pool is split."""
    world: World = empty_shops(WorldConfig(seed=1))
    put_on_sale(world, "A", units, split=False, shown={UK: shown["uk"], EU: shown["eu"]})
    oracle = Oracle(world, rules, {})
    oracle.turned(RegimeSwitched("a", scarce, START))
    return [invariant for invariant, _ in oracle.shows_what_there_is()]


@pytest.mark.parametrize(("dead_band_permille", "found"), [(50, ["I12"]), (400, [])])
def test_what_the_dead_band_of_the_pool_leaves_is_shown_as_it_should(
    dead_band_permille: int, found: list[str]
) -> None:
    rules = of_pool(PoolMode.SHARED, dead_band_permille)
    assert said(rules, 15, uk=18, eu=17) == found
    assert said(rules, 1000, uk=951, eu=951) == []


def test_an_adaptive_pool_is_judged_by_the_regime_it_is_in() -> None:
    rules = of_pool(PoolMode.ADAPTIVE)
    assert said(rules, 6, scarce=True, uk=3, eu=3) == []
    assert said(rules, 9, scarce=True, uk=3, eu=3) == ["I20"]
    assert said(rules, 3, scarce=True, uk=3, eu=3) == ["I12"]
    assert said(rules, 6, scarce=False, uk=3, eu=3) == ["I20"]
    assert said(rules, 3, scarce=False, uk=3, eu=3) == []


def test_where_channels_draw_on_different_places_nobody_need_show_all() -> None:
    rules = of_pool(PoolMode.SHARED)
    assert said(rules, 20, uk=15, eu=5) == ["I20"]
    one = ChannelName(UK)
    place = MappingProxyType({"here": frozenset({LocationName("1")})})
    apart = {**rules.channels, one: replace(rules.channels[one], places=place)}
    assert said(replace(rules, channels=apart), 20, uk=15, eu=5) == []


@pytest.mark.parametrize(
    ("verdict", "shown", "waiting"),
    [
        (Verdict.HOLD_HEADROOM, 20, {"uk", "eu"}),
        (Verdict.HOLD_OWN_STALE, 20, {"uk", "eu"}),
        (Verdict.HOLD_PENDING, 20, {"uk"}),
        (Verdict.SEND, 20, {"uk"}),
        (Verdict.HOLD_HEADROOM, 2, {"uk"}),
    ],
)
def test_who_lacks_the_units_that_a_listing_nobody_lowers_shows_waits_with_it_also_while_it_is_read_again(
    verdict: Verdict, shown: int, waiting: set[str]
) -> None:
    held = Drift(slot("uk"), Sku("x"), shown, 5, 5, Cause.NATIVE_PUSH)
    lacks = Drift(slot("eu"), Sku("x"), 0, 5, 5, Cause.POLICY)
    found = waits([(held, Verdict.HOLD_NATIVE_PUSH), (lacks, verdict)])
    assert {each.channel for each in found} == waiting


@pytest.mark.parametrize(
    ("written", "held_until", "said"), [(5_000, None, ["I13"]), (5_000, 4_999, ["I13"]), (5_000, 5_000, [])]
)
def test_what_a_rail_held_for_a_time_may_be_written_when_it_lets_go_and_nothing_else(
    written: int, held_until: int | None, said: list[str]
) -> None:
    world = empty_shops(WorldConfig(seed=1))
    put_on_sale(world, "A", 20, split=False, shown={UK: 10})
    item = world.stores[UK].by_sku["A"]
    witness = Witness(world, policy(split=False), lambda: after(START, 9_000), FaultPlan(1))
    witness.news_at = START
    witness.wrote(item, 9, after(START, written))
    witness.violations.clear()  # that no intent says so is another matter
    until = {} if held_until is None else {item.slot: after(START, held_until)}
    witness.at_rest(after(START, 1_000), 1.0, until, whole=False)
    assert [each.invariant for each in witness.violations] == said


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_BEFORE, Fault.CLOCK_BEHIND])
@pytest.mark.parametrize(("early_ms", "system", "said"), [(0, UK, []), (1, UK, ["I16"]), (0, EU, ["I16"])])
def test_trouble_of_a_system_excuses_that_it_was_not_read_until_some_time_after_its_end(
    fault: Fault, early_ms: int, system: str, said: list[str]
) -> None:
    """A clock that went wrong stays so: an answer of a clock set back tells of an earlier moment than it was given."""
    plan = FaultPlan(1)
    witness = Witness(empty_shops(WorldConfig(seed=1)), policy(split=False), lambda: START, plan)
    last = after(START, 3_600_000)
    struck = after(last, -TROUBLE_MS - LASTS_MS.get(fault, 0) - early_ms)
    # What strikes another system later is looked at first.
    plan.done += [
        Injected(fault, struck, system, "orders"),
        Injected(fault, after(struck, 1), "extensiv", ""),
    ]
    for began in (last, after(last, 600_000)):
        witness.committed([SweepRead(FeedName(f"{UK}.slots"), began, began, True, 1, 0)])
    assert [each.invariant for each in witness.violations] == said
