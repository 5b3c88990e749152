"""What nobody can need again, and what looks like it and is needed."""

from collections import defaultdict
from dataclasses import replace
from itertools import count

from reconcilerd.domain.bygone import bygone, ended_orders
from reconcilerd.domain.facts import (
    EXTENSIV,
    AlertChanged,
    AlertStage,
    AlertTold,
    ConsentGiven,
    EnvelopeApproved,
    FindingKind,
    FindingRaised,
    FreezeSet,
    OrderLine,
    OrderObserved,
    OrderStatus,
    RailLatched,
    SilenceSet,
    Transition,
)
from reconcilerd.domain.names import ChannelName, Instant, OrderKey, Sku
from reconcilerd.domain.orders import LINES_KEPT
from reconcilerd.domain.quantities import Rate
from tests.domain.books import UK, order, position_at, shop_book

NOW = Instant(100)
LATE = Instant(1_000)


def test_an_alert_goes_with_all_that_was_told_of_it_or_not_at_all() -> None:
    key = "reconcilerd/bug/a"
    over = AlertChanged(
        key, False, "critical", "x", Instant(5), AlertStage.RESOLVED, 4, Instant(1), Instant(2)
    )
    told = AlertTold("slack", key, Instant(5), Instant(6), 4, Transition.RESOLVED)
    page = AlertTold("pagerduty", key, Instant(2), Instant(3), 4, Transition.FIRED)
    assert bygone([told, over], [], NOW) == [over, told]
    assert bygone([over, told, page], [], NOW) == [], "a page is open still"
    assert bygone([over], [told], NOW) == []
    assert bygone([over, told], [], Instant(6)) == []
    assert bygone([told], [], NOW) == []
    open_ = AlertChanged(key, True, "critical", "x", Instant(5), AlertStage.FIRING, 4, Instant(1), Instant(2))
    assert bygone([open_], [], NOW) == []


def test_what_still_holds_or_says_what_is_a_measure_stays() -> None:
    ended = RailLatched("quarantine:uk/1=0", True, "us", "so", Instant(1), "", Instant(9))
    assert bygone([ended], [], Instant(9)) == [ended]
    assert bygone([ended], [], Instant(8)) == []
    lifted = RailLatched("all-changed:uk.slots", False, "ops", "so", Instant(1))
    assert bygone([lifted], [], NOW) == []
    silence = SilenceSet("s", True, "*", "*", "ops", "so", Instant(1), None)
    assert bygone([silence], [], NOW) == []
    assert bygone([replace(silence, until=Instant(9))], [], NOW) != []
    assert bygone([FreezeSet("", False, "ops", "so", Instant(1))], [], NOW) == [], "it is of no such kind"


def test_approvals_go_once_they_ended() -> None:
    skus = (Sku("a"),)
    envelope = EnvelopeApproved("e", skus, "both", 9, "ops", "so", Instant(1), Instant(9))
    consent = ConsentGiven("c", ChannelName("uk"), skus, "both", 9, (), "ops", "so", Instant(1), Instant(9))
    assert bygone([envelope, consent], [], Instant(9)) == [envelope, consent]
    assert bygone([envelope, consent], [], Instant(8)) == []
    half = replace(consent, id="e", until=Instant(99))
    assert bygone([envelope, half], [], Instant(9)) == [], "it would wait for a second person again"
    assert bygone([envelope], [half], Instant(9)) == []


def test_a_finding_goes_once_it_is_cleared() -> None:
    found = FindingRaised(FindingKind.UNMAPPED_SKU, "uk:x", "x", Instant(9))
    assert bygone([found], [], NOW) == []
    cleared = replace(found, cleared=True)
    assert bygone([cleared], [], NOW) == [cleared]
    assert bygone([cleared], [], Instant(9)) == []


def test_the_newest_orders_of_a_channel_and_the_last_that_names_a_sku_stay() -> None:
    numbers = count()
    told = [
        order("uk", OrderStatus.SHIPPED, at, number=str(next(numbers))) for at in range(1, LINES_KEPT + 4)
    ]
    named = [
        replace(
            order(EXTENSIV, OrderStatus.SHIPPED, at, number=number),
            lines=(OrderLine("a", 1, Sku("a")),),
        )
        for at, number in ((1, "x"), (2, "y"))
    ]
    assert set(ended_orders([*told, *named], LATE)) == {OrderKey(UK, each) for each in ("0", "1", "2", "x")}


def test_a_book_without_them_plans_the_same() -> None:
    """A business of a year, of which the last days count."""
    day = 86_400_000
    told: list[OrderObserved] = []
    for number in range(400):
        placed, code = number * day, str(number)
        told.append(order("uk", OrderStatus.SHIPPED, placed + day, placed=placed, number=code))
        told.append(order(EXTENSIV, OrderStatus.SHIPPED, placed + day, placed=placed, number=code))
    now = 400 * day
    gone = ended_orders(told, Instant(now - 90 * day))
    assert len(gone) == 400 - LINES_KEPT
    plans = []
    for facts in (told, [each for each in told if each.key not in gone]):
        book = shop_book(now)
        book.load(facts, Instant(now))
        found = position_at(book, now)
        speed = book.rate(UK, "a", Instant(now), Rate(0))
        plans.append((found, book.orders.large_line(UK), book.orders.named, speed))
    assert plans[0] == plans[1]


def test_every_side_counts_however_many_there_are() -> None:
    by_key = defaultdict(list)
    for part in ("", "7", "8"):
        side = replace(order(EXTENSIV, OrderStatus.SHIPPED, 5), part=part)
        by_key[side.key].append(side)
    [(key, found)] = by_key.items()
    assert ended_orders(found, LATE) == {key: {each.about for each in found}}
