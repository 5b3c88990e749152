"""A changed policy: what it would change is counted whatever holds it for now, and judged once all was looked at."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from reconcilerd.daemon import passes
from reconcilerd.daemon.passes import Word
from reconcilerd.daemon.trips import LATCH, REFUSALS, would_change
from reconcilerd.domain.change import Closed
from reconcilerd.domain.facts import (
    EnvelopeApproved,
    ListingDeclared,
    PolicyAdopted,
    ProductObserved,
    ProductType,
    RailLatched,
    SlotObserved,
    SlotState,
)
from reconcilerd.domain.feeds import STOCK_FEED, slots_feed
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey, after
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import Mode, Percent, PoolMode, PoolRule, Publisher, UnreadPeer
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.domain.record import Only, PutBack, decide
from tests.daemon.test_passes import NOW, A, B, Scene
from tests.domain.books import UK, swept
from tests.domain.builders import A as PLACE
from tests.domain.builders import offer, position, row

AUTO = Rails(Mode.AUTO)
PINNED = frozenset({SlotKey(UK, "a"), SlotKey(UK, "b")})


class Changed(Scene):
    """The small shop when another policy decided last; ``hold``: what else holds."""

    def __init__(self, hold: Rails = AUTO, *, limit: int = 1, over: int = 10, before: str = "older") -> None:
        super().__init__(over, over, config_change_slots=limit)
        self.book = self.desk.book
        if before:
            self.book.take(PolicyAdopted(before, "ops", Instant(1)))
        self.hold = hold
        self.passes._rails = lambda: replace(
            self.hold, observing=self.passes.changed_policy.observing, latched=self.book.latches.on(NOW)
        )

    @property
    def asked(self) -> RailLatched | None:
        """What a person is asked."""
        latch = self.book.latches.known.get(LATCH)
        return latch if latch is not None and latch.on else None

    @property
    def reason(self) -> str:
        """Which policies a person is asked about, if one is."""
        return "" if self.asked is None else self.asked.reason

    @property
    def evidence(self) -> str:
        assert self.asked is not None, "nobody is asked"
        return self.asked.evidence


LOWERS_TOO = {
    "nothing": AUTO,
    "stop file": replace(AUTO, stop=True),
    "breach": replace(AUTO, breach=True),
    "frozen": replace(AUTO, frozen=frozenset({""})),
    "channel frozen": replace(AUTO, frozen=frozenset({"uk"})),
    "freeze window": replace(AUTO, closed=(Closed(""),)),
    "circuit": replace(AUTO, circuits=frozenset({UK})),
}
RAISES = {
    "pins": replace(AUTO, pinned=PINNED),
    "most channels fail": replace(AUTO, half_fails=True),
}


@pytest.mark.parametrize(
    ("hold", "over"),
    [*((hold, 10) for hold in LOWERS_TOO.values()), *((hold, -10) for hold in RAISES.values())],
    ids=[*LOWERS_TOO, *RAISES],
)
async def test_what_else_holds_at_the_first_look_lets_no_large_change_through_later(
    hold: Rails, over: int
) -> None:
    """STOP, edit, restart, remove STOP: as a careful person does it."""
    scene = Changed(hold, over=over)
    assert await scene.pass_over(A, B) == []
    assert scene.evidence == "2 SKUs would change (2 listings, limit 1): a, b"
    scene.hold = AUTO
    assert await scene.pass_over(A, B) == []
    assert scene.book.adopted == "older"


@pytest.mark.parametrize("hold", LOWERS_TOO.values(), ids=LOWERS_TOO)
async def test_a_small_change_is_adopted_whatever_holds_and_goes_when_that_is_over(hold: Rails) -> None:
    scene = Changed(hold, limit=2)
    assert await scene.pass_over(A, B) == []
    assert (scene.book.adopted, scene.asked) == ("test", None)
    scene.hold = AUTO
    assert await scene.pass_over(A, B) == ["a", "b"]


def one(verdict: Verdict, position: Position, rails: Rails = AUTO) -> GroupPlan:
    """The plan of a position of one correction; that it is held as is meant."""
    plan = make_plan(position, rails)
    assert [entry.verdict for entry in plan.entries] == [verdict]
    return plan


def shows(units: int, stock: int = 10, **seen: Any) -> Position:
    """One listing, and stock for it."""
    return position([replace(offer("uk", shown=units), **seen)], [row(PLACE, stock)])


def channel(position: Position, **seen: Any) -> Position:
    return replace(position, channels=tuple(replace(each, **seen) for each in position.channels))


def listing(position: Position, **seen: Any) -> Position:
    return replace(position, offers=tuple(replace(each, **seen) for each in position.offers))


FOR_NOW: dict[Verdict, Callable[[Position], Position]] = {
    Verdict.HOLD_FIRST_RUN: lambda bare: replace(bare, orders_known=False),
    Verdict.HOLD_DARK: lambda bare: channel(bare, dark=True),
    Verdict.HOLD_SUSPECT: lambda bare: replace(bare, doubted=True),
    Verdict.HOLD_STORM: lambda bare: replace(bare, storm=True),
    Verdict.HOLD_UNMATCHED: lambda bare: channel(bare, unmatched=True),
    Verdict.HOLD_PEER_UNREAD: lambda bare: replace(
        bare, split=True, pool=PoolRule(PoolMode.SPLIT, unread_peer=UnreadPeer.HOLD), unlisted=(UK,)
    ),
    Verdict.HOLD_REFUSED: lambda bare: listing(bare, not_before=Instant(bare.at + 1)),
}


@pytest.mark.parametrize("verdict", FOR_NOW)
def test_a_raise_that_waits_for_readings_to_come_or_to_be_sound_counts(verdict: Verdict) -> None:
    plan = one(verdict, FOR_NOW[verdict](shows(5)), replace(AUTO, observing=True))
    assert would_change(plan, plan.entries[0])


def unmanaged(units: int) -> Position:
    bare = shows(units)
    return listing(bare, rule=replace(bare.offers[0].rule, managed=False))


REFUSED: dict[str, tuple[Verdict, Position, Rails]] = {
    "observe": (Verdict.HOLD_MODE, shows(15), Rails(Mode.OBSERVE)),
    "guarded": (Verdict.HOLD_APPROVAL, shows(15), Rails(Mode.GUARDED)),
    "not managed": (Verdict.HOLD_NOT_OURS, unmanaged(15), AUTO),
    "pushed": (Verdict.HOLD_NATIVE_PUSH, shows(15, pushed=True), AUTO),
    "published by Extensiv": (
        Verdict.HOLD_NATIVE_PUSH,
        channel(shows(15), publisher=Publisher.EXTENSIV),
        AUTO,
    ),
    "twice": (Verdict.HOLD_AMBIGUOUS, shows(15, ambiguous=True), AUTO),
    "off": (Verdict.HOLD_SLOT_OFF, shows(15, state=SlotState.INACTIVE), AUTO),
    "untracked": (Verdict.HOLD_UNTRACKED, shows(15, state=SlotState.UNTRACKED), AUTO),
    "raise of a decrease-only channel": (
        Verdict.HOLD_DECREASE_ONLY,
        channel(shows(5), decrease_only=True),
        AUTO,
    ),
    "unknown to Extensiv": (Verdict.HOLD_UNKNOWN, position([offer("uk", shown=15)], []), AUTO),
}


@pytest.mark.parametrize(("verdict", "seen", "rails"), REFUSED.values(), ids=REFUSED)
def test_what_goes_under_no_circumstances_is_no_change_and_nothing_hides_that(
    verdict: Verdict, seen: Position, rails: Rails
) -> None:
    for held, hold in ((verdict, rails), (Verdict.HOLD_STOP_FILE, replace(rails, stop=True))):
        plan = one(held, seen, replace(hold, observing=True))
        assert not would_change(plan, plan.entries[0])


def test_a_lower_of_a_decrease_only_channel_goes_and_counts() -> None:
    plan = one(
        Verdict.HOLD_CONFIG_CHANGE,
        channel(shows(15), decrease_only=True),
        replace(AUTO, observing=True),
    )
    assert would_change(plan, plan.entries[0])


COUNTED = frozenset(
    {
        *FOR_NOW,
        Verdict.SEND,
        # By one word, or by itself, for all of them at once.
        Verdict.HOLD_STOP_FILE,
        Verdict.HOLD_BREACH,
        Verdict.HOLD_FROZEN,
        Verdict.HOLD_FREEZE_WINDOW,
        Verdict.HOLD_CIRCUIT,
        # By a person's word for each, which may also run out.
        Verdict.HOLD_PINNED,
        Verdict.HOLD_TUG_OF_WAR,
        Verdict.HOLD_QUARANTINE,
        # By readings, or by the next pass.
        Verdict.HOLD_PENDING,
        Verdict.HOLD_REREAD,
        Verdict.HOLD_CONFIRM,
        Verdict.HOLD_HEADROOM,
        Verdict.HOLD_STOCK_STALE,
        Verdict.HOLD_OWN_STALE,
        Verdict.HOLD_PEER_STALE,
        Verdict.HOLD_NOT_IN_PLAN,
        Verdict.HOLD_TOO_WIDE,
        # Behind the look at the policy: what it holds is not asked about these yet.
        Verdict.HOLD_CONFIG_CHANGE,
        Verdict.HOLD_CANARY,
        Verdict.HOLD_PROTECTED,
        Verdict.HOLD_NEVER_COUNTED,
        Verdict.HOLD_UNEXPLAINED,
        Verdict.HOLD_RAISE_RATIO,
        Verdict.HOLD_ZEROS,
        Verdict.HOLD_ZEROS_LATCHED,
        Verdict.HOLD_WINDOW_SLOTS,
        Verdict.HOLD_WINDOW_SHARE,
        Verdict.HOLD_WINDOW_UNITS,
        Verdict.HOLD_WINDOW_VALUE,
        Verdict.HOLD_ATTEMPTS,
    }
)


def test_of_every_verdict_it_is_decided_whether_it_counts() -> None:
    assert {*COUNTED, *REFUSALS} == set(Verdict)
    assert COUNTED.isdisjoint(REFUSALS)
    assert {verdict for verdict, _, _ in REFUSED.values()} == REFUSALS.keys()


def test_a_raise_that_waits_for_another_listing_to_be_lowered_counts_beside_that() -> None:
    """A policy that moves shares changes both, though the second has no room yet."""
    offers: Sequence[OfferView] = [
        offer("eu", Percent(500), shown=0),
        offer("uk", Percent(500), shown=10),
    ]
    plan = make_plan(position(offers, [row(PLACE, 10)], split=True), replace(AUTO, observing=True))
    assert [(entry.verdict, entry.target) for entry in plan.entries] == [
        (Verdict.HOLD_CONFIG_CHANGE, 5),
        (Verdict.HOLD_HEADROOM, 0),
    ]
    assert all(would_change(plan, entry) for entry in plan.entries)


@pytest.mark.parametrize("read", [True, False])
async def test_stock_that_nobody_knows_counts_while_it_may_only_not_be_read_yet(read: bool) -> None:
    scene = Changed(replace(AUTO, stop=True), limit=0)
    scene.book.stock.clear()
    scene.book._places.clear()
    if not read:
        del scene.book.swept_whole[STOCK_FEED]
    plans = await scene.passes.one_pass([A, B])
    scene.hold = AUTO
    assert {entry.verdict for plan in plans for entry in plan.entries} == {Verdict.HOLD_STOP_FILE}
    assert (scene.asked is None) == read


async def test_nothing_is_settled_by_a_pass_beside_the_one_that_looks_at_everything() -> None:
    """The usual pass has taken all there is to do; a person has one SKU put in order meanwhile."""
    scene = Changed()
    scene.desk.everybody()
    taken = await scene.desk.groups(2_000)
    assert await scene.pass_over(A) == []
    assert (scene.book.adopted, scene.asked) == ("older", None)
    assert await scene.pass_over(*taken) == []
    assert scene.asked is not None


async def test_however_much_news_there_is_all_looked_at_is_settled() -> None:
    scene = Changed(limit=2)
    scene.desk.everybody()
    await scene.pass_over(A)
    await scene.pass_over(B)
    assert scene.book.adopted == "test"


async def test_what_was_forgotten_is_looked_at_or_nothing_would_ever_be_settled() -> None:
    scene = Changed()
    await scene.pass_over(A)
    assert scene.desk.waiting == 1
    assert await scene.desk.groups(9) == [B]


async def test_while_there_is_work_nothing_more_is_marked() -> None:
    """Each group that is to be looked at is there, or in hands: to plan it twice would only take time."""
    scene = Changed()
    scene.desk.mark([A])
    await scene.pass_over(A)
    assert await scene.desk.groups(9) == [A]


@pytest.mark.parametrize("place", [None, "somebody else's", ""])
async def test_a_group_without_listings_of_ours_is_not_waited_for(place: str | None) -> None:
    """``""``: at a place of ours; but Extensiv maps it to nothing any more, and nobody writes it."""
    scene = Changed(limit=2)
    at = Instant(0)
    scene.book.take(ProductObserved(Sku("c"), "c", 3, "c", ProductType.CORE, "", True, (), at))
    scene.book.take(ListingDeclared(1, 3, "c", Sku("c"), False, True, at))
    if place is not None:
        slot = SlotKey(UK, "c", place)
        scene.book.take(SlotObserved(slot, "c", "c", 7, SlotState.BUYABLE, False, at, at))
        scene.book.take(ListingDeclared(1, 3, "c", Sku("c"), False, place != "", Instant(1)))
        assert scene.book.joins().slots_of[Sku("c")] == (slot,)
        assert (slot in scene.book.joins().lapsing) == (place == "")
    assert Sku("c") in scene.book.joins().groups.members
    await scene.pass_over(A, B)
    assert scene.book.adopted == "test"


async def test_a_listing_that_is_gone_by_then_does_not_count() -> None:
    scene = Changed(limit=1)
    await scene.pass_over(A)
    at = Instant(NOW - 100)
    scene.book.take(
        SlotObserved(SlotKey(UK, "a"), "a", "a", 110, SlotState.BUYABLE, False, at, at, gone=True)
    )
    await scene.pass_over(B)
    assert scene.book.adopted == "test"


def breaks_for(group: Sku, bugs: Sequence[Exception]) -> Callable[..., GroupPlan]:
    """Plans as usual, but for one group while there are bugs."""

    def plan(position: Position, *given: Any) -> GroupPlan:
        if position.group == group and bugs:
            raise bugs[0]
        return decide(position, *given)

    return plan


@pytest.mark.parametrize("limit", [0, 1, 2])
async def test_a_group_that_meets_a_bug_is_not_waited_for_and_counts_whole(
    monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Of what it would change nobody knows anything: no more than its listings."""
    bugs = [ZeroDivisionError("a bug")]
    monkeypatch.setattr(passes, "decide", breaks_for(B, bugs))
    scene = Changed(limit=limit)
    await scene.pass_over(A, B)
    if limit == 2:
        assert scene.book.adopted == "test"
        return
    told = f"2 SKUs would change (2 listings, limit {limit}): a, b; 1 not judged, and counted whole: b"
    assert scene.evidence == told
    bugs.clear()
    assert await scene.pass_over(A, B) == []


