"""What an oracle says of the orders that a plan has counted: each takes its units once, and a finished one none."""

from dataclasses import replace

import pytest

from reconcilerd.domain.names import ChannelName, Instant, Sku, after
from reconcilerd.domain.position import Claim, ClaimKind
from reconcilerd.simulator.stores import Order
from reconcilerd.trial.oracle import Oracle
from reconcilerd.trial.stage import START
from tests.domain.builders import EVERYWHERE, A, offer, position, row
from tests.trial.test_excuses import LATER, UK, the_world
from tests.world.stage import policy


def found(*claims: Claim, read: Instant = LATER, cancelled: bool = False) -> list[str]:
    """What is found of so many claims on one SKU of which one unit was ordered. ``read``: when all orders were last."""
    world = the_world()
    began = {f"{UK}.orders": read, "extensiv.orders": read}
    order = world.place_order(UK, "1", [("A", 1)], after(START, 1_000))
    assert isinstance(order, Order)
    if cancelled:
        world.advance(after(START, 2_000))
        world.cancel(order, after(START, 3_000))
        world.advance(after(START, 4_000))
    told = position([offer("uk", sku="a", uses=((Sku("a"), 1),))], [row(A, 20, "a")])
    told = replace(told, sold=((Sku("a"), 0),), claims=claims)
    return [invariant for invariant, _ in Oracle(world, policy(split=True), began).conservation(told)]


def taken(kind: ClaimKind, about: str, units: int = 1) -> Claim:
    return Claim(kind, Sku("a"), units, EVERYWHERE, ChannelName(UK), about)


@pytest.mark.parametrize(
    ("read_ms", "units", "said"),
    [
        (0, 3, []),
        (0, 2, []),
        (0, 1, ["I6"]),
        (0, 4, ["I9"]),
        (1_000, 3, []),
        (1_000, 2, []),
        (1_001, 3, ["I9"]),
        (1_001, 2, []),
        (1_001, 1, ["I6"]),
    ],
)
def test_what_a_customer_took_off_counts_until_both_sides_must_have_been_heard_of_it(
    read_ms: int, units: int, said: list[str]
) -> None:
    """Three were ordered and imported, one is taken off; Extensiv hears of that at ``edited``."""
    world = the_world()
    order = world.place_order(UK, "1", [("A", 3)], after(START, 1_000))
    assert isinstance(order, Order)
    world.advance(after(START, 2_000))
    edited = after(START, 60_000)
    world.take_off(order, "A", 1, edited)
    world.advance(edited)
    assert order.ext_lines == [("A", 2)]
    began = {f"{UK}.orders": LATER, "extensiv.orders": after(edited, read_ms)}
    told = position([offer("uk", sku="a", uses=((Sku("a"), 1),))], [row(A, 20, "a")])
    claims = (taken(ClaimKind.COMMITTED, "1/1", units),)
    told = replace(told, sold=((Sku("a"), 0),), claims=claims)
    oracle = Oracle(world, policy(split=True), began)
    assert [invariant for invariant, _ in oracle.conservation(told)] == said


@pytest.mark.parametrize(("read_ms", "said"), [(2_000, []), (3_600_000, ["I9"])])
def test_what_was_taken_off_before_the_import_counts_until_that_must_have_come(
    read_ms: int, said: list[str]
) -> None:
    world = the_world(import_ms=(10**12, 10**12))
    order = world.place_order(UK, "1", [("A", 3)], after(START, 1_000))
    assert isinstance(order, Order)
    world.take_off(order, "A", 1, after(START, 2_000))
    began = {f"{UK}.orders": LATER, "extensiv.orders": after(START, 2_000 + read_ms)}
    told = position([offer("uk", sku="a", uses=((Sku("a"), 1),))], [row(A, 20, "a")])
    told = replace(told, sold=((Sku("a"), 0),), claims=(taken(ClaimKind.IN_FLIGHT, "1", 3),))
    oracle = Oracle(world, policy(split=True), began)
    assert [invariant for invariant, _ in oracle.conservation(told)] == said


