"""Each guard: the change it holds, and the nearest one that it lets go."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.facts import EnvelopeApproved, Limit, SlotState
from reconcilerd.domain.guards import MEANS, NEEDS_A_PERSON, STALE, Change, Rails, Spent, Verdict, judge
from reconcilerd.domain.names import ChannelName, Instant, Sku, after
from reconcilerd.domain.policy import Limits, Mode, Publisher, UnreadPeer
from reconcilerd.domain.position import ClaimKind, Position
from tests.domain.builders import NOW, A, claim, offer, position, row

UK = ChannelName("uk")
LIMITS = Limits(
    window_slots=4,
    window_min_slots=2,
    window_permille=500,
    window_units=100,
    unexplained_zeros=2,
    unexplained_fall_units=20,
    unexplained_fall_permille=900,
)


def where(stock: int = 50, **seen: object) -> Position:
    """One listing, read just now, on a shelf of a split pool."""
    listing = replace(offer("uk", shown=30), **seen)  # type: ignore[arg-type]
    return position([listing, offer("eu", shown=0)], [row(A, stock)], limits=LIMITS, split=True)


def change(target: int, at: Position | None = None, *, sold_out: bool = False) -> Change:
    at = at or where()
    seen = next(each for each in at.offers if each.slot.channel == UK)
    assert seen.current is not None
    return Change(at, seen, seen.current, target, sold_out)


def rails(**more: object) -> Rails:
    return replace(Rails(Mode.AUTO), **more)  # type: ignore[arg-type]


def spent(**more: int) -> Rails:
    return rails(spent={UK: replace(Spent(listings=100), **more)})


def on_channel(at: Position, name: str = "", **more: object) -> Position:
    """The same, with one channel (or all) seen otherwise."""
    channels = tuple(replace(c, **more) if name in {"", c.name} else c for c in at.channels)  # type: ignore[arg-type]
    return replace(at, channels=channels)


def test_nothing_holds_a_sound_change() -> None:
    assert judge(change(31), rails()) is Verdict.SEND
    assert judge(change(29), rails()) is Verdict.SEND


@pytest.mark.parametrize("target", [29, 31])
@pytest.mark.parametrize(
    ("held", "verdict", "goes"),
    [
        (rails(stop=True), Verdict.HOLD_STOP_FILE, rails(stop=False)),
        (rails(frozen=frozenset({"uk"})), Verdict.HOLD_FROZEN, rails(frozen=frozenset({"eu"}))),
        (rails(frozen=frozenset({""})), Verdict.HOLD_FROZEN, rails()),
        (rails(mode=Mode.OBSERVE), Verdict.HOLD_MODE, rails()),
        (rails(mode=Mode.GUARDED), Verdict.HOLD_APPROVAL, rails()),
        (spent(slots=4), Verdict.HOLD_WINDOW_SLOTS, spent(slots=3)),
        (spent(slots=2, listings=5), Verdict.HOLD_WINDOW_SHARE, spent(slots=2, listings=6)),
        (spent(slots=1, listings=1), Verdict.SEND, rails()),
        (spent(units=100), Verdict.HOLD_WINDOW_UNITS, spent(units=99)),
    ],
    ids=lambda each: str(each) if isinstance(each, Verdict) else "",
)
def test_a_persons_word_and_the_window_hold_in_both_directions(
    held: Rails, verdict: Verdict, goes: Rails, target: int
) -> None:
    assert judge(change(target), held) is verdict
    assert judge(change(target), goes) is Verdict.SEND


@pytest.mark.parametrize("target", [29, 31])
@pytest.mark.parametrize(
    ("at", "verdict"),
    [
        (where(ambiguous=True), Verdict.HOLD_AMBIGUOUS),
        (where(rule=replace(offer("uk").rule, managed=False)), Verdict.HOLD_NOT_OURS),
        (where(pushed=True), Verdict.HOLD_NATIVE_PUSH),
        (on_channel(where(), publisher=Publisher.EXTENSIV), Verdict.HOLD_NATIVE_PUSH),
        (where(state=SlotState.UNTRACKED), Verdict.HOLD_UNTRACKED),
        (where(state=SlotState.INACTIVE), Verdict.HOLD_SLOT_OFF),
        (where(state=SlotState.NOT_ONLINE), Verdict.HOLD_SLOT_OFF),
        (where(state=SlotState.UNPUBLISHED), Verdict.HOLD_SLOT_OFF),
        (replace(where(), unknown=(Sku("x"),)), Verdict.HOLD_UNKNOWN),
        (where(suspect=True), Verdict.HOLD_REREAD),
        (where(known_since=1), Verdict.HOLD_REREAD),
        (where(not_before=Instant(NOW + 1)), Verdict.HOLD_REFUSED),
    ],
)
def test_a_slot_that_is_not_ours_or_not_known_is_held_in_both_directions(
    at: Position, verdict: Verdict, target: int
) -> None:
    assert judge(change(target, at), rails()) is verdict


RAISES: list[tuple[Callable[[Position], Position], Verdict]] = [
    (lambda at: replace(at, orders_known=False), Verdict.HOLD_FIRST_RUN),
    (lambda at: on_channel(at, swept=False), Verdict.HOLD_FIRST_RUN),
    (lambda at: on_channel(at, through=None), Verdict.HOLD_FIRST_RUN),
    (lambda at: replace(at, storm=True), Verdict.HOLD_STORM),
    (lambda at: replace(at, stock_dark=True), Verdict.HOLD_DARK),
    (lambda at: on_channel(at, dark=True), Verdict.HOLD_DARK),
    (lambda at: on_channel(at, unmatched=True), Verdict.HOLD_UNMATCHED),
    (lambda at: replace(at, unlisted=(UK,)), Verdict.HOLD_PEER_UNREAD),
    (lambda at: aged(at, 60_001, "stock"), Verdict.HOLD_STOCK_STALE),
    (lambda at: aged(at, 10_001, "uk"), Verdict.HOLD_OWN_STALE),
    (lambda at: aged(at, 90_001, "eu"), Verdict.HOLD_PEER_STALE),
    (lambda at: with_offer(at, "eu", suspect=True), Verdict.HOLD_PEER_STALE),
    (lambda at: with_offer(at, "eu", only_answered=True), Verdict.HOLD_PEER_STALE),
    (lambda at: with_offer(at, replaced=1), Verdict.HOLD_PENDING),
    (lambda at: on_channel(at, "eu", through=None), Verdict.HOLD_FIRST_RUN),
]


def with_offer(at: Position, channel: str = UK, **seen: object) -> Position:
    """The same, with one listing seen otherwise."""
    return replace(
        at,
        offers=tuple(
            replace(each, **seen) if each.slot.channel == channel else each  # type: ignore[arg-type]
            for each in at.offers
        ),
    )


def aged(at: Position, ms: int, what: str) -> Position:
    """The same, with one input asked for that long ago."""
    then = after(NOW, -ms)
    return replace(
        at,
        stock=tuple(replace(r, age_of=then) if what == "stock" else r for r in at.stock),
        offers=tuple(replace(o, age_of=then) if o.slot.channel == what else o for o in at.offers),
    )


@pytest.mark.parametrize(("spoil", "verdict"), RAISES)
def test_what_is_not_known_well_enough_holds_raises_and_no_lower(
    spoil: Callable[[Position], Position], verdict: Verdict
) -> None:
    at = spoil(where())
    assert judge(change(31, at), rails()) is verdict
    assert judge(change(29, at), rails()) is Verdict.SEND


@pytest.mark.parametrize(("ms", "what"), [(60_000, "stock"), (10_000, "uk"), (90_000, "eu")])
def test_an_input_just_fresh_enough_holds_nothing(ms: int, what: str) -> None:
    assert judge(change(31, aged(where(), ms, what)), rails()) is Verdict.SEND


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(where(not_before=NOW), id="its rest is over"),
        pytest.param(on_channel(where(), "eu", through=None, dark=True), id="a dark channel tells nothing"),
        pytest.param(with_offer(where(), "eu", read=None, last_written=3), id="what was last written there"),
        pytest.param(
            with_offer(where(), "eu", read=None, state=SlotState.UNPUBLISHED), id="nobody can buy it there"
        ),
        pytest.param(
            replace(where(), stock=(row(A, 50), replace(row(A, 5, "y"), age_of=Instant(0)))),
            id="old stock of what it is not made of",
        ),
    ],
)
def test_what_nobody_can_or_need_wait_for_holds_nothing(at: Position) -> None:
    assert judge(change(31, at), rails()) is Verdict.SEND


def test_a_peer_never_read_holds_raises_unless_its_pool_is_told_to_go_on_regardless() -> None:
    unread = with_offer(where(), "eu", read=None)
    assert judge(change(31, unread), rails()) is Verdict.HOLD_PEER_UNREAD
    ignored = replace(unread, pool=replace(unread.pool, unread_peer=UnreadPeer.IGNORE))
    assert judge(change(31, ignored), rails()) is Verdict.SEND
    assert judge(change(31, replace(unread, split=False)), rails()) is Verdict.SEND, "each may show all of it"


def test_a_pinned_number_stays_unless_it_shows_more_than_there_is() -> None:
    pinned = rails(pinned=frozenset({change(29).offer.slot}))
    for target in (29, 31):
        assert judge(change(target), pinned) is Verdict.HOLD_PINNED
    assert judge(replace(change(29), cures=True), pinned) is Verdict.SEND


def test_a_bundle_of_which_one_part_was_never_counted_is_held() -> None:
    bundle = with_offer(where(), uses=((Sku("x"), 1), (Sku("y"), 1)))
    assert judge(change(29, replace(bundle, unknown=(Sku("y"),))), rails()) is Verdict.HOLD_UNKNOWN


def test_a_deep_fall_waits_for_a_person_unless_orders_explain_it() -> None:
    assert judge(change(2), rails()) is Verdict.HOLD_UNEXPLAINED
    assert judge(change(3), rails()) is Verdict.SEND, "27 of 30 is not above nine tenths"
    at = where()
    sold = replace(at, sold=((Sku("x"), 28),))
    assert judge(change(2, sold), rails()) is Verdict.SEND
    old = replace(at, claims=(claim(28, ClaimKind.COMMITTED),))
    assert judge(change(2, old), rails()) is Verdict.HOLD_UNEXPLAINED, (
        "what is shown was less for it all along"
    )
    some = replace(at, claims=(claim(7, ClaimKind.INFERRED),))
    assert judge(change(2, some), rails()) is Verdict.SEND, "21 unexplained are deep no more"


def test_orders_and_what_is_inferred_explain_a_fall_together_and_what_is_unsettled_does_not() -> None:
    some = replace(where(), sold=((Sku("x"), 5),), claims=(claim(3, ClaimKind.INFERRED),))
    assert change(20, some).unexplained == 2
    large = replace(some, claims=(*some.claims, claim(9, ClaimKind.UNSETTLED)))
    assert change(20, large).unexplained == 2, "no order is known for it, and it is no likely sale"


def test_a_bundle_falls_by_what_sold_of_its_scarcest_part() -> None:
    bundle = with_offer(where(), uses=((Sku("x"), 1), (Sku("y"), 2)))
    sold = replace(bundle, sold=((Sku("x"), 4), (Sku("y"), 16)))
    for y, unexplained in ((99, 2), (100, 2), (101, 2), (102, 6)):
        there = replace(sold, stock=(row(A, 50), row(A, y, "y")))
        assert change(20, there).unexplained == unexplained, "of both where there is as much of both"


def test_a_window_is_spent_by_what_orders_do_not_explain_alone() -> None:
    sold = with_offer(replace(where(), sold=((Sku("x"), 4),)), price=100)
    assert rails().after(change(20, sold)).spent[UK] == Spent(slots=1, units=6, value=600)
    assert rails().after(change(26, sold)) == rails(), "all of it is explained"


def test_unexplained_zeros_are_counted_apart() -> None:
    low = where(read=9)
    assert judge(change(0, low, sold_out=True), spent(zeros=2)) is Verdict.HOLD_ZEROS
    assert judge(change(0, low, sold_out=True), spent(zeros=1)) is Verdict.SEND
    assert judge(change(0, low), spent(zeros=2)) is Verdict.SEND, "a small share of something is no zero"


def test_guarded_lets_go_only_lowers_that_orders_explain() -> None:
    sold = replace(where(), sold=((Sku("x"), 5),))
    guarded = rails(mode=Mode.GUARDED)
    assert judge(change(25, sold), guarded) is Verdict.SEND
    assert judge(change(24, sold), guarded) is Verdict.HOLD_APPROVAL
    assert judge(change(31, sold), guarded) is Verdict.HOLD_APPROVAL


def test_an_open_write_holds_all_but_a_deeper_lower() -> None:
    assert judge(change(40, where(write=35)), rails()) is Verdict.HOLD_PENDING
    assert judge(change(34, where(write=35)), rails()) is Verdict.SEND


@pytest.mark.parametrize(
    ("changed", "released"),
    [
        ({}, True),
        ({"skus": (Sku("y"),)}, False),
        ({"direction": "raise"}, False),
        ({"direction": "both"}, True),
        ({"ceiling": 27}, False),
        ({"until": NOW}, False),
        ({"at": Instant(NOW + 1)}, False),
    ],
)
def test_an_envelope_releases_what_it_names_and_nothing_else(
    changed: dict[str, object], released: bool
) -> None:
    until = Instant(NOW + 1)
    envelope = EnvelopeApproved("e", (Sku("x"),), "lower", 28, "ops", "counted by hand", NOW, until)
    approved = rails(envelopes=(replace(envelope, **changed),))  # type: ignore[arg-type]
    assert (judge(change(2), approved) is Verdict.SEND) is released
    assert judge(change(2), replace(approved, stop=True)) is Verdict.HOLD_STOP_FILE


@pytest.mark.parametrize("held", [rails(mode=Mode.GUARDED), spent(slots=4), spent(units=100)])
@pytest.mark.parametrize("old", ["own", "peer", "stock"])
def test_a_raise_that_waits_for_a_person_is_read_anew_once_he_has_agreed_and_not_before(
    held: Rails, old: str
) -> None:
    at = where()
    long_ago, first, second = Instant(0), at.offers[0], at.offers[1]
    at = {
        "own": replace(at, offers=(replace(first, age_of=long_ago), second)),
        "peer": replace(at, offers=(first, replace(second, age_of=long_ago))),
        "stock": replace(at, stock=tuple(replace(each, age_of=long_ago) for each in at.stock)),
    }[old]
    stale = judge(change(31, at), rails())
    assert stale in STALE
    assert judge(change(31, at), held) in NEEDS_A_PERSON
    agreed = EnvelopeApproved("e", (Sku("x"),), "raise", 1, "ops", "counted by hand", NOW, Instant(NOW + 1))
    assert judge(change(31, at), replace(held, envelopes=(agreed,))) is stale


@pytest.mark.parametrize(
    ("limits", "released"),
    [
        ((), True),
        (((Sku("x"), 28, 0),), True),
        (((Sku("x"), 27, 573),), False),
        (((Sku("a"), 573, 0), (Sku("x"), 28, 0), (Sku("z"), 573, 0)), True),
        (((Sku("a"), 573, 0), (Sku("x"), 27, 0), (Sku("z"), 573, 0)), False),
        (((Sku("x"), 0, 573),), False),
        (((Sku("a"), 573, 573), (Sku("z"), 573, 573)), False),
    ],
)
def test_an_approval_of_many_skus_lets_each_go_as_far_as_its_own_limits_and_no_further(
    limits: tuple[Limit, ...], released: bool
) -> None:
    """One that falls by hundreds says nothing of the others; without limits, as once, one ceiling is of all."""
    skus = (Sku("a"), Sku("x"), Sku("z"))
    envelope = EnvelopeApproved(
        "e", skus, "both", 573, "ops", "counted by hand", NOW, Instant(NOW + 1), limits=limits
    )
    assert (judge(change(2), rails(envelopes=(envelope,))) is Verdict.SEND) is released


@given(
    st.dictionaries(st.sampled_from("abcd").map(Sku), st.tuples(st.integers(0, 9), st.integers(0, 9))),
    st.sampled_from("abcde").map(Sku),
)
def test_limits_are_of_each_sku_and_way(limits: dict[Sku, tuple[int, int]], asked: Sku) -> None:
    """Nobody lets a SKU go by naming another, nor up by naming how far down."""
    told = tuple(sorted((sku, *both) for sku, both in limits.items()))
    envelope = EnvelopeApproved("e", tuple(limits), "both", 9, "ops", "x", NOW, Instant(NOW + 1), limits=told)
    lower, rise = limits.get(asked, (0, 0))
    if limits:
        assert envelope.most(asked, "lower") == (lower or None)
        assert envelope.most(asked, "raise") == (rise or None)


def test_who_agreed_to_no_zeros_agreed_to_no_share_of_nothing_either() -> None:
    until = Instant(NOW + 1)
    envelope = EnvelopeApproved(
        "e", (Sku("x"),), "lower", 30, "ops", "counted by hand", NOW, until, zeros=False
    )
    assert judge(change(0), rails(envelopes=(envelope,))) is Verdict.HOLD_UNEXPLAINED, "there is stock left"
    assert judge(change(0), rails(envelopes=(replace(envelope, zeros=True),))) is Verdict.SEND


def test_every_verdict_says_what_it_means() -> None:
    assert set(MEANS) == set(Verdict)
    assert all(len(text) <= 80 for text in MEANS.values())
