"""What is checked at rest: a start stands where the daemon stood, but for what no ledger tells, and nothing is left."""

from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from reconcilerd.daemon.audit import _beyond_rails, audit_rest, rebuilt
from reconcilerd.domain.change import Spent
from reconcilerd.domain.facts import (
    EXTENSIV,
    CorrectionPlanned,
    CorrectionSent,
    Fact,
    OrderLine,
    OrderStatus,
    Outcome,
)
from reconcilerd.domain.feeds import EXTENSIV_ORDERS, STOCK_FEED, slots_feed
from reconcilerd.domain.invariants import Violation, breach_of
from reconcilerd.domain.names import ChannelName, Instant, LocationName, Sku
from reconcilerd.domain.policy import Limits
from reconcilerd.domain.suspicion import trip
from reconcilerd.simulator.truth import WorldConfig
from tests.domain.books import order
from tests.domain.test_suspicion import MINUTE, NEXT, listings, products, read, shop, slots, stock, swept
from tests.world.stage import Stage, play, policy, small_world

NOW = Instant(NEXT + 1)


def broken(told: int, kept: int, shown: int = 50) -> list[str]:
    """A running daemon reads so many of each SKU where there were 50, and its ledger holds another number.

    ``shown``: what the ledger holds of what the channel shows, which are 50 of each.

    It sold 20 of one of them: placed long ago, and heard of just now.
    """
    book = shop(window_ms=MINUTE)
    book.take(swept(EXTENSIV_ORDERS, NEXT, 0))
    late = order(EXTENSIV, OrderStatus.SHIPPED, NEXT, placed=NEXT - 2 * MINUTE, place="1")
    late = replace(late, lines=(OrderLine("s01", 20),))
    book.take(late)
    found = read(book, STOCK_FEED, NEXT, stock(told, NEXT))
    doubt = trip(found, book, STOCK_FEED, NOW) if found else []
    state: list[Fact] = [*products(), *listings(), *slots(shown, NEXT), *doubt, late, *stock(kept, NEXT)]
    return [each.invariant for each in rebuilt(book, state, NOW)]


@pytest.mark.parametrize(("told", "kept", "said"), [(50, 50, False), (50, 49, True), (30, 30, False)])
def test_a_start_gives_other_shares_only_where_a_row_is_doubted(told: int, kept: int, said: bool) -> None:
    """Of what a doubtful row said before, what was sold lately is taken off, by when it was heard of."""
    assert set(broken(told, kept)) == ({"I6"} if said else set())


def test_a_start_that_knows_another_number_of_a_listing_is_found() -> None:
    assert broken(50, 50, shown=50) == []
    assert set(broken(50, 50, shown=49)) == {"I6"}


@pytest.mark.parametrize("more", [(), ("written",)])
def test_a_start_that_forgot_a_write_under_way_is_found(more: tuple[str, ...]) -> None:
    """One that will show nothing else than what is shown moves no share, and may still be on its way."""
    book, at = shop(), Instant(NEXT)
    one = slots(50, NEXT)[0].slot
    planned = [
        CorrectionPlanned(each, one, "s01", 50, at, 50, "lag", "share", at) for each in ("kept", *more)
    ]
    sent = [CorrectionSent(each.id, one, Outcome.UNKNOWN, "", at, at) for each in planned]
    state: list[Fact] = [*products(), *listings(), *slots(50, NEXT), *stock(50, NEXT)]
    for fact in [*state, *planned, *sent]:
        book.take(fact)
    found = list(rebuilt(book, [*state, planned[0], sent[0]], NOW))
    assert [each.what.split(":")[0] for each in found] == [one.path] * len(more)


UK = ChannelName("shop-uk")


def news_that_waits(stage: Stage) -> None:
    stage.built.daemon.desk.mark([Sku("a")])


def on_the_shelf(stage: Stage, units: int) -> None:
    """Seventy-five lay there, as the ledger says, and no plan has looked at it since."""
    track = stage.built.daemon.desk.book.stock[Sku("a"), LocationName("1")]
    assert track.row.on_hand == 75
    track.row = replace(track.row, on_hand=units)


def a_breach(stage: Stage) -> None:
    found = [Violation("I2", stage.clock(), "raising shows more than there is")]
    stage.built.daemon.desk.book.take(breach_of("b", "a", found, {}, stage.clock()))


def a_window_overdrawn(stage: Stage) -> None:
    """By what went out when the listings were first raised."""
    book = stage.built.daemon.desk.book
    book.policy = replace(book.policy, limits=replace(book.policy.limits, window_slots=1))


def a_channel_that_nobody_reads(stage: Stage) -> None:
    del stage.built.daemon.desk.book.sweeps[slots_feed(UK)]


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda _: None, set()),
        (news_that_waits, {"I8"}),
        (lambda stage: on_the_shelf(stage, 40), {"I6", "I13"}),
        (lambda stage: on_the_shelf(stage, 150), {"I6", "I20"}),
        (a_breach, {"I2"}),
        (a_window_overdrawn, {"I15"}),
        (a_channel_that_nobody_reads, {"I16"}),
    ],
    ids=[
        "nothing",
        "news that waits",
        "too much shown",
        "hidden",
        "a breach",
        "a full window",
        "a dark channel",
    ],
)
def test_whatever_is_left_or_broken_at_rest_is_found(spoil: Callable[[Stage], None], named: set[str]) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(600)
        spoil(stage)
        found = audit_rest(stage.built.daemon, stage.journal.facts)
        assert {each.invariant for each in found} == named, found

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


LIMITS = Limits(window_slots=4, window_units=9, unexplained_zeros=2)


@pytest.mark.parametrize(
    ("spent", "found"),
    [
        (Spent(slots=4, units=9, zeros=2), 0),
        (Spent(slots=5), 1),
        (Spent(units=10), 1),
        (Spent(zeros=3), 1),
    ],
)
def test_a_window_beyond_any_of_its_limits_is_found(spent: Spent, found: int) -> None:
    assert [each.invariant for each in _beyond_rails({UK: spent}, LIMITS, NOW)] == ["I15"] * found
