"""A witness notes whatever is wrong with an entry, a plan, a request, a write or an alert, and nothing else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from reconcilerd.domain.facts import (
    CorrectionPlanned,
    CorrectionSent,
    Fact,
    FindingKind,
    FindingRaised,
    InvariantBroken,
    OrderLine,
    OrderObserved,
    OrderStatus,
    Outcome,
    PlanMade,
    SlotObserved,
    SlotState,
    StockObserved,
    SweepRead,
)
from reconcilerd.domain.feeds import STOCK_FEED
from reconcilerd.domain.guards import Rails
from reconcilerd.domain.names import (
    ChannelName,
    FeedName,
    Instant,
    LocationName,
    OrderKey,
    Sku,
    SlotKey,
    after,
)
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Mode, Policy
from reconcilerd.domain.position import Claim, ClaimKind, StockView
from reconcilerd.simulator.faults import FaultPlan, Injected
from reconcilerd.simulator.menu import Fault
from reconcilerd.simulator.stores import Item
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.trial import witness as module
from reconcilerd.trial.blame import TROUBLE_MS
from reconcilerd.trial.stage import START
from reconcilerd.trial.witness import PLAN_WITHIN_MS, SENT_WITHIN_MS, Witness
from tests.domain.builders import EVERYWHERE, offer, position
from tests.world.stage import empty_shops, policy, put_on_sale

UK = ChannelName("shop-uk")
A = Sku("a")
SHARED = policy(split=False)
OBSERVE = Rails(Mode.OBSERVE)


class Scene:
    """Twenty units of one SKU, of which a store shows ten; nothing has been written down of it."""

    def __init__(self, rules: Policy = SHARED) -> None:
        self.at, self.faults = START, FaultPlan(1)
        self.world = empty_shops(WorldConfig(seed=1, index_lag_ms=(0, 0), import_ms=(0, 0)))
        put_on_sale(self.world, "a", 20, split=False, shown={UK: 10})
        self.witness = Witness(self.world, rules, lambda: self.at, self.faults)

    @property
    def item(self) -> Item:
        return self.world.stores[UK].by_sku["a"]

    @property
    def said(self) -> list[str]:
        return [each.invariant for each in self.witness.violations]

    def later(self, ms: int) -> Instant:
        self.at = after(self.at, ms)
        return self.at

    def commit(self, *facts: Fact) -> None:
        self.witness.committed(facts)

    def plan(self, *rows: StockView, as_of: Instant = START, read: int = 10) -> GroupPlan:
        """What is decided of the store's listing, read at a moment, beside such rows; nothing is sent."""
        listing = replace(
            offer(UK, shown=read, sku="a", uses=((A, 1),)), slot=self.item.slot, as_of=as_of, age_of=as_of
        )
        return make_plan(replace(position([listing], rows), at=self.at), OBSERVE)

    def look(self, plan: GroupPlan) -> list[str]:
        """What is found of a plan."""
        self.witness.planned(plan, OBSERVE)
        return self.said


def row(units: int, at: Instant = START) -> StockObserved:
    return StockObserved(A, LocationName("1"), units, 0, 0, at, at)


def view(units: int, at: Instant = START) -> StockView:
    return StockView(A, LocationName("1"), units, 0, 0, at, at)


def shows(slot: SlotKey, units: int, at: Instant = START) -> SlotObserved:
    return SlotObserved(slot, "a", "A", units, SlotState.BUYABLE, False, at, at)


def intent(slot: SlotKey, target: int, at: Instant = START, name: str = "i") -> CorrectionPlanned:
    return CorrectionPlanned(name, slot, "a", 10, at, target, "lag", "share", at)


def answer(slot: SlotKey, at: Instant, name: str = "i") -> CorrectionSent:
    return CorrectionSent(name, slot, Outcome.APPLIED, "", at, at)


@pytest.mark.parametrize(("late_ms", "said"), [(0, []), (-1, ["I7"])])
def test_a_row_or_a_listing_read_earlier_than_what_is_known_of_it_is_no_news(
    late_ms: int, said: list[str]
) -> None:
    for read in (row(20), shows(Scene().item.slot, 10)):
        scene, then = Scene(), after(START, late_ms)
        scene.commit(read)
        scene.commit(replace(read, as_of=then, age_of=then))
        assert scene.said == said


def test_a_plan_looks_at_every_row_as_it_was_read_last() -> None:
    def told(*units: int) -> Scene:
        scene = Scene()
        for number, each in enumerate(units):
            scene.commit(row(each, after(START, number)))
        return scene

    last = after(START, 1)
    assert told(18, 20).look(Scene().plan(view(20, last))) == []
    assert told(18, 20).look(Scene().plan(view(19, last))) == ["I6"], "nobody ever said so"
    assert told(18, 20).look(Scene().plan(view(18, last))) == ["I7"], "that was before"
    assert told(18, 20).look(Scene().plan(view(19))) == ["I7"], "it is older than the news"


