"""Sums that are kept are the sums that counting everything would give, whatever came and went."""

from collections import Counter
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.daemon import passes
from reconcilerd.daemon.passes import Standing
from reconcilerd.daemon.sums import DriftIndex, Judged, PoolUnits, counted_as
from reconcilerd.daemon.turns import TURNS
from reconcilerd.domain.book import Book
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.domain.verdicts import NEEDS_A_PERSON, Verdict
from reconcilerd.simulator.truth import WorldConfig
from tests.world.stage import Stage, play, policy, small_world

CHANNELS = tuple(map(ChannelName, ("eu", "uk")))
few = st.integers(0, 3)
SOME_VERDICTS = (Verdict.SEND, Verdict.HOLD_FROZEN, Verdict.HOLD_CONFIRM)


@st.composite
def groups(draw: st.DrawFn) -> tuple[Sku, tuple[Judged, ...]]:
    """A pool group, and what drifts of it now: each slot once, though another group may have it still."""
    group = Sku(draw(st.sampled_from("abc")))
    slots = draw(st.lists(st.tuples(st.sampled_from(CHANNELS), few), unique=True, max_size=4))
    return group, tuple(
        (
            Drift(
                SlotKey(channel, str(number)),
                group,
                draw(few),
                draw(few),
                draw(few),
                draw(st.sampled_from([Cause.LAG, Cause.BUNDLE])),
            ),
            draw(st.sampled_from([*SOME_VERDICTS, *sorted(NEEDS_A_PERSON)])),
        )
        for channel, number in slots
    )


@given(st.lists(groups()), few, st.integers(1, 4))
def test_drifts_that_come_and_go_count_and_rank_as_if_all_were_looked_at(
    changes: list[tuple[Sku, tuple[Judged, ...]]], skip: int, at_most: int
) -> None:
    index, there = DriftIndex(), dict[Sku, tuple[Judged, ...]]()
    for group, now in changes:
        index.change(group, there.get(group, ()), now)
        there[group] = now
    standing = [each for group in there.values() for each in group]
    assert +index.listings == Counter(counted_as(*each) for each in standing)
    units, above = Counter[object](), Counter[object]()
    for drift, verdict in standing:
        units[counted_as(drift, verdict)] += abs(drift.difference)
        above[drift.slot.channel] += max(0, drift.observed - drift.ideal)
    assert (+index.units, +index.over_allocated) == (+units, +above)
    waiting = [each for each in standing if each[1] in NEEDS_A_PERSON]
    assert sorted(index.waiting.values(), key=_rank) == sorted(waiting, key=_rank)
    for cause in Cause:
        for channels in (CHANNELS, CHANNELS[:1]):
            mine = [each for each in standing if each[0].cause is cause and each[0].slot.channel in channels]
            whole = index.worst(cause, channels, len(standing) + 1)
            assert sorted(whole, key=_rank) == sorted(mine, key=_rank)
            too_many = [max(0, -drift.difference) for drift, _ in whole]
            too_few = [max(0, drift.difference) for drift, _ in whole]
            ranks = list(zip(too_many, too_few, strict=True))
            assert ranks == sorted(ranks, reverse=True)
            assert index.worst(cause, channels, at_most, skip) == whole[skip : skip + at_most]


def _rank(each: Judged) -> str:
    return str(each)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 9), st.booleans())))
def test_units_are_summed_by_the_pool_that_each_group_was_in(steps: list[tuple[str, int, bool]]) -> None:
    pools = {"a": "one", "b": "one", "c": "two"}
    kept, there = PoolUnits(lambda group: pools[group]), dict[Sku, int]()
    for name, units, stays in steps:
        if stays:
            kept[Sku(name)] = there[Sku(name)] = units
        else:
            kept.pop(Sku(name), None)
            there.pop(Sku(name), None)
    assert dict(kept) == there
    assert (kept.total, len(kept)) == (sum(there.values()), len(there))
    for pools in ({"a": "one", "b": "one", "c": "two"}, {"a": "two", "b": "one", "c": "one"}):
        kept.repool()
        for pool in ("one", "two"):
            mine = [units for name, units in there.items() if pools[name] == pool]
            assert (kept.units[pool], kept.groups[pool]) == (sum(mine), len(mine))


