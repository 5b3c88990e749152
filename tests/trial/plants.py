"""Daemons that break one invariant each, on purpose: what is wrong with each, and the business in which it shows.

A plant changes the daemon in one place, as a bug would. Nothing here ships.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

import anyio
import pytest

from reconcilerd.daemon import passes
from reconcilerd.daemon.desk import Awaits, Desk
from reconcilerd.daemon.executors import Executor
from reconcilerd.domain import allocation, claims, drift, guards, invariants, shares
from reconcilerd.domain import plan as planning
from reconcilerd.domain.allocation import Allocation
from reconcilerd.domain.book import Book
from reconcilerd.domain.drift import Drift
from reconcilerd.domain.facts import CorrectionPlanned, Fact, StockObserved
from reconcilerd.domain.names import Sku
from reconcilerd.domain.policy import Ages
from reconcilerd.domain.position import OfferView, Position
from reconcilerd.trial import witness
from reconcilerd.trial.market import Market
from reconcilerd.trial.run import WAITED_OUT
from reconcilerd.trial.stage import START

LATER = START + 900_000
"""When everything has been read and shown."""
Patch = pytest.MonkeyPatch
Business = Callable[[Market], Market]


def usual(what: Market) -> Market:
    return what


@dataclass(frozen=True)
class Plant:
    """``breaks`` the daemon, in the business that ``where`` makes of the usual one."""

    breaks: Callable[[Patch], None]
    where: Business = usual
    seed: int = 1


def _without(patch: Patch, group: str, *names: str) -> None:
    kept = tuple(each for each in getattr(guards, group) if each.__name__ not in names)
    assert len(kept) == len(getattr(guards, group)) - len(names)
    patch.setattr(guards, group, kept)


def raises_far_too_high(patch: Patch) -> None:
    patch.setattr(planning, "_granted", lambda _p, _r, _o, desired, _s: desired + 500)


def raises_into_what_others_show(patch: Patch) -> None:
    patch.setattr(planning, "_granted", lambda _p, room, offer, _d, _s: room.alone(offer.slot))


def raises_into_what_is_kept_back(patch: Patch) -> None:
    def granted(_p: Position, room: Any, offer: OfferView, desired: int, shown: dict[Any, int]) -> int:
        spare = room.headroom(offer.slot, shown, raising=False)
        return min(desired, shown[offer.slot] + max(0, int(spare)))

    patch.setattr(planning, "_granted", granted)


def raises_from_old_readings(patch: Patch) -> None:
    _without(patch, "RAISES", "fresh_stock", "fresh_own_reading")


def _allocations(patch: Patch, change: Callable[[Position, Allocation], Allocation]) -> None:
    allocate = allocation.allocate

    def changed(position: Position, *more: Any) -> tuple[Allocation, ...]:
        return tuple(change(position, each) for each in allocate(position, *more))

    patch.setattr(planning, "allocate", changed)


def shows_zero_and_says_share(patch: Patch) -> None:
    def nothing(position: Position, each: Allocation) -> Allocation:
        return replace(each, ideal=0, desired=0) if position.at > LATER else each

    _allocations(patch, nothing)


def forgets_orders(patch: Patch) -> None:
    demand = claims.demand

    def forgetful(*args: Any) -> Iterator[Any]:
        return (each for each in demand(*args) if not each[0].key.number.endswith("1"))

    patch.setattr(claims, "demand", forgetful)


def goes_back_to_older_rows(patch: Patch) -> None:
    take = Book._take_stock

    def backward(self: Book, fact: StockObserved) -> Any:
        old = self.stock.get((fact.sku, fact.location))
        before = old.row if old is not None else None
        taken = take(self, fact)
        if before is not None and taken.news and old is not None and fact.sku == "sku-03":
            old.row = before
        return taken

    patch.setattr(Book, "_take_stock", backward)


def drops_the_marks_of_one_sku(patch: Patch) -> None:
    mark = Desk.mark

    def deaf(self: Desk, skus: Iterable[Sku]) -> None:
        mark(self, [each for each in skus if each != "sku-02" or self.clock() < LATER])

    patch.setattr(Desk, "mark", deaf)


def counts_orders_twice(patch: Patch) -> None:
    once = claims.claims_of_orders

    def twice(*args: Any) -> Iterator[Any]:
        for each in once(*args):
            yield from (each, each)

    patch.setattr(claims, "claims_of_orders", twice)


def sends_what_a_newer_reading_has_overtaken(patch: Patch) -> None:
    intent = passes.Passes._intent

    def outdated(self: passes.Passes, entry: Any, at: Any, rails: Any) -> CorrectionPlanned:
        made = intent(self, entry, at, rails)
        return replace(made, based_on=type(made.based_on)(made.based_on - 60_000), read=made.read + 1)

    patch.setattr(passes.Passes, "_intent", outdated)
    patch.setattr(Executor, "_superseded", lambda _self, _correction: None)


def raises_on_channels_that_went_dark(patch: Patch) -> None:
    _without(patch, "RAISES", "sound_sources")


def _soon_dark(what: Market) -> Market:
    return replace(what, policy=replace(what.policy, ages=Ages(max_age_ms=61_000)))


def never_sends_to_one_channel(patch: Patch) -> None:
    put = Executor.put
    patch.setattr(
        Executor, "put", lambda self, some: put(self, [e for e in some if e.slot.channel != "shop-2"])
    )


def cannot_leave_a_number_alone(patch: Patch) -> None:
    """Every five minutes it thinks otherwise of one channel."""

    def restless(position: Position, each: Allocation) -> Allocation:
        mine = each.slot.channel == "shop-1" and position.at // 300_000 % 2
        return replace(each, ideal=max(0, each.ideal - 9), desired=max(0, each.desired - 9)) if mine else each

    _allocations(patch, restless)
    wait_for = Desk.wait_for
    patch.setattr(
        Desk,
        "wait_for",
        lambda self, group, skus, _, **how: wait_for(self, group, skus, ~Awaits.NOTHING, **how),
    )


def decides_in_the_order_of_arrival(patch: Patch) -> None:
    def unsorted(position: Position, drifts: Sequence[Drift]) -> list[tuple[Drift, bool]]:
        return [(each, each.desired < each.observed) for each in drifts]

    patch.setattr(planning, "_in_order", unsorted)
    patch.setattr(witness, "SAMPLED", 1)


def knows_no_window(patch: Patch) -> None:
    patch.setattr(guards, "SIZE", ())


def _narrow(what: Market) -> Market:
    limits = replace(what.policy.limits, window_units=5)
    return replace(what, policy=replace(what.policy, limits=limits))


def waits_for_the_slowest_channel(patch: Patch) -> None:
    write, line = Executor._write, anyio.Lock()

    @wraps(write)
    async def queued(self: Executor, fit: Any) -> Any:
        async with line:
            if self._channel.name == "shop-3":
                await anyio.sleep(900)
            return await write(self, fit)

    patch.setattr(Executor, "_write", queued)


def writes_what_is_not_ours(patch: Patch) -> None:
    _without(patch, "STANDING", "ownership")
    for module in (allocation, drift, planning, invariants):
        patch.setattr(module, "ours", lambda _offer: True)


def _somebody_elses(what: Market) -> Market:
    offers = {
        key: replace(rule, managed=False) if key[1] == "shop-3" else rule
        for key, rule in what.policy.offers.items()
    }
    return replace(what, policy=replace(what.policy, offers=offers))


def writes_nothing_down_before_it_sends(patch: Patch) -> None:
    keep = Desk.keep

    async def forget(self: Desk, facts: Iterable[Fact], note: str = "") -> None:
        await keep(self, [each for each in facts if not isinstance(each, CorrectionPlanned)], note)

    patch.setattr(Desk, "keep", forget)


def shares_by_odd_and_even(patch: Patch) -> None:
    fill = shares.fill

    def uneven(room: Any, takers: Any, start: Any) -> dict[Any, int]:
        given = fill(room, takers, start)
        first = min(given, default=None)
        if first is not None and sum(given.values()) % 2:
            given[first] = max(0, given[first] - 1)
        return given

    patch.setattr(allocation, "fill", uneven)
    patch.setattr(witness, "SAMPLED", 1)


def sees_no_difference(patch: Patch) -> None:
    patch.setattr(planning, "diff", lambda *_: ())


def _blind_writes(what: Market) -> Market:
    """No channel compares, so that sales are buried under our own writes."""
    channels = {name: replace(rule, compare_and_set=False) for name, rule in what.policy.channels.items()}
    return replace(what, policy=replace(what.policy, channels=channels))


RAISES_AFTER_A_WHILE = 7
"""A seed in which something is raised although nothing was read just before."""

PLANTS = {
    "I1": Plant(raises_far_too_high),
    "I2": Plant(raises_into_what_others_show),
    "I3": Plant(raises_into_what_is_kept_back, _blind_writes),
    "I4": Plant(raises_from_old_readings, seed=RAISES_AFTER_A_WHILE),
    "I5": Plant(shows_zero_and_says_share),
    "I6": Plant(forgets_orders),
    "I7": Plant(goes_back_to_older_rows),
    "I8": Plant(drops_the_marks_of_one_sku),
    "I9": Plant(counts_orders_twice),
    "I10": Plant(sends_what_a_newer_reading_has_overtaken),
    "I11": Plant(raises_on_channels_that_went_dark, _soon_dark),
    "I12": Plant(never_sends_to_one_channel),
    "I13": Plant(cannot_leave_a_number_alone, seed=WAITED_OUT),
    "I14": Plant(decides_in_the_order_of_arrival),
    "I15": Plant(knows_no_window, _narrow),
    "I16": Plant(waits_for_the_slowest_channel),
    "I17": Plant(writes_what_is_not_ours, _somebody_elses),
    "I18": Plant(writes_nothing_down_before_it_sends),
    "I19": Plant(shares_by_odd_and_even),
    "I20": Plant(sees_no_difference),
}
"""For every invariant a daemon that breaks it."""