def test_of_a_doubtful_row_the_number_before_counts_as_well() -> None:
    scene = Scene()
    scene.commit(row(18), row(20, after(START, 1)))
    told = scene.plan(view(18, after(START, 1)))
    doubted = Claim(ClaimKind.DOUBTED, A, 0, frozenset({LocationName("1")}))
    assert scene.look(replace(told, position=replace(told.position, claims=(doubted,)))) == []


@pytest.mark.parametrize(("earlier_ms", "said"), [(0, []), (1, ["I7"])])
def test_a_plan_looks_at_no_listing_as_it_was_before_it_was_read_last(
    earlier_ms: int, said: list[str]
) -> None:
    scene = Scene()
    scene.commit(shows(scene.item.slot, 10))
    assert scene.look(scene.plan(view(20), as_of=after(START, -earlier_ms))) == said


NEWS: dict[str, Callable[[Item], Fact]] = {
    "a row": lambda _: row(19, after(START, 1)),
    "a listing": lambda item: shows(item.slot, 9, after(START, 1)),
    "an order": lambda _: OrderObserved(
        UK,
        OrderKey(UK, "1"),
        START,
        START,
        OrderStatus.OPEN,
        "",
        (OrderLine("a", 1),),
        START,
    ),
}


@pytest.mark.parametrize("news", NEWS)
@pytest.mark.parametrize("by", ["a request", "an entry"])
def test_news_that_no_plan_has_looked_at_for_a_minute_was_forgotten(news: str, by: str) -> None:
    def looked_at(*, again: bool) -> list[str]:
        scene = Scene()
        scene.look(scene.plan(view(20)))
        scene.commit(NEWS[news](scene.item))
        if again:
            newest = after(START, 1)
            scene.look(scene.plan(view(19 if news == "a row" else 20, newest), as_of=newest))
        step = scene.witness.arrived if by == "a request" else scene.commit
        scene.later(PLAN_WITHIN_MS)
        step()
        assert scene.said == []
        scene.later(1)
        step()
        return scene.said

    assert looked_at(again=True) == []
    assert set(looked_at(again=False)) == {"I8"}


@pytest.mark.parametrize(
    ("late_ms", "troubled", "said"),
    [
        (SENT_WITHIN_MS, None, []),
        (SENT_WITHIN_MS + 1, None, ["I16"]),
        (SENT_WITHIN_MS + 1, "shop-uk", []),
        (SENT_WITHIN_MS + 1, "shop-eu", ["I16"]),
    ],
)
def test_a_write_waits_no_longer_than_for_the_trouble_of_its_own_channel(
    late_ms: int, troubled: str | None, said: list[str]
) -> None:
    scene = Scene()
    if troubled is not None:
        scene.faults.done.append(Injected(Fault.SERVER_ERROR, after(START, -TROUBLE_MS), troubled, "slots"))
    scene.commit(intent(scene.item.slot, 9))
    scene.commit(answer(scene.item.slot, scene.later(late_ms)))
    assert scene.said == said


def test_a_write_without_an_open_intent_is_noted() -> None:
    scene = Scene()
    scene.witness.wrote(scene.item, 9, scene.at)
    assert scene.said == ["I18"]
    scene = Scene()
    scene.commit(intent(scene.item.slot, 8))
    scene.witness.wrote(scene.item, 9, scene.at)
    assert scene.said == ["I18"], "of another number"
    scene = Scene()
    scene.commit(intent(scene.item.slot, 9))
    scene.commit(answer(scene.item.slot, scene.at))
    scene.witness.wrote(scene.item, 9, scene.at)
    assert scene.said == ["I18"], "it was answered already"


def test_a_write_that_is_delivered_again_while_its_answer_is_waited_for_repeats_harmlessly() -> None:
    scene = Scene()
    scene.commit(intent(scene.item.slot, 9))
    scene.witness.wrote(scene.item, 9, scene.at)
    scene.witness.wrote(scene.item, 9, scene.later(SENT_WITHIN_MS))
    assert scene.said == []
    scene.witness.wrote(scene.item, 9, scene.later(1))
    assert scene.said == ["I18"]