async def test_what_broke_when_it_was_a_group_of_its_own_counts_no_more() -> None:
    scene = Changed(limit=2)
    scene.passes.broken[Sku("of another by now")] = "ZeroDivisionError: a bug"
    await scene.pass_over(A, B)
    assert scene.book.adopted == "test"


@pytest.mark.parametrize("first", [True, False])
async def test_what_breaks_before_or_after_it_was_looked_at_counts_as_it_was_found(
    monkeypatch: pytest.MonkeyPatch, first: bool
) -> None:
    bugs = [ZeroDivisionError("a bug")] if first else []
    monkeypatch.setattr(passes, "decide", breaks_for(B, bugs))
    scene = Changed(limit=1)
    at = Instant(NOW - 100)
    scene.book.take(SlotObserved(SlotKey(UK, "b"), "b", "b", 100, SlotState.BUYABLE, False, at, at))
    await scene.pass_over(B)
    assert bool(scene.passes.broken) == first
    assert (scene.book.adopted, scene.asked) == ("older", None), "the other is still to be looked at"
    bugs[:] = [] if first else [ZeroDivisionError("a bug")]
    await scene.pass_over(B)
    await scene.pass_over(A)
    assert bool(scene.passes.broken) != first
    assert scene.book.adopted == "test"


async def test_what_would_no_more_be_changed_when_it_is_looked_at_again_does_not_count() -> None:
    scene = Changed(limit=1)
    await scene.pass_over(A)
    at = Instant(NOW - 100)
    scene.book.take(SlotObserved(SlotKey(UK, "a"), "a", "a", 100, SlotState.BUYABLE, False, at, at))
    await scene.pass_over(A)
    await scene.pass_over(B)
    assert scene.book.adopted == "test"


