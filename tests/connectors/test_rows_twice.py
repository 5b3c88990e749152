"""A row that comes twice is one row: whoever counts it twice calls the next sound reading a list that has shrunk."""

from reconcilerd.assemble import assemble
from reconcilerd.connectors.port import Page
from reconcilerd.domain.names import Instant
from reconcilerd.simulator.app import build
from reconcilerd.simulator.faults import FaultPlan
from reconcilerd.simulator.menu import Fault
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock, run_virtual
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.trial.stage import START, Heard, wire
from tests.world.stage import Journal, policy, small_world


async def _drop(_page: Page) -> None:
    """Nobody wants the rows."""


def sizes(plan: FaultPlan) -> dict[str, int]:
    """How many rows each feed of the same business is said to have, when it is read whole."""
    found: dict[str, int] = {}

    async def main() -> None:
        clock = VirtualClock(START)
        world = small_world(WorldConfig(), split=True, skus=("a", "b", "c"))
        for number, store in enumerate(world.stores):
            world.place_order(store, f"{number}", [("a", 1)], Instant(START - 60_000))
        business = build(world, clock, plan)
        built = assemble(
            wire(policy(split=True), clock, lambda: in_process_transport(business.app)), Journal(), Heard()
        )
        for source in (built.stock, *built.channels.values()):
            for feed in source.feeds:
                sweep = await source.sweep(feed, "", _drop)
                assert sweep.complete, sweep.why
                found[feed] = sweep.rows

    run_virtual(main)
    return found


def test_a_row_that_comes_twice_is_one() -> None:
    plan = FaultPlan(rates={Fault.ROWS_TWICE: 1.0})
    once = sizes(FaultPlan())
    assert sizes(plan) == once
    assert len(plan.done) > len(once)
    assert sum(once.values()) > len(once)
