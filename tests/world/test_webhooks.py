"""Hints make cures faster. Lost, late, doubled and forged ones change nothing but when something is read."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import anyio
import httpx

from reconcilerd.config.secret import Secret
from reconcilerd.connectors.hints import REFUSED, Became, Hint, Topic
from reconcilerd.connectors.shopify.hooks import Hooks
from reconcilerd.domain.facts import CorrectionPlanned, Fact, SlotObserved
from reconcilerd.domain.names import ChannelName, SlotKey
from reconcilerd.simulator.postman import SECRET, Mail, Postman, shop_of
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.trial import stage as trial
from reconcilerd.web.hooks import build_door
from tests.world.stage import Journal, Stage, policy, shop, small_world

SETTLED_S = 600.0


@dataclass
class Told:
    """What came of a run."""

    cured_s: list[float] = field(default_factory=list)
    """How long each number that somebody else wrote stood."""
    refused: int = 0
    posted: int = 0
    requests: int = 0
    facts: list[Fact] = field(default_factory=list)
    heard: dict[Became, int] = field(default_factory=dict)


def run(mail: Mail | None, scene: Callable[[Stage, Told], object], poll_s: float = 120.0) -> Told:
    """A business whose stores post ``mail`` to a daemon's door; None: they post nothing."""
    told = Told()

    def arrived() -> None:
        told.requests += 1

    async def whole(stage: Stage) -> None:
        await anyio.sleep(SETTLED_S)
        async with anyio.create_task_group() as group:
            if mail is not None:
                group.start_soon(_postman(stage, mail, told).run)
            await scene(stage, told)  # type: ignore[misc]
            group.cancel_scope.cancel()

    rules = policy(True, poll_ms=round(poll_s * 1000))
    stage = trial.play(
        small_world(WorldConfig(), split=True, skus=("a", "b", "c")),
        rules,
        whole,
        Journal(),
        pacing=trial.Pacing(poll_s),
        arrived=arrived,
    )
    told.facts = stage.journal.facts
    for (_, _, heard), count in stage.built.daemon.desk.counts.hints.items():
        told.heard[heard] = told.heard.get(heard, 0) + count
    return told


def _postman(stage: Stage, mail: Mail, told: Told) -> Postman:
    daemon = stage.built.daemon
    readers = {
        name: Hooks(name, shop_of(name), (Secret(SECRET),), tuple(rule.places))
        for name, rule in daemon.desk.book.policy.channels.items()
    }

    def refused(_channel: ChannelName | None, _why: Became) -> None:
        told.refused += 1

    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(build_door(readers, daemon.hints, refused, stage.clock)),
        base_url="http://door",
    )

    async def post(store: str, headers: dict[str, str], body: bytes) -> None:
        told.posted += 1
        await client.post(f"/shopify/{store}", headers=headers, content=body)

    return Postman(stage.world, stage.clock, post, mail)


async def other_hands(stage: Stage, told: Told, times: int = 12) -> None:
    """Somebody else writes a number, now and then; how long it stands."""
    chance = Random(4)
    for _ in range(times):
        await anyio.sleep(chance.uniform(60, 400))
        item = stage.item(chance.choice(["shop-uk", "shop-eu"]), chance.choice(["a", "b", "c"]))
        right, began = item.quantity, stage.clock()
        stage.world.set_quantity(item, right + 3, began)
        while item.quantity != right and stage.clock() - began < 900_000:
            await anyio.sleep(1)
        told.cured_s.append((stage.clock() - began) / 1000)


def test_hints_cure_in_a_fraction_of_the_time() -> None:
    without, with_them = run(None, other_hands), run(Mail(), other_hands)
    assert len(with_them.cured_s) == len(without.cured_s) == 12
    assert sum(with_them.cured_s) * 3 < sum(without.cured_s)


def test_a_mail_that_loses_doubles_and_delays_does_no_harm() -> None:
    bad = Mail(late_ms=(500, 90_000), lost=0.5, twice=0.5, forged=0.5)
    without, told = run(None, other_hands), run(bad, other_hands)
    assert sum(told.cured_s) < sum(without.cured_s)
    assert told.heard[Became.DUPLICATE] > 0
    assert sum(told.heard.get(each, 0) for each in REFUSED) == told.refused > 0


def _deed(fact: Fact) -> object:
    """All of a fact but when and in which order: timers of another task make the clock go on by microseconds."""
    if isinstance(fact, CorrectionPlanned):
        return fact.slot, fact.read, fact.target
    return (fact.slot, fact.quantity) if isinstance(fact, SlotObserved) else fact.kind


def test_forged_ones_change_nothing_at_all() -> None:
    """The same requests, the same readings and writes: nobody could tell that they came."""

    async def trade(stage: Stage, _told: Told) -> None:
        await shop(stage, 40, 1.0, seed=9, skus=("a", "b", "c"))

    without, told = run(None, trade), run(Mail(lost=1.0, forged=1.0), trade)
    assert told.posted > 30
    assert told.refused == told.posted
    assert told.requests == without.requests
    assert Counter(map(_deed, told.facts)) == Counter(map(_deed, without.facts))


def test_a_flood_of_well_signed_ones_costs_a_bounded_number_of_readings() -> None:
    """As from a store that has gone mad, or from somebody who has the secret."""
    minutes = 10

    async def flood(stage: Stage, _told: Told) -> None:
        hints, name = stage.built.daemon.hints, ChannelName("shop-uk")
        slots = [slot for slot in stage.built.daemon.desk.book.slots if slot.channel == name]
        for number in range(minutes * 60 * 20):
            one = slots[number % len(slots)]
            hints.take(Hint(name, Topic.LISTING, (f"level {number}",), (one,)))
            hints.take(Hint(name, Topic.ORDERS, (f"order {number}",)))
            await anyio.sleep(0.05)

    async def quiet(_stage: Stage, _told: Told) -> None:
        await anyio.sleep(minutes * 60)

    told, without = run(None, flood), run(None, quiet)
    # A call each two seconds for listings, one each ten for orders; and what a token takes.
    assert told.requests - without.requests <= minutes * (30 + 6) + 10


def test_hints_of_what_nobody_knows_or_of_too_much_are_left_to_the_polls() -> None:
    async def many(stage: Stage, told: Told) -> None:
        hints, name = stage.built.daemon.hints, ChannelName("shop-uk")
        stranger = SlotKey(name, "gid://shopify/InventoryItem/1", "gid://shopify/Location/101")
        assert hints.take(Hint(name, Topic.LISTING, ("1",), (stranger,))) is Became.UNKNOWN
        known = next(slot for slot in stage.built.daemon.desk.book.slots if slot.channel == name)
        assert hints.take(Hint(name, Topic.LISTING, ("2",), (known,) * 501)) is Became.CROWDED
        await anyio.sleep(5)

    run(None, many)
