"""The worlds of the benchmark, by name: what is sold how fast, from which pool, read how often, with what mishaps.

A name says it all: what is sold, how its units are divided, the seconds between two readings, and how late a store
shows an order (seconds): ``scarce-split-60-120``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random

from reconcilerd.domain.policy import Mode, Policy, PoolMode, PoolRule
from reconcilerd.errors import ConfigFault
from reconcilerd.simulator.truth import World
from reconcilerd.trial.stage import Pacing
from tests.world.noise import Kind, noisy_policy, noisy_world, stock_every_s

POOLS = {
    "split": PoolRule(PoolMode.SPLIT),
    "shared": PoolRule(PoolMode.SHARED),
    "adaptive": PoolRule(PoolMode.ADAPTIVE),
}

BLACK_FRIDAY_PER_HOUR = 3_000
BLACK_FRIDAY_SKUS = 40


@dataclass(frozen=True, slots=True)
class Setting:
    """One world. ``scarce``: it sells out, so that it tells what an adaptive pool is worth."""

    name: str
    about: str
    kinds: tuple[Kind, ...]
    hours: float
    pool: str
    poll_s: float = 60.0
    lag_s: float = 120.0
    quiet: bool = False
    pushed: bool = False
    scarce: bool = False

    def world(self, seed: int) -> World:
        """The business as it stands at the start."""
        return noisy_world(seed, self.kinds, self.lag_s, pushed=self.pushed)

    def policy(self) -> Policy:
        """True rates, true traits of every store, the pool as declared; beside a native push, mode net."""
        shared = POOLS["adaptive" if self.pool == "split" else self.pool]
        mode = Mode.NET if self.pushed else Mode.AUTO
        return noisy_policy(self.kinds, self.poll_s, self.lag_s, shared, mode)

    def pacing(self) -> Pacing:
        return Pacing(channels_s=self.poll_s, stock_s=stock_every_s(self.poll_s))


@dataclass(frozen=True, slots=True)
class _Sort:
    """What one SKU is like: units at first, visitors a minute, hours of trade."""

    units: int
    per_minute: float
    hours: float
    scarce: bool = False

    @property
    def told(self) -> str:
        return f"{self.units} units, {self.per_minute:g} a minute, {self.hours:g} h"


SORTS = {
    "scarce": _Sort(20, 0.3, 3.0, scarce=True),
    "hot": _Sort(200, 3.0, 1.5),
    "hotscarce": _Sort(60, 3.0, 1.5, scarce=True),
    "plenty": _Sort(400, 0.3, 1.5),
}
READINGS = ((60, 20), (60, 120), (900, 20), (900, 120))
"""Seconds between two readings, and how late a store shows an order."""


def settings() -> tuple[Setting, ...]:
    """Every world there is."""
    made = [
        _plain(sort, pool, poll, lag)
        for sort in ("scarce", "hot", "plenty")
        for pool in POOLS
        for poll, lag in READINGS
    ]
    made += [_plain("hotscarce", pool, 60, 120) for pool in POOLS]
    made += [_quiet(pool) for pool in POOLS]
    made += [_net(sort, poll) for sort in ("scarce", "hot") for poll in (60, 900)]
    made += [_bundles(pool) for pool in ("split", "adaptive")]
    return (*made, _black_friday())


def _plain(name: str, pool: str, poll_s: int, lag_s: int) -> Setting:
    sort = SORTS[name]
    about = f"{sort.told}; {pool}; poll {poll_s} s, order lag {lag_s} s"
    kinds = (Kind("a", sort.units, sort.per_minute, split=pool == "split"),)
    title = f"{name}-{pool}-{poll_s}-{lag_s}"
    return Setting(title, about, kinds, sort.hours, pool, poll_s, lag_s, scarce=sort.scarce)


def _quiet(pool: str) -> Setting:
    sort = SORTS["scarce"]
    about = f"{sort.told}; {pool}; nothing breaks, nobody meddles"
    kinds = (Kind("a", sort.units, sort.per_minute, split=pool == "split"),)
    return Setting(f"quiet-scarce-{pool}", about, kinds, sort.hours, pool, quiet=True)


def _net(name: str, poll_s: int) -> Setting:
    sort = SORTS[name]
    about = f"{sort.told}; beside native push; poll {poll_s} s"
    kinds = (Kind("a", sort.units, sort.per_minute, split=False),)
    return Setting(f"net-{name}-{poll_s}", about, kinds, sort.hours, "adaptive", poll_s, pushed=True)


def _bundles(pool: str) -> Setting:
    split = pool == "split"
    kinds = (
        Kind("a", 20, 0.15, split=split),
        Kind("b", 30, 0.15, split=split),
        Kind("c", 40, 0.1, split=split),
        Kind("set-ab", 4, 0.1, split=split, bundle=(("a", 1), ("b", 1))),
        Kind("set-b2c", 4, 0.05, split=split, bundle=(("b", 1), ("c", 2))),
    )
    return Setting(f"bundles-{pool}", f"three SKUs and two bundles of them; {pool}", kinds, 2.0, pool)


def _black_friday() -> Setting:
    chance, hours = Random("black friday"), 0.5
    weights = [chance.paretovariate(1.16) for _ in range(BLACK_FRIDAY_SKUS)]
    kinds = []
    for number, weight in enumerate(weights, 1):
        per_hour = BLACK_FRIDAY_PER_HOUR * weight / sum(weights)
        units = max(12, round(per_hour * hours * chance.uniform(0.4, 0.9)))
        kinds.append(Kind(f"sku-{number:02d}", units, per_hour / 60, split=False))
    about = (
        f"{BLACK_FRIDAY_PER_HOUR} orders an hour over {BLACK_FRIDAY_SKUS} SKUs by Pareto; beside native push"
    )
    return Setting("black-friday", about, tuple(kinds), hours, "adaptive", pushed=True)


def chosen(names: Iterable[str]) -> tuple[Setting, ...]:
    """The worlds whose names begin with any of these (none: all). Raises ConfigFault for a name that fits none."""
    every, wanted = settings(), tuple(names)
    unknown = [name for name in wanted if not any(each.name.startswith(name) for each in every)]
    if unknown:
        raise ConfigFault((f"--world {unknown[0]}: no world begins so; --list prints them all",))
    return tuple(each for each in every if not wanted or each.name.startswith(wanted))
