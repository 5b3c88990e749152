"""What has stood for long is what a look at every drift would find, and status counts what is there."""

import asyncio
from dataclasses import replace

import anyio
from hypothesis import given
from hypothesis import strategies as st

from reconcilerd.daemon.lasting import lasting
from reconcilerd.daemon.passes import Standing
from reconcilerd.daemon.sums import Judged
from reconcilerd.domain.drift import Drift
from reconcilerd.domain.guards import GOES
from reconcilerd.domain.names import ChannelName, Instant, Sku, SlotKey
from reconcilerd.simulator.truth import WorldConfig
from tests.daemon.test_sums import CHANNELS, few, groups
from tests.web.stage import answers_of
from tests.world.stage import Stage, play, policy, small_world

seen = st.dictionaries(
    st.tuples(st.sampled_from(CHANNELS), few).map(lambda each: SlotKey(each[0], str(each[1]))), few
)


@given(st.lists(groups()), seen, st.integers(0, 6), few)
def test_what_stands_for_long_is_what_a_look_at_every_drift_finds(
    changes: list[tuple[Sku, tuple[Judged, ...]]], since: dict[SlotKey, int], now: int, after_ms: int
) -> None:
    """Whatever order they were first seen in: the clock may have gone back. Some are seen no more, some twice."""
    standing = Standing()
    for group, judged in changes:
        standing.put(group, judged)
    for slot, at in since.items():
        standing.since.setdefault(slot.channel, {})[slot] = Instant(at)
    found: dict[ChannelName, list[Judged]] = {}
    for each in (each for group in standing.drifts.values() for each in group):
        slot = each[0].slot
        if slot in since and now - since[slot] > after_ms:
            found.setdefault(slot.channel, []).append(each)
    assert asyncio.run(lasting(standing, Instant(now), after_ms)) == found


def test_status_counts_what_is_there() -> None:
    @given(st.lists(groups()))
    def look(changes: list[tuple[Sku, tuple[Judged, ...]]]) -> None:
        standing = stage.built.daemon.passes.standing
        for group in list(standing.drifts):
            standing.put(group, ())
        for group, judged in changes:
            standing.put(group, tuple((_in_the_shop(drift), verdict) for drift, verdict in judged))
        told = asyncio.run(answers_of(stage.built, stage.journal).status({}, "test"))
        there = [each for group in standing.drifts.values() for each in group]
        for row in told["channels"]:
            mine = [(drift, verdict) for drift, verdict in there if drift.slot.channel == row["channel"]]
            assert row["drifts"] == len(mine)
            assert row["held"] == sum(verdict not in GOES for _, verdict in mine)
            slots = stage.built.daemon.desk.book.slots
            assert row["listings"] == sum(slot.channel == row["channel"] for slot in slots) > 0
        assert told["findings"] == {}

    async def quiet(_stage: Stage) -> None:
        await anyio.sleep(60)

    stage = play(small_world(WorldConfig(), split=True), policy(split=True), quiet)
    look()


def _in_the_shop(drift: Drift) -> Drift:
    slot = replace(drift.slot, channel=ChannelName(f"shop-{drift.slot.channel}"))
    return replace(drift, slot=slot)