@pytest.mark.parametrize(
    ("managed", "push", "mode", "said"),
    [
        (True, False, Mode.AUTO, []),
        (False, False, Mode.AUTO, ["I17"]),
        (True, True, Mode.AUTO, ["I17"]),
        (True, True, Mode.NET, []),
    ],
)
def test_a_write_of_what_is_not_ours_is_noted(managed: bool, push: bool, mode: Mode, said: list[str]) -> None:
    rules = policy(split=False, mode=mode)
    rule = replace(rules.offer_rule(A, UK), managed=managed)
    scene = Scene(replace(rules, offers={(A, UK): rule}))
    scene.item.push = push
    scene.commit(intent(scene.item.slot, 9))
    scene.witness.wrote(scene.item, 9, scene.at)
    assert scene.said == said


def test_what_the_last_complete_reading_of_stock_left_out_is_not_taken_for_read() -> None:
    scene, left_out = Scene(), []
    for feed, complete, unread in (
        (STOCK_FEED, True, ("a", "b")),
        (STOCK_FEED, False, ()),
        (FeedName(f"{UK}.slots"), True, ()),
        (STOCK_FEED, True, ()),
    ):
        scene.commit(SweepRead(feed, START, START, complete, 0, 0, unread=unread))
        left_out.append(set(scene.witness.oracle.left_out))
    assert left_out == [{"a", "b"}, {"a", "b"}, {"a", "b"}, set()]


SLOTS = FeedName(f"{UK}.slots")
SLOT = Scene().item.slot
HELD = PlanMade("p", START, 1, (), ((SLOT, 9, 8, "hold_approval"),))


@pytest.mark.parametrize(
    ("kind", "subject", "evidence", "near"),
    [
        ("exposure", "stock", shows(SLOT, 10), HELD),
        ("unresolved_drift", UK, shows(SLOT, 10), shows(replace(SLOT, channel=ChannelName("shop-eu")), 10)),
        (
            "credentials_refused",
            UK,
            SweepRead(SLOTS, START, START, False, 0, 0, "refused"),
            SweepRead(SLOTS, START, START, True, 0, 0),
        ),
        (
            "credentials_refused",
            UK,
            CorrectionSent("i", SLOT, Outcome.NOT_SENT, "refused", START, START),
            CorrectionSent("i", SLOT, Outcome.APPLIED, "", START, START),
        ),
        ("held_plan", UK, HELD, replace(HELD, held=())),
        (
            "unmapped_sku",
            UK,
            FindingRaised(FindingKind.UNMAPPED_SKU, f"{UK}:a.b", "", START),
            FindingRaised(FindingKind.REJECTED_ROW, f"{UK}:a.b", "", START),
        ),
        (
            "unreadable_rows",
            UK,
            FindingRaised(FindingKind.REJECTED_ROW, f"{UK}:a.b", "", START),
            FindingRaised(FindingKind.REJECTED_ROW, "shop-eu:a.b", "", START),
        ),
        ("invariant_broken", "plans", InvariantBroken("b", "a", (), "", START), HELD),
    ],
)
def test_an_alert_without_its_evidence_is_noted(kind: str, subject: str, evidence: Fact, near: Fact) -> None:
    scene = Scene()
    scene.commit(near)
    scene.witness.alerted(kind, subject)
    assert scene.said == ["I18"], "what is written down is of something else"
    scene.commit(evidence)
    scene.witness.alerted(kind, subject)
    assert scene.said == ["I18"]


def test_of_an_alert_about_what_nobody_writes_down_no_evidence_is_asked() -> None:
    scene = Scene()
    scene.witness.alerted("storage", "ledger")
    assert scene.said == []


def test_of_every_plan_it_is_asked_what_it_sends_what_it_counts_and_whether_it_is_determined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SAMPLED", 1)
    monkeypatch.setattr(module, "of_sends", lambda _: [("I5", "of what it sends")])
    monkeypatch.setattr(module, "of_inputs", lambda _plan, _rails: [("I14", "of what it is made of")])
    scene = Scene()
    assert scene.world.place_order(UK, "1", [("a", 1)], scene.at) is not None
    told = scene.plan(view(20))
    twice = (
        Claim(ClaimKind.IN_FLIGHT, A, 1, EVERYWHERE, UK, "1"),
        Claim(ClaimKind.COMMITTED, A, 1, EVERYWHERE, UK, "1/1"),
    )
    counted = replace(told.position, claims=twice, sold=((A, 0),))
    assert scene.look(replace(told, position=counted)) == ["I9", "I5", "I14"]


def test_what_is_shown_is_counted_as_the_pool_divides_it_when_it_is_planned() -> None:
    scene = Scene()
    plan = scene.plan(view(20))
    for split in (True, False):
        scene.look(replace(plan, position=replace(plan.position, split=split)))
        assert scene.world.products["a"].split is split