async def test_a_persons_numbers_say_nothing_of_what_the_policy_would_change() -> None:
    scene = Changed(limit=0)
    kept = PutBack("p", tuple((SlotKey(UK, each), 110) for each in ("a", "b")))
    await scene.passes.one_pass([A, B], Word(kept))
    assert (scene.book.adopted, scene.asked) == ("older", None)
    await scene.pass_over(A, B)
    assert scene.asked is not None


async def test_a_persons_plan_is_carried_out_and_what_else_the_policy_would_change_counts() -> None:
    scene = Changed(limit=1)
    until = Instant(NOW + 1)
    approval = EnvelopeApproved("e", (A,), "lower", 99, "ops", "seen", NOW, until)
    order = Only("p", ((SlotKey(UK, "a"), 100),))
    await scene.passes.one_pass([A, B], Word(order, (approval,)))
    assert [each.slot.listing for each in scene.given] == ["a"]
    assert scene.asked is not None


async def test_the_first_policy_ever_is_adopted_as_it_is_however_much_is_to_be_done() -> None:
    scene = Changed(limit=0, before="")
    scene.desk.everybody()
    assert await scene.pass_over(A) == ["a"]
    assert (scene.book.adopted, scene.asked) == ("test", None)


async def test_the_policy_that_decided_last_is_not_looked_at_again() -> None:
    scene = Changed(limit=0, before="test")
    scene.passes.changed_policy.begin_anew()
    assert await scene.pass_over(A, B) == ["a", "b"]
    assert not [each for each in scene.facts if isinstance(each, PolicyAdopted | RailLatched)]


