"""Guards and plans over whatever can be asked of them: total, and no rule of knowing ever broken.

Every rule is read off the recorded inputs here, by the shortest way; nothing of the guards' own code is asked.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations

from hypothesis import assume, given
from hypothesis import strategies as st

from reconcilerd.domain.allocation import allocate, estimated
from reconcilerd.domain.explain import explain
from reconcilerd.domain.facts import EnvelopeApproved, SlotState
from reconcilerd.domain.guards import NEEDS_A_PERSON, Rails, Verdict
from reconcilerd.domain.invariants import check_plan
from reconcilerd.domain.names import Instant, Sku, SlotKey
from reconcilerd.domain.plan import Entry, GroupPlan, exposure, hidden, make_plan
from reconcilerd.domain.policy import Limits, Mode, Publisher, UnreadPeer
from reconcilerd.domain.position import (
    KEPT_FROM_RAISES,
    Claim,
    ClaimKind,
    Locations,
    OfferView,
    Position,
)
from reconcilerd.domain.quantities import MAX_UNITS
from tests.domain.builders import NOW
from tests.domain.strategies import FEWER, limits_of_any_size, places, positions, rails, with_known

AUTO = Rails(Mode.AUTO)
ORDERED = {ClaimKind.IN_FLIGHT, ClaimKind.COMMITTED, ClaimKind.SHIPPED}


def anything(sku: str) -> EnvelopeApproved:
    """A person's word for every change of a SKU."""
    return EnvelopeApproved(
        "all", (Sku(sku),), "both", 2 * MAX_UNITS, "ops", "looked at it", NOW, Instant(NOW + 1)
    )


def judged(where: Position, rails_: Rails) -> Iterator[tuple[Entry, OfferView]]:
    by_slot = {each.slot: each for each in where.offers}
    for entry in make_plan(where, rails_).entries:
        yield entry, by_slot[entry.slot]


def verdicts(plan: GroupPlan) -> dict[SlotKey, Verdict]:
    return {each.slot: each.verdict for each in plan.entries}


def ours_to_write(where: Position, offer: OfferView, mode: Mode) -> bool:
    """I17, in its own words."""
    pushed = offer.pushed or where.channel(offer.slot.channel).publisher is Publisher.EXTENSIV
    return (
        offer.rule.managed
        and not offer.ambiguous
        and offer.state is SlotState.BUYABLE
        and (mode is Mode.NET or not pushed)
    )


@FEWER
@given(positions(), rails())
def test_whatever_is_asked_there_is_a_plan_and_words_for_it(where: Position, on: Rails) -> None:
    plan = make_plan(where, on)
    assert check_plan(plan) == ()
    assert {each.slot for each in plan.entries} == {each.slot for each in plan.drifts}
    assert exposure(plan) >= 0
    assert hidden(plan) >= 0
    for offer in where.offers:
        said = explain(plan, offer.slot)
        assert said["figures"]["desired"] >= 0
        assert all(sentence.endswith((".", ")")) for sentence in said["sentences"])
    assert make_plan(where, on) == plan


@FEWER
@given(positions(), st.randoms(use_true_random=False))
def test_in_which_order_anything_was_listed_decides_nothing(where: Position, chance: object) -> None:
    shuffled = {
        name: tuple(chance.sample(each, len(each)))  # type: ignore[attr-defined]
        for name, each in (("claims", where.claims), ("stock", where.stock), ("channels", where.channels))
    }
    again = make_plan(with_known(where, shuffled), AUTO)
    assert again.entries == make_plan(where, AUTO).entries


@FEWER
@given(positions(), rails())
def test_a_persons_stop_wins_over_all_else(where: Position, on: Rails) -> None:
    stopped = verdicts(make_plan(where, replace(on, stop=True)))
    assert set(stopped.values()) <= {Verdict.HOLD_STOP_FILE}
    frozen = verdicts(make_plan(where, replace(on, stop=False, frozen=frozenset({""}))))
    assert set(frozen.values()) <= {Verdict.HOLD_FROZEN}
    observed = make_plan(where, replace(on, stop=False, frozen=frozenset(), mode=Mode.OBSERVE))
    assert set(verdicts(observed).values()) <= {Verdict.HOLD_MODE}


