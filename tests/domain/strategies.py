"""Arbitrary legal positions and rails for Hypothesis: whatever a decision may ever be asked about, in small numbers.

``positions()`` draws anything that can be; ``positions(sound=True)`` only what nothing but size and room can hold.
Fields that a later version adds stand at their defaults until somebody draws them here too.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Final, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st

from reconcilerd.domain.bundles import Uses
from reconcilerd.domain.facts import EnvelopeApproved, SlotState
from reconcilerd.domain.guards import Rails, Spent
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.policy import (
    BundleMode,
    Limits,
    MaxUnits,
    Mode,
    OfferRule,
    Percent,
    PoolMode,
    PoolRule,
    Publisher,
    UnreadPeer,
)
from reconcilerd.domain.position import Claim, ClaimKind, Locations, OfferView, Position, StockView
from reconcilerd.domain.quantities import MAX_UNITS, Rate
from tests.domain.builders import EVERYWHERE, NOW, A, B, offer, position, row

T = TypeVar("T")

FEWER: Final = settings(max_examples=max(20, settings.default.max_examples // 5))  # type: ignore[union-attr]
"""For what costs much to draw: a fifth of the examples of whichever profile is in force."""

CHANNELS: Final = ("eu", "jp", "uk", "us")
RECIPES: Final[Mapping[str, Uses]] = {
    "x": ((Sku("x"), 1),),
    "y": ((Sku("y"), 1),),
    "set": ((Sku("x"), 1), (Sku("y"), 2)),
    "three": ((Sku("x"), 3),),
}
"""What one unit of each SKU takes: two of their own, a bundle of both, and a bundle of one."""
WIDE: Final = Limits(
    window_units=10**12,
    window_slots=10**6,
    window_permille=10**9,
    unexplained_zeros=10**6,
    unexplained_fall_units=10**12,
)
"""Limits that hold nothing by size."""

places = st.sampled_from([frozenset({A}), frozenset({B}), EVERYWHERE])
small = st.integers(0, 40)
units = small | st.sampled_from([0, 1, MAX_UNITS])
rarely = st.sampled_from([False] * 9 + [True])
ages = st.sampled_from([0, 0, 0, 0, 3_000, 3_001, 10_001, 60_001, 90_001, 2_000_000])
"""Milliseconds since something was asked for; around every limit."""


def with_known(record: T, drawn: Mapping[str, Any]) -> T:
    """A copy with those of the drawn fields that the record has."""
    known = {each.name for each in fields(cast("Any", record))}
    return cast("T", replace(cast("Any", record), **{n: v for n, v in drawn.items() if n in known}))


@st.composite
def offer_rules(draw: st.DrawFn) -> OfferRule:
    rule = st.integers(0, 1000).map(Percent) | small.map(MaxUnits)
    cap = draw(st.none() | small)
    return OfferRule(
        normal=draw(rule),
        low_stock=draw(st.none() | rule),
        cap=cap,
        floor=draw(st.integers(0, 5 if cap is None else min(5, cap))),
        buffer=draw(st.integers(0, 3)),
        units_per_sale=draw(st.sampled_from([1, 1, 1, 2, 6])),
    )


@st.composite
def offers(draw: st.DrawFn, channel: str, sku: str, *, sound: bool) -> OfferView:
    rule = draw(offer_rules())
    shown = draw(small)
    uses = tuple((name, count * rule.units_per_sale) for name, count in RECIPES[sku])
    made = replace(
        offer(channel, shown=shown, uses=uses, sku=sku, locations=draw(places)),
        slot=SlotKey(ChannelName(channel), f"{sku} item", ""),
        rule=rule,
        rate=Rate(draw(st.sampled_from([0, 100, 60_000]))),
        last_written=draw(st.none() | small),
    )
    if sound:
        return made
    state = draw(st.sampled_from([SlotState.BUYABLE] * 8 + list(SlotState)))
    uncounted = state is SlotState.UNTRACKED or draw(rarely)
    age = draw(ages)
    drawn = {
        "rule": replace(rule, managed=not draw(rarely)),
        "state": state,
        "ambiguous": draw(rarely),
        "read": None if uncounted else draw(units),
        "age_of": Instant(NOW - age),
        "as_of": Instant(NOW - age - draw(st.sampled_from([0, 0, 5_000]))),
        "known_since": draw(st.sampled_from([0, 0, 0, 1, 50])),
        "write": draw(st.none() | st.none() | units),
        "replaced": draw(st.sampled_from([0, 0, 0, 7])),
        "code": draw(st.sampled_from([sku, sku, sku, ""])),
        "refused": draw(st.sampled_from([0, 0, 0, 2])),
        "not_before": Instant(NOW + 1 if draw(rarely) else 0),
        "suspect": draw(rarely),
        "surprise": draw(st.sampled_from([0, 0, 0, -3, 4])),
        "sells_past_zero": draw(rarely),
        "pushed": draw(rarely),
    }
    made = with_known(made, drawn)
    return replace(made, owed=draw(st.sampled_from([0, 0, 3])) if made.read == 0 else 0)


@st.composite
def claims(draw: st.DrawFn, components: list[str], number: int) -> Claim:
    kind = draw(st.sampled_from(ClaimKind))
    shipped = Instant(NOW - draw(st.sampled_from([0, 4_000, 60_000]))) if kind is ClaimKind.SHIPPED else None
    channel = ChannelName(draw(st.sampled_from(CHANNELS)))
    component = Sku(draw(st.sampled_from(components)))
    return Claim(kind, component, draw(st.integers(0, 9)), draw(places), channel, f"{number}", shipped)


@st.composite
def rows(draw: st.DrawFn, sku: str, place: str, *, sound: bool) -> StockView:
    on_hand = draw(small if sound else units)
    made = row(B if place == "B" else A, on_hand, sku)
    age = 0 if sound else draw(ages)
    return replace(
        made,
        unavailable=draw(st.sampled_from([0, 0, 3])),
        allocated=draw(st.integers(0, 5)),
        age_of=Instant(NOW - age),
        as_of=Instant(NOW - age),
    )


@st.composite
def positions(
    draw: st.DrawFn, *, split: bool | None = None, sound: bool = False, limits: Limits | None = None
) -> Position:
    """One pool group of one to four SKUs on one to four channels."""
    kinds = draw(st.sampled_from([["x"], ["x"], ["x", "three"], ["x", "y", "set"], list(RECIPES)]))
    names = draw(st.lists(st.sampled_from(CHANNELS), min_size=1, max_size=4, unique=True))
    pairs = [(name, sku) for name in names for sku in kinds]
    listed = draw(st.lists(st.sampled_from(pairs), min_size=1, max_size=5, unique=True))
    views = [draw(offers(channel, sku, sound=sound)) for channel, sku in listed]
    components = sorted({name for each in views for name, _ in each.uses})
    counted = components if sound else [each for each in components if not draw(rarely)]
    stock = [draw(rows(sku, place, sound=sound)) for sku in counted for place in ("A", "B")]
    taken = [draw(claims([str(each) for each in components], i)) for i in range(draw(st.integers(0, 4)))]
    is_split = draw(st.booleans()) if split is None else split
    where = position(
        views,
        stock,
        taken,
        split=is_split,
        min_level=draw(st.sampled_from([0, 0, 10])),
        limits=limits or WIDE,
    )
    pool = PoolRule(
        PoolMode.SPLIT if is_split and draw(st.booleans()) else PoolMode.SHARED,
        draw(st.sampled_from(BundleMode)),
        draw(st.sampled_from(UnreadPeer)),
        dead_band_permille=draw(st.sampled_from([0, 50])),
    )
    sold = tuple((Sku(each), draw(st.sampled_from([0, 0, 5, 100]))) for each in components)
    where = replace(where, pool=pool if is_split else replace(pool, mode=PoolMode.SHARED), sold=sold)
    return where if sound else draw(_weathered(where))


@st.composite
def _weathered(draw: st.DrawFn, where: Position) -> Position:
    """The same group while anything around it may be wrong."""
    channels = tuple(
        with_known(
            each,
            {
                "publisher": Publisher.EXTENSIV if draw(rarely) else Publisher.RECONCILERD,
                "through": None if draw(rarely) else Instant(NOW - draw(ages)),
                "swept": not draw(rarely),
                "dark": draw(rarely),
                "unmatched": draw(rarely),
                "compare_and_set": draw(st.booleans()),
                "slow_ms": draw(st.sampled_from([0, 220_000])),
            },
        )
        for each in where.channels
    )
    excluded: tuple[tuple[Sku, Locations], ...] = ((where.group, frozenset({B})),) if draw(rarely) else ()
    drawn = {
        "channels": channels,
        "excluded": excluded,
        "unlisted": (ChannelName(draw(st.sampled_from(CHANNELS))),) if draw(rarely) else (),
        "orders_known": not draw(rarely),
        "storm": draw(rarely),
        "stock_dark": draw(rarely),
        "limits": replace(where.limits, mode=draw(st.sampled_from(Mode))),
    }
    return with_known(where, drawn)


def limits_of_any_size() -> st.SearchStrategy[Limits]:
    """Windows so narrow that some plans meet them."""
    return st.builds(
        lambda slots, permille, least, units_, zeros, fall, deep: replace(
            WIDE,
            window_slots=slots,
            window_permille=permille,
            window_min_slots=least,
            window_units=units_,
            unexplained_zeros=zeros,
            unexplained_fall_units=fall,
            unexplained_fall_permille=deep,
        ),
        st.integers(0, 4),
        st.sampled_from([10, 300, 1000]),
        st.integers(0, 3),
        st.integers(0, 60),
        st.integers(0, 2),
        st.integers(0, 20),
        st.sampled_from([0, 500, 900]),
    )


@st.composite
def envelopes(draw: st.DrawFn) -> EnvelopeApproved:
    began = NOW + draw(st.sampled_from([-5_000, 0, 1]))
    skus = tuple(Sku(each) for each in draw(st.lists(st.sampled_from(list(RECIPES)), unique=True)))
    most = st.sampled_from([0, 10, MAX_UNITS])
    return EnvelopeApproved(
        f"e{draw(st.integers(0, 9))}",
        skus,
        draw(st.sampled_from(["lower", "raise", "both"])),
        draw(st.sampled_from([0, 10, MAX_UNITS])),
        "ops",
        "counted by hand",
        Instant(began),
        Instant(began + draw(st.sampled_from([1, 7_200_000]))),
        draw(st.booleans()),
        tuple((sku, draw(most), draw(most)) for sku in sorted(skus)) if draw(st.booleans()) else (),
    )


@st.composite
def rails(draw: st.DrawFn, mode: Mode | None = None) -> Rails:
    """A person's words and a window that has seen something already."""
    spent = {
        ChannelName(name): with_known(
            Spent(),
            {
                "slots": draw(st.integers(0, 5)),
                "units": draw(st.integers(0, 80)),
                "zeros": draw(st.integers(0, 3)),
                "listings": draw(st.sampled_from([1, 10, 1000])),
            },
        )
        for name in CHANNELS
    }
    made = Rails(draw(st.sampled_from(Mode)) if mode is None else mode)
    drawn = {
        "stop": draw(rarely),
        "frozen": frozenset({draw(st.sampled_from(["", *CHANNELS]))}) if draw(rarely) else frozenset(),
        "spent": spent if draw(st.booleans()) else {},
        "envelopes": tuple(draw(st.lists(envelopes(), max_size=2))),
    }
    return with_known(made, drawn)
