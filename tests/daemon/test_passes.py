"""One pass over a small shop: what is durable first, what each plan leaves of the allowance, who comes first."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import pytest

from reconcilerd.daemon import passes
from reconcilerd.daemon.awaited import QUICK_MILLI, awaited
from reconcilerd.daemon.desk import Awaits, Desk
from reconcilerd.daemon.executors import Executor
from reconcilerd.daemon.passes import Passes, Word
from reconcilerd.daemon.windows import Windows
from reconcilerd.domain.announcements import LargeOrder
from reconcilerd.domain.bundles import Groups
from reconcilerd.domain.facts import (
    CorrectionPlanned,
    DecisionRecorded,
    EnvelopeApproved,
    Fact,
    InvariantBroken,
    ListingDeclared,
    ProductObserved,
    ProductType,
    RegimeSwitched,
    SlotObserved,
    SlotState,
    StockObserved,
)
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import Instant, LocationName, Sku, SlotKey, after
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Mode, PoolMode, PoolRule
from reconcilerd.domain.position import Claim, ClaimKind
from reconcilerd.domain.quantities import Rate
from reconcilerd.domain.record import Only, PutBack, decide
from reconcilerd.errors import LedgerFault
from tests.domain.books import UK, shop_book, swept
from tests.domain.builders import NOW as BUILT
from tests.domain.builders import A as PLACE
from tests.domain.builders import claim, offer, position, row

A, B = Sku("a"), Sku("b")
NOW = Instant(200_000)
FEEDS = ("extensiv.orders", "extensiv.stock", "uk.orders", "uk.slots")


class Scene:
    """Two SKUs of a hundred units each; their listings show too many by these."""

    def __init__(self, over_a: int = 10, over_b: int = 10, rails: Rails | None = None, **limits: Any) -> None:
        book = shop_book(NOW - 1_000)
        uk = replace(book.policy.channels[UK], compare_and_set=True)
        book.policy = replace(
            book.policy,
            channels=MappingProxyType({UK: uk}),
            limits=replace(book.policy.limits, window_min_slots=9, **limits),
        )
        for feed in FEEDS:
            swept(book, feed, NOW - 900)
        at = Instant(NOW - 500)
        for code, over in (("a", over_a), ("b", over_b)):
            slot = SlotKey(UK, code)
            book.take(SlotObserved(slot, code, code, 100 + over, SlotState.BUYABLE, False, at, at))
        self.events: list[str] = []
        self.facts: list[Fact] = []
        self.given: list[CorrectionPlanned] = []
        self.desk = Desk(book, self, lambda: NOW)
        windows = Windows(book.policy.limits.window_ms, book.policy.limits.zeros_window_ms)
        numbers = iter(range(999))
        self.passes = Passes(
            self.desk,
            {UK: cast("Executor", self)},
            windows,
            lambda: rails or Rails(Mode.AUTO),
            lambda: f"id{next(numbers)}",
        )

    async def append(self, facts: Sequence[Fact], note: str = "") -> int:
        """As the journal."""
        self.events.append("written down")
        self.facts.extend(facts)
        return 1

    def put(self, corrections: Sequence[CorrectionPlanned]) -> None:
        """As the executor of the one channel."""
        if corrections:
            self.events.append("handed over")
        self.given.extend(corrections)

    async def pass_over(self, *groups: Sku) -> list[str]:
        """The listings that are written by one pass."""
        self.given.clear()
        await self.passes.one_pass(list(groups))
        return [each.slot.listing for each in self.given]


async def test_nothing_is_handed_over_before_it_is_written_down() -> None:
    scene = Scene()
    assert await scene.pass_over(A, B) == ["a", "b"]
    assert scene.events[:2] == ["written down", "handed over"]
    assert [each for each in scene.facts if isinstance(each, CorrectionPlanned)] == scene.given


async def test_what_was_decided_is_handed_over_and_counted_though_something_breaks_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An intent that nobody was given would be open until the next start, and hold its listing."""
    scene = Scene(window_units=15)

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(scene.desk, "wait_for", broken)
    assert await scene.pass_over(A, B) == ["a"], "and the other has no allowance left"
    assert [each for each in scene.facts if isinstance(each, CorrectionPlanned)] == scene.given
    assert scene.passes.broken.keys() == {A, B}


def breaks_for_b(work: Callable[..., Any]) -> Callable[..., Any]:
    """As usual, but for whatever is said of the second group."""

    def broken(*given: Any) -> Any:
        for each in given:
            position = getattr(getattr(each, "plan", each), "position", each)
            if getattr(position, "group", None) == B:
                raise ZeroDivisionError("a bug")
        return work(*given)

    return broken