@FEWER
@given(positions(), rails(), limits_of_any_size())
def test_an_approval_releases_what_waits_for_a_person_and_nothing_else(
    where: Position, on: Rails, limits: Limits
) -> None:
    where = replace(where, limits=replace(limits, mode=where.limits.mode))
    alone = replace(on, envelopes=())
    for entry, offer in judged(where, alone):
        # One at a time, so that what an approval lets go does not spend the window of the next one.
        approved = replace(alone, envelopes=(anything(offer.sku),))
        only = replace(where, offers=where.offers)
        released = verdicts(make_plan(only, approved))[entry.slot]
        if entry.verdict in NEEDS_A_PERSON:
            assert released not in NEEDS_A_PERSON
        elif entry.verdict not in {Verdict.SEND, Verdict.HOLD_HEADROOM, Verdict.HOLD_TOO_WIDE}:
            assert released is entry.verdict


@given(positions(), rails(Mode.GUARDED), limits_of_any_size())
def test_an_approval_in_which_zeros_were_not_agreed_to_releases_all_but_those(
    where: Position, on: Rails, limits: Limits
) -> None:
    where = replace(where, limits=replace(limits, mode=where.limits.mode))
    alone = replace(on, envelopes=())
    for entry, offer in judged(where, alone):
        word = anything(offer.sku)
        narrow = make_plan(where, replace(alone, envelopes=(replace(word, zeros=False),)))
        if entry.target == 0 and entry.verdict in NEEDS_A_PERSON:
            assert verdicts(narrow)[entry.slot] in NEEDS_A_PERSON
        elif all(each.target for each in narrow.entries):
            wide = make_plan(where, replace(alone, envelopes=(word,)))
            assert verdicts(narrow) == verdicts(wide)


@FEWER
@given(positions(), rails(), limits_of_any_size())
def test_a_lower_that_orders_explain_waits_for_nothing_but_a_reading(
    where: Position, on: Rails, limits: Limits
) -> None:
    """Rule 6: sold out must reach zero at once, in the dark, in a storm and in a spent window."""
    on = replace(
        on, stop=False, frozen=frozenset(), mode=on.mode if on.mode is not Mode.OBSERVE else Mode.AUTO
    )
    where = replace(where, limits=limits)
    for entry, offer in judged(where, on):
        readable = not (offer.known_since or offer.suspect) and NOW - offer.age_of <= 3_000
        answered = offer.write is None or offer.write > entry.target
        known = not any(name in where.unknown for name, _ in offer.uses)
        if (
            entry.lowers
            and not entry.unexplained
            and ours_to_write(where, offer, on.mode)
            and known
            and readable
            and answered
            and where.at >= offer.not_before
        ):
            assert entry.verdict is Verdict.SEND


def only_what_is_ours_is_written(where: Position, entry: Entry, offer: OfferView, mode: Mode) -> bool:
    """I17."""
    return ours_to_write(where, offer, mode)


def no_number_out_of_nothing_known(where: Position, entry: Entry, offer: OfferView, mode: Mode) -> bool:
    """I4 and I5: least of all zero."""
    return not {name for name, _ in offer.uses} & set(where.unknown)


def no_blind_lower_from_an_old_reading(where: Position, entry: Entry, offer: OfferView, mode: Mode) -> bool:
    """R11: it would be a raise in disguise."""
    compared = where.channel(offer.slot.channel).compare_and_set
    return not entry.lowers or compared or NOW - offer.age_of <= 3_000


def no_compare_with_a_number_known_to_have_moved(
    where: Position, entry: Entry, offer: OfferView, mode: Mode
) -> bool:
    return not (offer.known_since or offer.suspect)


def a_write_in_the_air_is_followed_only_by_a_deeper_lower(
    where: Position, entry: Entry, offer: OfferView, mode: Mode
) -> bool:
    return offer.write is None or (entry.lowers and entry.target < offer.write)


def every_input_of_a_raise_is_fresh(where: Position, entry: Entry, offer: OfferView, mode: Mode) -> bool:
    """I4 and rule 1: its stock, its own reading, those of the living of a split pool."""
    mine = {name for name, _ in offer.uses}
    living = [
        each
        for each in where.offers
        if where.split and each.slot != offer.slot and not where.channel(each.slot.channel).dark
    ]
    return entry.lowers or (
        all(NOW - each.age_of <= 60_000 for each in where.stock if each.sku in mine)
        and NOW - offer.age_of <= 10_000
        and all(NOW - each.age_of <= 90_000 and not each.suspect for each in living)
    )