@pytest.mark.parametrize("limit", [1, 2])
async def test_of_a_policy_that_follows_while_a_person_is_asked_it_is_judged_by_itself(limit: int) -> None:
    """The first would change two, of which one is allowed; the one after it allows ``limit``."""
    scene = Changed(limit=1)
    scene.desk.everybody()
    await scene.pass_over(A, B)
    assert scene.reason == "test follows older"
    limits = replace(scene.book.policy.limits, config_change_slots=limit)
    scene.book.turn_to(replace(scene.book.policy, revision="newest", limits=limits))
    scene.passes.changed_policy.begin_anew()
    scene.desk.everybody()
    await scene.pass_over(A, B)
    judged = ("older", "newest follows older") if limit == 1 else ("newest", "")
    assert (scene.book.adopted, scene.reason) == judged


DE = ChannelName("de")
DECLARED = "ab"


class Joined(Changed):
    """Both listings show what they should by the policy before; the present one has another channel beside theirs.

    ``declared``: what Extensiv has there; nobody has read it yet.
    """

    def __init__(self, limit: int, declared: str = DECLARED, before: str = "older") -> None:
        super().__init__(limit=limit, over=0, before=before)
        ours = self.book.policy.channels[UK]
        both = {UK: ours, DE: replace(ours, sales_channel_id=2)}
        self.book.turn_to(replace(self.book.policy, channels=MappingProxyType(both)))
        self.passes._executors = dict.fromkeys(both, self.passes._executors[UK])
        for number, code in enumerate(declared):
            self.book.take(ListingDeclared(2, number, code, Sku(code), False, True, Instant(0)))
        self.now = NOW
        self.desk.clock = lambda: self.now

    def read_whole(self, listings: str = DECLARED) -> None:
        """The first whole reading of the other channel, which shows nothing of these."""
        at = Instant(NOW - 100)
        for code in listings:
            slot = SlotKey(DE, code)
            self.book.take(SlotObserved(slot, code, code, 0, SlotState.BUYABLE, False, at, at))
        swept(self.book, "de.orders", NOW - 10)
        swept(self.book, "de.slots", NOW - 10)