@pytest.mark.parametrize("what", ["held_of", "large_orders", "tell", "exposure", "record", "tell_large"])
async def test_what_was_decided_is_written_down_and_handed_over_once_though_telling_of_it_breaks(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """Nobody else has it in hand: a write that nobody carries out is open for ever, and holds its listing."""
    # What a record cannot hold, and what cannot be announced, is of all that is in it.
    of_all = {"record", "tell_large"}
    work = getattr(passes, what)
    monkeypatch.setattr(passes, what, all_broken if what in of_all else breaks_for_b(work))
    scene = Scene()
    if what == "tell_large":
        monkeypatch.setattr(passes, "large_orders", lambda position, _: [large(position.group)])
    scene.desk.mark([A, B])
    await scene.passes.one_pass(await scene.desk.groups(9))
    assert [each.slot.listing for each in scene.given] == ["a", "b"]
    assert scene.events == ["written down", "handed over"] + ["written down"] * (len(scene.events) - 2)
    assert [each for each in scene.facts if isinstance(each, CorrectionPlanned)] == scene.given
    assert scene.passes.broken == dict.fromkeys([A, B] if what in of_all else [B], "ZeroDivisionError: a bug")
    assert any(isinstance(each, DecisionRecorded) for each in scene.facts) == (what != "record")
    monkeypatch.undo()
    assert await scene.pass_over(A, B) == [], "each write is open, and none is made twice"
    assert scene.passes.broken == {}


def all_broken(*_: object) -> None:
    raise ZeroDivisionError("a bug")


def large(group: Sku) -> LargeOrder:
    return LargeOrder(group, UK, "1", 90, 100)


async def test_a_bug_in_an_alert_of_a_large_order_is_told_of_its_group_and_stops_no_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene()
    told: list[LargeOrder] = []

    async def announce(orders: Sequence[LargeOrder]) -> None:
        told.extend(orders)
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(passes, "large_orders", lambda at, _: [large(B)] if at.group == B else [])
    scene.passes.announce = announce
    assert await scene.pass_over(A, B) == ["a", "b"]
    assert told == [large(B)]
    assert scene.passes.broken.keys() == {B}


@pytest.mark.parametrize("where", ["plan", "alert"])
async def test_what_the_ledger_cannot_keep_ends_everything_and_nothing_is_handed_over(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    scene = Scene()

    async def full(*_: object, **__: object) -> None:
        raise LedgerFault("the disk is full")

    if where == "plan":
        monkeypatch.setattr(scene, "append", full)
    else:
        monkeypatch.setattr(passes, "large_orders", lambda position, _: [large(position.group)])
        scene.passes.announce = full
    with pytest.raises(LedgerFault):
        await scene.pass_over(A, B)
    assert (scene.given, scene.passes.broken) == ([], {})


async def test_what_a_pass_did_not_come_to_before_it_broke_off_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passes, "SLICE_MS", 0)
    scene = Scene()

    async def others(_readers: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(passes, "everybody_else", others)
    with pytest.raises(ZeroDivisionError):
        await scene.passes.one_pass([A, B])
    assert [each.slot.listing for each in scene.given] == ["a"]
    assert await scene.desk.groups(9) == [B]


async def test_what_one_group_spends_is_spent_for_the_others_of_its_pass() -> None:
    assert await Scene(window_units=15).pass_over(A, B) == ["a"]


async def test_what_one_pass_spends_is_spent_for_the_next() -> None:
    scene = Scene(window_units=15)
    assert await scene.pass_over(A) == ["a"]
    assert await scene.pass_over(B) == []


async def test_where_the_allowance_is_short_what_shows_too_much_by_most_comes_first() -> None:
    assert await Scene(over_a=3, over_b=9, window_slots=1).pass_over(A, B) == ["b"]
    assert await Scene(over_a=9, over_b=3, window_slots=1).pass_over(A, B) == ["a"]


async def test_a_plan_that_breaks_a_rule_hands_nothing_over_and_nothing_follows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(*given: Any) -> GroupPlan:
        plan = decide(*given)
        entries = tuple(
            replace(each, target=900) if each.slot.listing == "a" else each for each in plan.entries
        )
        return replace(plan, entries=entries)

    monkeypatch.setattr(passes, "decide", wrong)
    scene = Scene()
    assert await scene.pass_over(A, B) == []
    assert [type(each) for each in scene.facts if isinstance(each, InvariantBroken | CorrectionPlanned)] == [
        InvariantBroken
    ]


async def test_an_intent_names_the_approval_that_released_it() -> None:
    until = Instant(NOW + 1)
    approval = EnvelopeApproved("e", (A,), "lower", 99, "ops", "counted", NOW, until)
    scene = Scene(rails=Rails(Mode.GUARDED, envelopes=(approval,)))
    assert await scene.pass_over(A, B) == ["a"], "the other waits for one"
    assert [each.released for each in scene.given] == ["e"]


async def test_a_persons_word_is_written_down_once_however_many_slices_its_pass_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passes, "SLICE_MS", 0)
    scene = Scene()
    approval = EnvelopeApproved("e", (A,), "lower", 99, "ops", "counted", NOW, Instant(NOW + 1))
    await scene.passes.one_pass([A, B], Word(Only("p", ()), facts=(approval,)))
    assert [each for each in scene.facts if isinstance(each, EnvelopeApproved)] == [approval]


async def test_a_group_that_became_part_of_another_between_two_slices_is_planned_as_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A bundle of both is first seen while the second waits for its slice: of that alone none could be made."""
    monkeypatch.setattr(passes, "SLICE_MS", 0)
    scene = Scene(over_a=0, over_b=0)
    book, at = scene.desk.book, Instant(NOW - 500)
    parts = ((A, 1), (B, 1))
    book.take(ProductObserved(Sku("kit"), "kit", 9, "kit", ProductType.BUNDLE, "", True, parts, at))
    book.take(ListingDeclared(1, 9, "kit", Sku("kit"), False, True, at))
    kit = SlotKey(UK, "kit")

    async def others(_readers: object) -> None:
        await scene.desk.take([SlotObserved(kit, "kit", "kit", 20, SlotState.BUYABLE, False, NOW, NOW)])

    monkeypatch.setattr(passes, "everybody_else", others)
    first, second = await scene.passes.one_pass([A, B])
    assert (first.position.group, second.position.group) == (A, A)
    assert {row.sku for row in second.position.stock} == {A, B}
    assert all(each.target > 0 for each in scene.given if each.slot == kit)
    scene.desk.wait_for(B, (), Awaits.REREAD, asking=True)
    scene.desk.ask_again()
    assert await scene.desk.groups(9) == [A]
    scene.desk.wait_for(A, (), Awaits.NOTHING, asking=False)
    scene.desk.ask_again()
    assert not scene.desk.busy, "under its old name nobody asks for it for ever"


@pytest.mark.parametrize("beside", [False, True])
async def test_the_names_of_groups_are_looked_up_when_they_change_and_not_for_each_slice(
    monkeypatch: pytest.MonkeyPatch, beside: bool
) -> None:
    """``beside``: another pass, as a person's word may have one, was the first to see what changed."""
    monkeypatch.setattr(passes, "SLICE_MS", 0)
    scene = Scene(over_a=0, over_b=0)
    looked: list[list[Sku]] = []
    current = Groups.current

    def counted(groups: Groups, names: Collection[Sku]) -> list[Sku]:
        looked.extend([list(names)] if names else [])
        return current(groups, names)

    async def others(_readers: object) -> None:
        if beside:
            sold_together(scene)
            await scene.passes.one_pass([A])

    monkeypatch.setattr(Groups, "current", counted)
    monkeypatch.setattr(passes, "everybody_else", others)
    plans = await scene.passes.one_pass([A, B])
    assert looked == [[A, B], *([[A], [B]] if beside else [])]
    assert [plan.position.group for plan in plans] == [A, A if beside else B]


def sold_together(scene: Scene) -> None:
    """A bundle of both is on sale: they are one group from now on."""
    book, at, kit = scene.desk.book, Instant(NOW - 500), Sku("kit")
    book.take(ProductObserved(kit, "kit", 9, "kit", ProductType.BUNDLE, "", True, ((A, 1), (B, 1)), at))
    book.take(ListingDeclared(1, 9, "kit", kit, False, True, at))
    slot = SlotKey(UK, "kit")
    book.take(SlotObserved(slot, "kit", "kit", 100, SlotState.BUYABLE, False, at, at))


async def test_a_bug_is_told_of_no_longer_when_its_group_is_part_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(rails=Rails(Mode.AUTO, stop=True))
    monkeypatch.setattr(passes, "exposure", all_broken)
    await scene.pass_over(A, B)
    assert scene.passes.broken.keys() == scene.passes._held.keys() == {A, B}
    monkeypatch.undo()
    sold_together(scene)
    await scene.pass_over(A)
    assert scene.passes.broken == {}
    assert scene.passes._held.keys() == {A}


async def test_a_bug_is_told_of_no_longer_when_nothing_of_its_group_is_on_sale(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scene = Scene(rails=Rails(Mode.AUTO, stop=True))
    monkeypatch.setattr(passes, "exposure", all_broken)
    await scene.pass_over(A, B)
    slot, at = SlotKey(UK, "b"), Instant(NOW - 100)
    scene.desk.book.take(SlotObserved(slot, "b", "b", None, SlotState.BUYABLE, False, at, at, gone=True))
    assert B in scene.desk.book.joins().groups.members, "Extensiv knows it still"
    await scene.pass_over(A)
    assert scene.passes.broken.keys() == scene.passes._held.keys() == {A}


async def test_after_a_persons_numbers_a_group_is_planned_by_its_own_again() -> None:
    scene = Scene(over_a=-10)
    kept = PutBack("p", ((SlotKey(UK, "a"), 90),))
    (theirs,) = await scene.passes.one_pass([A], Word(kept))
    assert theirs.drifts == ()
    (ours,) = await scene.passes.one_pass([A])
    assert [each.desired for each in ours.drifts] == [100]


async def test_whether_the_allowance_may_be_short_depends_on_what_was_spent_of_it() -> None:
    many = [Sku(f"s{number}") for number in range(21)]
    scene = Scene(window_slots=22)
    assert not scene.passes._short(many)
    assert await scene.pass_over(A, B) == ["a", "b"]
    assert scene.passes._short(many)


async def test_a_change_that_must_be_read_twice_is_looked_at_again_though_it_is_too_early_to_read() -> None:
    """Readings close together count as one: when the second one may be had, nothing else would say."""
    scene = Scene()
    at = Instant(NOW - 100)
    for place in ("1", "2"):
        scene.desk.book.take(StockObserved(A, LocationName(place), 0, 0, 0, at, at))
    (plan,) = await scene.passes.one_pass([A])
    assert [each.verdict for each in plan.entries] == [Verdict.HOLD_CONFIRM]
    assert not plan.wants.stock
    assert not scene.desk.busy
    scene.desk.ask_again()
    assert scene.desk.busy


@pytest.mark.parametrize("scarce", [True, False])
async def test_a_pool_that_turns_split_under_scarcity_turns_back_when_that_is_over(
    monkeypatch: pytest.MonkeyPatch, scarce: bool
) -> None:
    monkeypatch.setattr(passes, "scarcity", lambda *_, **__: scarce)
    scene = Scene()
    book = scene.desk.book
    book.policy = replace(book.policy, pools=MappingProxyType({"default": PoolRule(PoolMode.ADAPTIVE)}))
    book.take(RegimeSwitched("a", not scarce, Instant(1)))
    await scene.pass_over(A)
    switched = [each for each in scene.facts if isinstance(each, RegimeSwitched)]
    assert switched == [RegimeSwitched("a", scarce, NOW)]
    await scene.pass_over(A)
    assert [each for each in scene.facts if isinstance(each, RegimeSwitched)] == switched


def awaits(claims: Sequence[Claim] = (), **seen: Any) -> Awaits:
    """What a group at rest awaits, but for these claims, or a listing that is seen otherwise."""
    listing = replace(offer("uk", shown=10), **seen)
    units = sum(each.units for each in claims)
    return awaited(make_plan(position([listing], [row(PLACE, 10 + units)], claims), Rails(Mode.AUTO)))


@pytest.mark.parametrize(
    ("dark", "split", "more"), [(True, False, 0), (False, False, 0), (True, True, 0), (True, False, -1)]
)
def test_what_sells_fast_where_nobody_can_look_is_looked_at_as_often_as_what_waits(
    dark: bool, split: bool, more: int
) -> None:
    listing = replace(offer("uk", shown=10), rate=Rate(QUICK_MILLI + more))
    where = position([listing], [row(PLACE, 10)], split=split)
    where = replace(where, channels=tuple(replace(each, dark=dark) for each in where.channels))
    quick = dark and not split and not more
    assert awaited(make_plan(where, Rails(Mode.AUTO))) == (Awaits.TIME if quick else Awaits.NOTHING)


def test_a_group_at_rest_awaits_what_may_end_its_claims() -> None:
    assert awaits() == Awaits.NOTHING
    assert awaits([claim(2)]) == Awaits.NOTHING
    shipped = replace(claim(2, ClaimKind.SHIPPED), shipped=Instant(1))
    assert awaits([shipped]) == Awaits.REREAD | Awaits.STOCK
    assert awaits([claim(2, ClaimKind.IN_FLIGHT)]) == Awaits.REREAD
    assert awaits([replace(claim(2, ClaimKind.RESERVED), until=after(BUILT, 9))]) == Awaits.TIME
    assert awaits([replace(claim(2), waived=1)]) == Awaits.TIME
    assert awaits([claim(2, ClaimKind.DARK)]) == Awaits.NOTHING, (
        "everybody is looked at for that, now and then"
    )
    assert awaits(suspect=True) == awaits(write=10) == awaits(replaced=10) == Awaits.REREAD