def every_feed_was_heard_before_a_raise(where: Position, entry: Entry, offer: OfferView, mode: Mode) -> bool:
    channel = where.channel(offer.slot.channel)
    heard = all(each.through is not None or each.dark for each in where.channels)
    sound = not (where.storm or where.stock_dark or channel.dark or channel.unmatched)
    return entry.lowers or (
        where.orders_known and channel.swept and channel.through is not None and heard and sound
    )


def nothing_is_raised_over_a_write_that_may_still_come(
    where: Position, entry: Entry, offer: OfferView, mode: Mode
) -> bool:
    return entry.lowers or not offer.replaced


def nobody_is_raised_beside_a_peer_that_was_never_read(
    where: Position, entry: Entry, offer: OfferView, mode: Mode
) -> bool:
    """R15: unless a person chose to go on regardless."""
    unread = where.unlisted or any(
        each.shown is None and each.last_written is None and each.state is SlotState.BUYABLE
        for each in where.offers
    )
    holds = where.split and where.pool.unread_peer is UnreadPeer.HOLD
    return entry.lowers or not (unread and holds)


OF_EVERY_WRITE = (
    only_what_is_ours_is_written,
    no_number_out_of_nothing_known,
    no_blind_lower_from_an_old_reading,
    no_compare_with_a_number_known_to_have_moved,
    a_write_in_the_air_is_followed_only_by_a_deeper_lower,
    every_input_of_a_raise_is_fresh,
    every_feed_was_heard_before_a_raise,
    nothing_is_raised_over_a_write_that_may_still_come,
    nobody_is_raised_beside_a_peer_that_was_never_read,
)


@FEWER
@given(positions(), rails())
def test_no_write_is_sent_against_a_rule_of_knowing(where: Position, on: Rails) -> None:
    on = replace(on, stop=False, frozen=frozenset())
    for entry, offer in judged(where, on):
        if entry.verdict is Verdict.SEND:
            broken = [rule.__name__ for rule in OF_EVERY_WRITE if not rule(where, entry, offer, on.mode)]
            assert broken == []


@FEWER
@given(positions(sound=True), rails(Mode.AUTO), limits_of_any_size())
def test_what_orders_do_not_explain_stays_within_the_window_of_its_channel(
    where: Position, on: Rails, limits: Limits
) -> None:
    """I15, whatever the window has seen before and however many slots want to change."""
    on = replace(on, stop=False, frozen=frozenset(), envelopes=())
    sent = make_plan(replace(where, limits=limits), on).sends
    for name in {each.slot.channel for each in sent}:
        spent = on.spent.get(name)
        mine = [each for each in sent if each.slot.channel == name and each.unexplained]
        if mine:
            before = spent.units if spent else 0
            assert before + sum(each.unexplained for each in mine) <= limits.window_units
            assert (spent.slots if spent else 0) + len(mine) <= limits.window_slots
            zeros = sum(each.sold_out for each in mine)
            assert not zeros or (spent.zeros if spent else 0) + zeros <= limits.unexplained_zeros


@FEWER
@given(positions(sound=True), limits_of_any_size())
def test_guarded_lets_go_only_lowers_that_orders_explain(where: Position, limits: Limits) -> None:
    for entry, _ in judged(replace(where, limits=limits), Rails(Mode.GUARDED)):
        if entry.verdict is Verdict.SEND:
            assert entry.lowers
            assert entry.unexplained == 0


# Room, counted a second time: every component, every union of the location sets of those who take from it.


def left_in(where: Position, component: Sku, union: Locations, *, raising: bool) -> int:
    barred = where.excluded_of(component)
    here = [each for each in where.stock if each.sku == component and each.location in union - barred]
    inside = [each for each in where.claims if each.component == component and each.locations <= union]
    named = sum(each.units for each in inside if each.kind in ORDERED)
    firm = sum(each.units for each in inside if each.kind is not ClaimKind.BURIED)
    kept_back = sum(each.units for each in inside if each.kind is ClaimKind.BURIED)
    unseen = max(0, sum(each.allocated for each in here) - named)
    left = max(0, sum(max(0, each.on_hand - each.unavailable) for each in here) - firm - unseen)
    return max(0, left - kept_back) if raising else left


