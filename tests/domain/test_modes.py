"""Mode net beside Extensiv's own push, stock nobody can count any more, and groups with too many location sets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.domain.allocation import native_number
from reconcilerd.domain.guards import Rails, Verdict
from reconcilerd.domain.names import Instant, LocationName, Sku
from reconcilerd.domain.plan import GroupPlan, make_plan
from reconcilerd.domain.policy import AfterDark, Ages, Limits, Mode
from reconcilerd.domain.position import ClaimKind, Position
from reconcilerd.domain.room import MAX_LOCATION_SETS, room_of
from reconcilerd.domain.survey import position_of, weather_of
from tests.domain.books import row, see, shop_book, swept
from tests.domain.builders import A, B, claim, offer, position
from tests.domain.builders import row as row_at

NET = Rails(Mode.NET)
WIDE = Limits(
    mode=Mode.NET, window_units=10**9, window_slots=10**6, unexplained_zeros=10**6, window_permille=10**6
)
small = st.integers(0, 30)


def pushed(
    shown: int, on_hand: int, *, in_flight: int = 0, committed: int = 0, split: bool = False
) -> Position:
    """Two listings that Extensiv pushes to; what it has committed it has also allocated."""
    claims = [claim(in_flight, ClaimKind.IN_FLIGHT), claim(committed, ClaimKind.COMMITTED)]
    offers = [replace(offer(name, shown=shown), pushed=True) for name in ("uk", "eu")]
    rows = [row_at(A, on_hand, allocated=min(on_hand, committed)), row_at(B, 0)]
    return position(offers, rows, claims, split=split, limits=WIDE, dead_band_permille=50)


@given(small, small, small, small, st.booleans())
def test_net_never_shows_more_than_extensiv_would_or_than_a_raise_may(
    shown: int, on_hand: int, in_flight: int, committed: int, split: bool
) -> None:
    where = pushed(shown, on_hand, in_flight=in_flight, committed=committed, split=split)
    room = room_of(where)
    for entry in make_plan(where, NET).sends:
        seen = next(each for each in where.offers if each.slot == entry.slot)
        native = native_number(where, seen)
        assert native == max(0, on_hand - committed)
        assert entry.target <= native
        if not entry.lowers:
            assert entry.target <= room.headroom(entry.slot, {}, raising=True)


@given(st.integers(1, 30), st.integers(1, 30))
def test_net_undoes_its_own_lower_once_the_unit_in_flight_is_cancelled(on_hand: int, in_flight: int) -> None:
    lowered = {
        e.slot.channel: e.target for e in make_plan(pushed(on_hand, on_hand, in_flight=in_flight), NET).sends
    }
    left = max(0, on_hand - in_flight)
    assert lowered == {"uk": left, "eu": left}
    back = {e.slot.channel: e.target for e in make_plan(pushed(left, on_hand), NET).sends}
    assert back == {"uk": on_hand, "eu": on_hand}


@pytest.mark.parametrize("mode", [Mode.AUTO, Mode.GUARDED])
def test_in_any_other_mode_a_pushed_listing_is_not_ours(mode: Mode) -> None:
    where = pushed(9, 5)
    where = replace(where, limits=replace(where.limits, mode=mode))
    assert {e.verdict for e in make_plan(where, Rails(mode)).entries} == {Verdict.HOLD_NATIVE_PUSH}


def dark(after: AfterDark, *, grace_ms: int = 100_000, since_ms: int) -> GroupPlan:
    """100 units of one SKU, last counted ``since_ms`` before its longest age and grace end."""
    book = shop_book(1_000)
    policy = replace(
        book.policy,
        ages=Ages(max_age_ms=50_000, dark_grace_ms=grace_ms),
        limits=replace(WIDE, mode=Mode.AUTO, after_dark=after, haircut_permille=300),
    )
    book.policy = policy
    for place in ("1", "2"):
        row(book, place, 50, 1_000)
    swept(book, "extensiv.stock", 1_000)
    now = 1_000 + 50_000 + grace_ms + since_ms
    for feed in ("extensiv.orders", "uk.orders", "uk.slots"):
        swept(book, feed, now)
    see(book, 100, now)
    return make_plan(position_of(book, Sku("a"), weather_of(book, Instant(now))), Rails(Mode.AUTO))


@pytest.mark.parametrize(
    ("after", "left"), [(AfterDark.KEEP, None), (AfterDark.HAIRCUT, 70), (AfterDark.DROP, 0)]
)
def test_dark_stock_is_offered_through_its_grace_and_then_as_policy_says(
    after: AfterDark, left: int | None
) -> None:
    assert [e.target for e in dark(after, since_ms=0).sends] == []
    assert [e.target for e in dark(after, since_ms=1).sends] == ([] if left is None else [left])


def test_where_there_are_too_many_location_sets_nothing_is_raised_and_lowers_still_go() -> None:
    names = [LocationName(f"w{number}") for number in range(MAX_LOCATION_SETS + 1)]
    rows = [row_at(name, 10) for name in names]
    listings = [
        offer(f"c{number}", shown=30 if number == 0 else 0, locations=frozenset({name}))
        for number, name in enumerate(names)
    ]
    verdicts = {
        (e.lowers, e.verdict)
        for e in make_plan(position(listings, rows, split=True, limits=WIDE), Rails(Mode.AUTO)).entries
    }
    assert verdicts == {(True, Verdict.SEND), (False, Verdict.HOLD_TOO_WIDE)}
    fewer = make_plan(position(listings[1:], rows[1:], split=True, limits=WIDE), Rails(Mode.AUTO))
    assert {e.verdict for e in fewer.entries} == {Verdict.SEND}