async def test_a_changed_policy_waits_for_the_first_whole_reading_of_each_channel() -> None:
    """A new channel takes its shares from all others, and before it is read nothing says so."""
    scene = Joined(limit=3)
    assert await scene.pass_over(A, B) == []
    assert (scene.book.adopted, scene.asked) == ("older", None)
    scene.read_whole()
    assert await scene.pass_over(A, B) == []
    assert scene.evidence == "2 SKUs would change (4 listings, limit 3): a, b"


async def test_what_was_looked_at_before_a_channel_was_first_read_is_looked_at_again() -> None:
    scene = Joined(limit=4)
    await scene.pass_over(A, B)
    scene.read_whole()
    assert await scene.pass_over(A) == []
    assert scene.book.adopted == "older", "of the other one it is not known yet what would change"
    assert await scene.desk.groups(9) == [B]
    await scene.pass_over(B)
    assert scene.book.adopted == "test"


async def test_what_is_looked_at_by_a_pass_in_which_a_channel_is_first_read_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passes, "SLICE_MS", 0)

    async def others(_readers: object) -> None:
        scene.read_whole()

    monkeypatch.setattr(passes, "everybody_else", others)
    scene = Joined(limit=4)
    await scene.pass_over(A, B)
    assert scene.book.adopted == "older"
    assert await scene.desk.groups(9) == [A]