def shelves(where: Position) -> Iterator[tuple[Sku, Locations, list[tuple[SlotKey, int]]]]:
    """Each component and union, with what one sale of each listing inside takes there."""
    for component in sorted({name for each in where.offers for name, _ in each.uses}):
        users = {
            each.slot: (each.locations - where.excluded_of(component), each.use_of(component))
            for each in where.offers
            if each.use_of(component)
        }
        sets = sorted({locations for locations, _ in users.values()}, key=sorted)
        some = chain.from_iterable(combinations(sets, size) for size in range(1, len(sets) + 1))
        for union in sorted({frozenset().union(*each) for each in some}, key=sorted):
            yield component, union, [(s, use) for s, (locations, use) in users.items() if locations <= union]


@FEWER
@given(positions(split=True, sound=True))
def test_a_raise_stays_within_the_headroom_of_every_component_and_union(where: Position) -> None:
    """R1 and I3, bundles and packs included: min(desired, E + headroom) on the recorded inputs."""
    plan = make_plan(where, AUTO)
    shown = dict(estimated(where, {each.slot: each.ideal for each in plan.allocations}))
    for entry in plan.sends:
        if entry.lowers:
            continue
        room = min(
            (left_in(where, component, union, raising=True) - sum(use * shown[s] for s, use in inside))
            // dict(inside)[entry.slot]
            for component, union, inside in shelves(where)
            if entry.slot in dict(inside)
        )
        assert entry.target <= min(entry.desired, shown[entry.slot] + max(0, room))
        shown[entry.slot] = max(shown[entry.slot], entry.target)


@FEWER
@given(positions(split=True, sound=True), st.data())
def test_however_our_writes_arrive_no_union_is_shown_beyond_its_stock_by_them(
    where: Position, data: st.DataObject
) -> None:
    """I2 between any two writes: raises first, lowers late or never."""
    sent = list(make_plan(where, AUTO).sends)
    assume(sent)
    shown = {each.slot: each.shown or 0 for each in where.offers}
    kept = {
        (component, union): max(
            left_in(where, component, union, raising=False), sum(use * shown[s] for s, use in inside)
        )
        for component, union, inside in shelves(where)
    }
    for entry in data.draw(st.permutations(sent)):
        shown[entry.slot] = entry.target
        for component, union, inside in shelves(where):
            assert sum(use * shown[slot] for slot, use in inside) <= kept[component, union]


def sure(where: Position) -> Position:
    """The same with nothing kept back from raises: no sale unseen, no reading in doubt. These end by themselves."""
    return replace(where, claims=tuple(each for each in where.claims if each.kind not in KEPT_FROM_RAISES))


def at_rest(where: Position) -> Position:
    """Its plans carried out one after another, each read back at once."""
    for _ in range(12):
        written = {each.slot: each.target for each in make_plan(where, AUTO).sends}
        where = replace(
            where, offers=tuple(replace(o, read=written.get(o.slot, o.read)) for o in where.offers)
        )
    return where


@FEWER
@given(positions(split=True, sound=True))
def test_a_split_pool_comes_to_rest_and_hides_nothing(where: Position) -> None:
    """R18, I12, I13, I20: applied plan by plan it ends, nobody far from its share."""
    where = at_rest(sure(where))
    assert make_plan(where, AUTO).entries == ()
    for offer, each in zip(where.offers, allocate(where), strict=True):
        assert 4 * abs((offer.read or 0) - each.ideal) <= max(4, each.ideal)


@FEWER
@given(positions(split=True, sound=True))
def test_while_units_are_kept_back_from_raises_only_raises_wait(where: Position) -> None:
    """I13: for units that may be gone, or were never there, nothing is lowered and nothing goes to and fro."""
    waiting = make_plan(at_rest(where), AUTO).entries
    assert {(each.lowers, each.verdict) for each in waiting} <= {(False, Verdict.HOLD_HEADROOM)}


@FEWER
@given(positions(sound=True), st.sampled_from("xy"), st.integers(1, 40), places)
def test_what_may_have_sold_unseen_lowers_nothing_of_any_group(
    where: Position, sku: str, units: int, somewhere: Locations
) -> None:
    """R12 with bundles, packs, floors and caps."""
    plain = replace(where, claims=tuple(each for each in where.claims if each.kind is not ClaimKind.BURIED))
    blind = Claim(ClaimKind.BURIED, Sku(sku), units, somewhere)
    where = replace(plain, claims=(*plain.claims, blind))
    lowers = [
        {e.slot: (e.target, e.verdict) for e in make_plan(each, AUTO).entries if e.lowers}
        for each in (where, plain)
    ]
    assert lowers[0] == lowers[1]
