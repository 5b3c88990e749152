"""What of a plan may change though it brings no news: nothing is looked at for no reason, and nothing is forgotten."""

from dataclasses import replace
from typing import Any

import pytest

from reconcilerd.daemon.awaited import MOVING, QUICK_MILLI, awaited, unread
from reconcilerd.daemon.desk import Awaits
from reconcilerd.domain.names import after
from reconcilerd.domain.plan import make_plan
from reconcilerd.domain.policy import PoolMode
from reconcilerd.domain.position import KEPT_FROM_RAISES, Claim, ClaimKind, OfferView, Position
from reconcilerd.domain.quantities import Rate
from tests.domain.builders import NOW, A, claim, offer, position, row
from tests.domain.test_several_places import AUTO

NOTHING, REREAD, STOCK, TIME = Awaits.NOTHING, Awaits.REREAD, Awaits.STOCK, Awaits.TIME


def told(where: Position) -> Awaits:
    return awaited(make_plan(where, AUTO))


def at_rest(*claims: Claim, split: bool = False, **more: Any) -> Position:
    """Two listings that show just what they should, however much of the stock is taken."""
    units = 10 + sum(each.units for each in claims if each.kind not in KEPT_FROM_RAISES)
    shown = 5 if split else 10
    offers = [replace(offer(name, shown=shown), **more) for name in ("uk", "eu")]
    return position(offers, [row(A, units)], claims, split=split)


def drifting(*, split: bool, mode: PoolMode) -> Position:
    where = position([offer("uk", shown=1), offer("eu", shown=5)], [row(A, 10)], split=split)
    return replace(where, pool=replace(where.pool, mode=mode))


def test_what_rests_awaits_nothing() -> None:
    assert told(at_rest()) == told(at_rest(split=True)) == NOTHING
    resting = at_rest(split=True)
    assert told(replace(resting, pool=replace(resting.pool, mode=PoolMode.ADAPTIVE))) == NOTHING


def test_what_drifts_awaits_readings_and_where_speed_decides_time() -> None:
    assert told(drifting(split=False, mode=PoolMode.SHARED)) == REREAD
    assert told(drifting(split=True, mode=PoolMode.SPLIT)) == REREAD
    assert told(drifting(split=False, mode=PoolMode.ADAPTIVE)) == REREAD, "it has more than it sells"
    assert told(drifting(split=True, mode=PoolMode.ADAPTIVE)) == REREAD | TIME


@pytest.mark.parametrize("more", [{"write": 10}, {"replaced": 9}, {"suspect": True}])
def test_what_is_written_or_under_suspicion_awaits_readings(more: dict[str, Any]) -> None:
    where = at_rest(**more)
    assert not make_plan(where, AUTO).drifts
    assert told(where) == REREAD


@pytest.mark.parametrize("kind", ClaimKind)
def test_claims_await_what_ends_them(kind: ClaimKind) -> None:
    held = claim(2, kind, where=frozenset({A}))
    expected = {ClaimKind.SHIPPED: REREAD | STOCK}.get(kind, REREAD if kind in MOVING else NOTHING)
    where = at_rest(held)
    assert not make_plan(where, AUTO).drifts
    assert told(where) == expected
    assert told(at_rest(replace(held, until=after(NOW, 1)))) == expected | TIME
    assert told(at_rest(replace(held, waived=1))) == expected | TIME


def dark(where: Position, channel: str) -> Position:
    channels = (replace(each, dark=each.name == channel) for each in where.channels)
    return replace(where, channels=tuple(channels))


def quick(each: OfferView, milli: int) -> OfferView:
    return replace(each, rate=Rate(milli))


@pytest.mark.parametrize(
    ("milli", "of", "split", "expected"),
    [
        (QUICK_MILLI, "uk", False, TIME),
        (QUICK_MILLI - 1, "uk", False, NOTHING),
        (QUICK_MILLI, "eu", False, NOTHING),
        (QUICK_MILLI, "uk", True, NOTHING),
    ],
)
def test_where_nobody_can_look_what_sells_quickly_of_a_shared_pool_awaits_time(
    milli: int, of: str, split: bool, expected: Awaits
) -> None:
    where = at_rest(split=split)
    fast = tuple(quick(each, milli) if each.slot.channel == of else each for each in where.offers)
    assert told(replace(where, offers=fast)) == NOTHING, "it is read"
    assert told(dark(replace(where, offers=fast), "uk")) == expected


def test_who_was_never_read_is_told_apart() -> None:
    assert not unread(make_plan(at_rest(), AUTO))
    assert unread(make_plan(position([offer("uk", shown=0)], []), AUTO))
