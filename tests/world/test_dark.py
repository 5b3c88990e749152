"""A source that falls silent changes what rests and has no news of its own, and does so again when it comes back."""

from dataclasses import dataclass, replace
from itertools import pairwise

import anyio
import pytest
from typing_extensions import override

from reconcilerd.daemon.desk import Desk
from reconcilerd.daemon.passes import DARK_LOOK_MS
from reconcilerd.domain.names import Instant
from reconcilerd.domain.policy import AfterDark, PoolMode, PoolRule
from reconcilerd.domain.quantities import Rate
from reconcilerd.simulator.faults import FaultPlan, Struck
from reconcilerd.simulator.menu import Ask, Fault
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import STORES, Stage, play, policy, small_world

MINUTE_S = 60.0
SHOWN = {name: 100 for name, _, _ in STORES}


@dataclass(slots=True)
class Outage(FaultPlan):
    """One system answers nothing that is of use."""

    down: str = ""

    @override
    def pick(self, system: str, ask: Ask, at: Instant, subject: str) -> Struck:
        return frozenset({Fault.SERVER_ERROR}) if system == self.down else frozenset()


@pytest.mark.parametrize("silent", [name for name, _, _ in STORES])
def test_what_may_have_sold_where_nobody_could_look_is_offered_nowhere_else(silent: str) -> None:
    """Of a SKU that had no news: more and more of it the longer it lasts."""

    async def scene(stage: Stage) -> None:
        await anyio.sleep(10 * MINUTE_S)
        assert stage.shown("a") == SHOWN
        outage.down = silent
        await anyio.sleep(60 * MINUTE_S)
        first = stage.shown("a")
        await anyio.sleep(60 * MINUTE_S)
        then = stage.shown("a")
        for name in SHOWN:
            assert (then[name] < first[name] < 100) is (name != silent), (name, first, then)
        outage.down = ""
        await anyio.sleep(20 * MINUTE_S)
        assert stage.shown("a") == SHOWN

    rules = policy(split=False)
    quick = replace(rules.default_sku, rate=Rate(10_000))
    rules = replace(
        rules, pools={"default": PoolRule(PoolMode.SHARED, dead_band_permille=0)}, default_sku=quick
    )
    outage = Outage()
    play(small_world(WorldConfig(write_lost=0.0), split=False, skus=("a",)), rules, scene, outage)


@pytest.mark.parametrize(
    ("after", "left"), [(AfterDark.KEEP, 100), (AfterDark.HAIRCUT, 69), (AfterDark.DROP, 0)]
)
def test_stock_that_nobody_could_read_for_long_is_withheld_as_policy_says(
    after: AfterDark, left: int
) -> None:
    """Of each place by itself, rounded up."""

    async def scene(stage: Stage) -> None:
        await anyio.sleep(10 * MINUTE_S)
        assert stage.shown("a") == SHOWN
        outage.down = "extensiv"
        ages = rules.ages
        await anyio.sleep((ages.max_age_ms + ages.dark_grace_ms) / 1000 + 5 * MINUTE_S)
        assert stage.shown("a") == dict.fromkeys(SHOWN, left)
        outage.down = ""
        await anyio.sleep(20 * MINUTE_S)
        assert stage.shown("a") == SHOWN

    rules = policy(split=False, after_dark=after, haircut_permille=300)
    rules = replace(rules, pools={"default": PoolRule(PoolMode.SHARED, dead_band_permille=0)})
    outage = Outage()
    play(small_world(WorldConfig(write_lost=0.0), split=False, skus=("a",)), rules, scene, outage)


def test_everybody_is_looked_at_when_a_source_goes_dark_or_comes_back_and_now_and_then_between(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[Instant] = []

    async def scene(stage: Stage) -> None:
        look = Desk.everybody

        def counted(desk: Desk) -> None:
            looks.append(stage.clock())
            look(desk)

        await anyio.sleep(10 * MINUTE_S)
        monkeypatch.setattr(Desk, "everybody", counted)
        await anyio.sleep(30 * MINUTE_S)
        assert looks == [], "everything is read"
        outage.down = "shop-uk"
        await anyio.sleep(90 * MINUTE_S)
        apart = [round((b - a) / 1000) for a, b in pairwise(looks)]
        assert len(apart) >= 8
        assert all(DARK_LOOK_MS / 1000 <= each <= DARK_LOOK_MS / 1000 + MINUTE_S for each in apart)
        outage.down = ""
        before = len(looks)
        await anyio.sleep(30 * MINUTE_S)
        assert len(looks) - before <= 2, "once more, when it came back"
        assert looks[-1] - looks[before - 1] < 10 * MINUTE_S * 1000

    outage = Outage()
    play(small_world(WorldConfig(), split=False, skus=("a",)), policy(split=False), scene, outage)
