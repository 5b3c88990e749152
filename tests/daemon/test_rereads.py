"""A poller rests until it is asked; a nudge has it read its news sooner, and never more often than it may."""

import anyio

from reconcilerd.daemon.rereads import Rereads
from reconcilerd.domain.names import FeedName
from reconcilerd.simulator.virtual_time import run_virtual

FEED = FeedName("shop-uk.orders")


def rested_s(
    *nudged_at: float, seconds: float = 60, news_after_s: float | None = 10, asked_at: float = 0
) -> float:
    """How long a rest took."""
    found: list[float] = []

    async def main() -> None:
        rereads = Rereads()

        async def others() -> None:
            for at in sorted(nudged_at):
                await anyio.sleep_until(at)
                rereads.nudge(FEED)
            if asked_at:
                await anyio.sleep_until(asked_at)
                rereads.ask(FEED)

        async with anyio.create_task_group() as group:
            group.start_soon(others)
            await rereads.rest(FEED, seconds, news_after_s)
            found.append(anyio.current_time())
            group.cancel_scope.cancel()

    run_virtual(main)
    return round(found[0])


def test_without_a_nudge_it_rests_to_the_end() -> None:
    assert rested_s() == 60


def test_a_nudge_ends_the_rest_at_once_if_it_was_long_enough() -> None:
    assert rested_s(25) == 25


def test_nudges_that_come_sooner_end_it_when_it_was_long_enough_however_many_they_are() -> None:
    assert rested_s(*(each / 100 for each in range(1, 900))) == 10


def test_who_must_not_be_hurried_rests_whoever_nudges() -> None:
    assert rested_s(1, 2, 30, news_after_s=None) == 60


def test_a_wish_for_all_of_it_waits_for_nothing() -> None:
    assert rested_s(1, asked_at=3) == 3
    assert rested_s(1, news_after_s=None, asked_at=3) == 3


def test_a_reading_fulfils_every_nudge_before_it() -> None:
    async def main() -> float:
        rereads = Rereads()
        rereads.nudge(FEED)
        assert rereads.take(FEED) == []
        began = anyio.current_time()
        await rereads.rest(FEED, 60, 10)
        return anyio.current_time() - began

    assert round(run_virtual(main)) == 60