SPLIT_AT, LEFT_AT = 60_000, 90_000
PROVEN = LEFT_AT + 2_000 + 1_800_000
"""Once a copy of the longest age was read after the second that the record may name."""


@pytest.mark.parametrize(
    ("read_ms", "left", "said"),
    [
        (SPLIT_AT + 1_000, (3, 2), []),
        (SPLIT_AT + 1_000, (5, 2), []),
        (SPLIT_AT + 1_000, (5, 3), ["I9"]),
        (SPLIT_AT + 1_001, (5, 2), ["I9"]),
        (SPLIT_AT + 1_001, (3, 2), []),
        (SPLIT_AT + 1_001, (3,), ["I6"]),
        (SPLIT_AT, (3,), ["I6"]),
        (PROVEN + 1, (3, 2), ["I9"]),
        (PROVEN + 0, (3, 2), []),
        (PROVEN + 1, (0, 2), []),
        (PROVEN + 1, (0, 1), ["I6"]),
    ],
)
def test_each_piece_of_an_order_counts_once_till_it_is_proven_gone(
    read_ms: int, left: tuple[int, ...], said: list[str]
) -> None:
    """Five were ordered, two are split off; three leave at ``LEFT_AT``."""
    world = the_world()
    order = world.place_order(UK, "1", [("A", 5)], after(START, 1_000))
    assert isinstance(order, Order)
    world.split_order(order, "A", 2, 1, after(START, SPLIT_AT))
    if read_ms > LEFT_AT:
        order.shipped, order.ext_status = after(START, LEFT_AT), "SHIPPED"
    read = after(START, read_ms)
    began = {f"{UK}.orders": LATER, "extensiv.orders": LATER, "extensiv.stock": read}
    if read_ms < LEFT_AT:
        began["extensiv.orders"] = read
    told = position([offer("uk", sku="a", uses=((Sku("a"), 1),))], [row(A, 20, "a")])
    claims = tuple(taken(ClaimKind.COMMITTED, f"1/{n}", units) for n, units in enumerate(left) if units)
    told = replace(told, sold=((Sku("a"), 0),), claims=claims)
    oracle = Oracle(world, policy(split=True), began)
    assert [invariant for invariant, _ in oracle.conservation(told)] == said


IN_FLIGHT = taken(ClaimKind.IN_FLIGHT, "1")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ((IN_FLIGHT,), []),
        ((IN_FLIGHT, taken(ClaimKind.COMMITTED, "1/1")), ["I9"]),
        ((IN_FLIGHT, taken(ClaimKind.IN_FLIGHT, "1 changed")), ["I9"]),
        ((IN_FLIGHT, taken(ClaimKind.UNHEARD, "1/1")), ["I9"]),
        ((taken(ClaimKind.SHIPPED, "1/1", 2),), ["I9"]),
        ((IN_FLIGHT, taken(ClaimKind.BURIED, "1")), []),
        ((), ["I6"]),
    ],
    ids=[
        "once",
        "on both sides",
        "as changed too",
        "unheard too",
        "too many",
        "beside what is buried",
        "never",
    ],
)
def test_an_open_order_that_was_read_takes_its_units_exactly_once(
    claims: tuple[Claim, ...], said: list[str]
) -> None:
    assert found(*claims) == said


def test_an_order_that_nobody_has_read_yet_need_take_nothing_but_takes_nothing_twice() -> None:
    assert found(read=START) == []
    assert found(IN_FLIGHT, IN_FLIGHT, read=START) == ["I9"]


def test_a_cancelled_order_takes_nothing_once_that_was_read() -> None:
    assert found(IN_FLIGHT, cancelled=True) == ["I6"]
    assert found(cancelled=True) == []
    assert found(IN_FLIGHT, read=after(START, 3_000), cancelled=True) == []