def test_a_drift_whose_listing_sells_nothing_known_any_more_has_ended() -> None:
    """Whoever is told how old the oldest drift is would hear of it for ever."""
    gone, stays = (SlotKey(CHANNELS[0], each) for each in ("1", "2"))
    standing = Standing()
    for group, slot in (("a", gone), ("b", stays)):
        standing.put(Sku(group), ((Drift(slot, Sku(group), 1, 0, 0, Cause.LAG), Verdict.HOLD_FROZEN),))
        standing.since.setdefault(slot.channel, {})[slot] = Instant(1)
    standing.regroup({Sku("c")}, {stays})
    assert standing.drifts == {}
    assert standing.since == {CHANNELS[0]: {stays: 1}}, (
        "the other is part of another group now, and drifts still"
    )


def test_between_two_slices_a_request_gets_from_its_connection_to_its_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passes, "SLICE_MS", 0)
    turns, seen = 0, list[int]()

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            await anyio.lowlevel.checkpoint()
            turns += 1

    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        desk, planner = stage.built.daemon.desk, stage.built.daemon.passes
        planner.watch = lambda _plan, _rails: seen.append(turns)
        async with anyio.create_task_group() as group:
            group.start_soon(somebody_else)
            await planner.one_pass([Sku(each) for each in "abcd"])
            group.cancel_scope.cancel()
        assert not desk.busy

    play(small_world(WorldConfig(), split=True, skus="abcd"), policy(split=True), scene)
    assert len(seen) == 4
    assert min(after - before for before, after in pairwise(seen)) >= TURNS - 1


def test_until_the_last_group_of_a_pass_is_planned_the_passes_are_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a pass has taken waits at the desk no longer; taking this for rest judges plans to come."""
    monkeypatch.setattr(passes, "SLICE_MS", 0)
    seen: list[tuple[int, bool]] = []

    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        desk, planner = stage.built.daemon.desk, stage.built.daemon.passes
        planned: list[Sku] = []
        planner.watch = lambda plan, _rails: planned.append(plan.position.group)
        desk.everybody()
        while len(planned) < 4:
            await anyio.lowlevel.checkpoint()
            if not desk.busy:
                seen.append((len(planned), planner.busy))
        await anyio.sleep(1)
        assert not planner.busy
        assert planner.under_way is None

    play(small_world(WorldConfig(), split=True, skus="abcd"), policy(split=True), scene)
    assert {planned for planned, _ in seen} >= {1, 2, 3}
    assert all(busy for planned, busy in seen if planned < 4)


def test_two_passes_at_once_and_one_that_is_given_up_leave_nothing_under_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person's word may have a pass of its own beside the usual one, and a person may go away."""
    monkeypatch.setattr(passes, "SLICE_MS", 0)

    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        planner = stage.built.daemon.passes
        everybody = [Sku(each) for each in "abcd"]
        async with anyio.create_task_group() as group:
            group.start_soon(planner.one_pass, everybody)
            await anyio.lowlevel.checkpoint()
            await planner.one_pass(everybody[:1])
            assert planner.busy, "the first one has groups to plan"
            group.cancel_scope.cancel()
        assert not planner.busy

    play(small_world(WorldConfig(), split=True, skus="abcd"), policy(split=True), scene)


def test_of_a_group_whose_stock_was_never_read_nothing_is_kept_from_look_to_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scene(stage: Stage) -> None:
        await anyio.sleep(60)
        book, planner = stage.built.daemon.desk.book, stage.built.daemon.passes
        for places in ("stock_places", "stocked"):
            monkeypatch.setattr(Book, places, lambda _book, _sku: ())
        book.shape += 1
        [plan] = await planner.one_pass([Sku("a")])
        assert plan.position.unknown
        assert plan.drifts, "it waits for that reading"
        assert (planner._plans, planner.standing._rooms) == ({}, {})

    play(small_world(WorldConfig(), split=True, skus="a"), policy(split=True), scene)