async def test_what_is_first_read_after_the_last_look_is_looked_at_however_long_that_took() -> None:
    scene = Joined(limit=9)
    scene.now = Instant(NOW + scene.book.policy.ages.max_age_ms)
    await scene.pass_over(A)
    assert await scene.desk.groups(9) == [B]
    scene.read_whole()
    await scene.passes.changed_policy.settle(broken=[B])
    assert scene.book.adopted == "older"
    assert await scene.desk.groups(9) == [A]


@pytest.mark.parametrize(("declared", "limit", "listings"), [("ab", 3, 4), ("a", 1, 2)])
async def test_a_channel_that_cannot_be_read_holds_a_changed_policy_no_longer_than_a_reading_may_be_old(
    declared: str, limit: int, listings: int
) -> None:
    """Then each listing of what Extensiv has there counts as one that would change: nobody can know better."""
    told = f"{len(declared)} SKUs would change ({listings} listings, limit {limit}): {', '.join(declared)}"
    told += f"; {len(declared)} not judged, and counted whole: {', '.join(declared)}; never read: de"
    for most, adopted in ((limit, "older"), (listings, "test")):
        scene = Joined(most, declared)
        scene.book.awake_since = Instant(NOW - 1_000)
        scene.now = after(scene.book.awake_since, scene.book.policy.ages.max_age_ms)
        await scene.pass_over(A, B)
        assert (scene.book.adopted, scene.asked) == ("older", None)
        scene.now = after(scene.now, 1)
        await scene.pass_over(A, B)
        assert scene.book.adopted == adopted
        assert scene.asked is None if adopted == "test" else scene.evidence == told


async def test_what_takes_from_the_same_stock_counts_with_a_listing_that_nobody_has_read() -> None:
    """A bundle that only the unread channel has is of the shares of both its parts."""
    scene = Joined(limit=2, declared="")
    kit, at = Sku("kit"), Instant(0)
    scene.book.take(ProductObserved(kit, "kit", 9, "kit", ProductType.BUNDLE, "", True, ((A, 1), (B, 1)), at))
    scene.book.take(ListingDeclared(2, 9, "kit", kit, False, True, at))
    scene.now = Instant(NOW + scene.book.policy.ages.max_age_ms)
    await scene.pass_over(A, B)
    assert scene.evidence == (
        "3 SKUs would change (3 listings, limit 2): a, b, kit; 2 not judged, and counted whole: a, b; never read: de"
    )


async def test_the_first_policy_ever_waits_for_no_channel() -> None:
    scene = Joined(limit=0, before="")
    await scene.pass_over(A, B)
    assert (scene.book.adopted, scene.asked) == ("test", None)
    assert slots_feed(DE) not in scene.book.swept_whole
