"""What is measured is what happened; how many series there are is bounded by the configuration alone."""

from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import anyio
import anyio.lowlevel
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from reconcilerd.assemble import assemble
from reconcilerd.domain.drift import Cause, Drift
from reconcilerd.domain.facts import FindingKind, FindingRaised, FreezeSet, InvariantBroken, SweepRead
from reconcilerd.domain.names import ChannelName, FeedName, Instant, Sku, SlotKey, after
from reconcilerd.domain.policy import ChannelRule, Mode, Policy, PoolMode, PoolRule
from reconcilerd.domain.verdicts import Verdict
from reconcilerd.simulator.faults import Fault, FaultPlan
from reconcilerd.simulator.truth import WorldConfig
from reconcilerd.simulator.virtual_time import VirtualClock
from reconcilerd.transport.pool import in_process_transport
from reconcilerd.trial import stage as trial
from reconcilerd.trial.stage import START, wire
from reconcilerd.web.exposition import STEP, text, written_down
from tests.web.stage import Series, Told, scrape, sources_of, total, with_backup
from tests.world.stage import Journal, Stage, play, policy, shop, small_world

NINE = tuple(ChannelName(f"shop-{number}") for number in range(9))
SKUS = tuple(Sku(f"hostile-sku-{number}") for number in range(50_000))
ANSWERS = ((200, ""), (429, "throttled"), (401, "denied"), (503, "try_later"), (None, "try_later"))
"""What a bad day brings every operation of every system."""
MAY_COME_LATER = {"reconcilerd_api_requests_total", "reconcilerd_token_expiry_timestamp_seconds"}
"""Errors that nobody expects, and the life of a token that is not in hand yet."""


async def test_fifty_thousand_skus_on_nine_channels_are_few_series_and_hold_up_nobody() -> None:
    pools = {name: PoolRule(PoolMode.ADAPTIVE) for name in ("default", "split")}
    rules = Policy("test", MappingProxyType(pools), MappingProxyType(dict.fromkeys(NINE, ChannelRule())))
    clock = VirtualClock(START)
    wiring = wire(rules, clock, lambda: in_process_transport(None))  # type: ignore[arg-type]
    built = assemble(wiring, Journal(), Told())  # type: ignore[arg-type]
    for client in built.clients.values():
        for operation in client.traffic.took:
            for status, error in ANSWERS:
                client.traffic.tried(operation, status, error, 1)
    standing, book = built.daemon.passes.standing, built.daemon.desk.book
    for number, sku in enumerate(SKUS):
        drifts = [
            Drift(SlotKey(name, f"{sku}-{name}", "place"), sku, 2, 1, 1, Cause.LAG)
            for name in NINE[: number % 10]
        ]
        standing.put(sku, tuple((each, Verdict.HOLD_WINDOW_SLOTS) for each in drifts))
        standing.exposed[sku], standing.hidden[sku] = 1, 2
        finding = FindingRaised(FindingKind.UNMAPPED_SKU, f"{NINE[0]}:{sku}", "", START)
        book.findings[finding.about] = finding
    turns = 0

    async def somebody_else() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    async with anyio.create_task_group() as group:
        group.start_soon(somebody_else)
        found = await scrape(sources_of(built))
        group.cancel_scope.cancel()
    assert len(found) < 2_000
    assert "hostile" not in str(found)
    assert total(found, "exposure_units") == len(SKUS)
    assert total(found, "hidden_units") == 2 * len(SKUS)
    assert total(found, "unmapped_listings") == len(SKUS)
    drifts_there = sum(number % 10 for number in range(len(SKUS)))
    assert total(found, "drift_listings", state="held", direction="over") == drifts_there
    assert total(found, "drift_units") == drifts_there
    assert turns > len({name for name, _ in found}) // (2 * STEP)


HOSTILE_TEXT = st.text(st.sampled_from('a"\\\n\r\x0b\u2028{},= é'), max_size=5)
names = st.sampled_from(["x", "x_total", "x_bucket", "y:z", "é"])


@given(
    names,
    st.text(st.sampled_from('a\\\n"'), max_size=4),
    st.sampled_from(["gauge", "counter", "histogram"]),
    st.lists(
        st.tuples(
            names,
            st.dictionaries(st.sampled_from(["le", "channel"]), HOSTILE_TEXT),
            st.one_of(st.integers(0, 10**18), st.floats(0), st.just(float("nan"))),
        )
    ),
)
def test_what_was_written_before_is_written_as_the_library_would(
    name: str, what: str, kind: str, samples: list[tuple[str, dict[str, str], float]]
) -> None:
    family = Metric(name, what, kind)
    for each in samples:
        family.add_sample(*each)
    for _ in range(2):
        assert written_down(family).encode() == generate_latest(OneFamily(family))


class OneFamily(Collector):
    def __init__(self, family: Metric) -> None:
        self._family = family

    @override
    def collect(self) -> list[Metric]:
        return [self._family]


def test_every_series_is_there_before_anything_happens() -> None:
    """Else the first error of a kind would be in no rate."""
    before: dict[Series, float] = {}
    after_it: dict[Series, float] = {}

    async def scene(stage: Stage) -> None:
        before.update(await scrape(sources_of(stage.built)))
        await shop(stage, 40, 2, seed=3, skus=("a", "b"))
        after_it.update(await scrape(sources_of(stage.built)))

    faults = FaultPlan(
        rates={Fault.SERVER_ERROR: 0.05, Fault.TOO_MANY: 0.05, Fault.DROPPED_BEFORE: 0.02}, seed=1
    )
    play(small_world(WorldConfig(), split=True), policy(split=True), scene, faults)
    new = {name for name, _ in after_it.keys() - before.keys()}
    assert new <= MAY_COME_LATER
    assert before.keys() <= after_it.keys()
    assert total(after_it, "api_retries_total") > 0


def test_what_is_counted_is_what_happened_at_the_other_side() -> None:
    found: dict[Series, float] = {}
    arrived, by_then = 0, list[int]()

    def count() -> None:
        nonlocal arrived
        arrived += 1

    async def scene(stage: Stage) -> None:
        await shop(stage, 30, 1, seed=5)
        found.update(await scrape(sources_of(stage.built)))
        by_then.append(arrived)

    stage = trial.play(
        small_world(WorldConfig(), split=True),
        policy(split=True),
        scene,
        Journal(),
        arrived=count,
    )
    asked = total(found, "api_requests_total") + total(found, "token_refresh_total")
    assert total(found, "token_refresh_total", result="ok") >= 4
    # What is under way is not told yet.
    assert 0 <= by_then[0] - asked <= 4
    assert total(found, "api_request_duration_seconds_count") == total(found, "api_requests_total")
    written = [each for api in stage.business.stores.values() for each in api.door]
    sent = total(found, "corrections_total", result="applied") + total(
        found, "corrections_total", result="accepted"
    )
    assert sent == len(written) > 0
    assert total(found, "corrections_planned_total") == sum(
        f.kind == "correction" for f in stage.journal.facts
    )
    assert total(found, "drift_time_to_fix_seconds_count") > 0
    assert total(found, "passes_total") > 0
    assert total(found, "sweeps_total", result="incomplete") == 0
    for phase, times in (("read", total(found, "sweeps_total")), ("plan", total(found, "passes_total"))):
        assert total(found, "pass_duration_seconds_count", phase=phase) == times > 0
    assert 0 < total(found, "pass_duration_seconds_count", phase="write") <= sent
    assert 0 < total(found, "pass_duration_seconds_count", phase="record") <= total(found, "passes_total")


def test_how_it_stands_is_what_the_daemon_says() -> None:
    async def scene(stage: Stage) -> None:
        daemon = stage.built.daemon
        await anyio.sleep(600)
        sources = sources_of(stage.built)
        found = await scrape(sources)
        feed = FeedName("shop-uk.slots")
        at = daemon.desk.book.sweeps[feed].began / 1000
        assert total(found, "feed_last_complete_timestamp_seconds", source="shop-uk", feed="slots") == at
        assert total(found, "writes_enabled") == 3
        assert (total(found, "paused"), total(found, "ready")) == (0, 1)
        assert total(found, "mode", mode="auto") == 1
        assert total(found, "skus") == 2
        assert total(found, "exposure_units") == sum(daemon.passes.standing.exposed.values())
        await daemon.desk.take((FreezeSet("shop-uk", True, "me", "a test", stage.clock()),))
        found = await scrape(sources)
        assert (total(found, "paused", channel="shop-uk"), total(found, "paused")) == (1, 1)
        assert (total(found, "writes_enabled", channel="shop-uk"), total(found, "writes_enabled")) == (0, 2)
        broke = InvariantBroken("1", "a", (("I1", "too much"),), "", stage.clock())
        await daemon.desk.take((broke,))
        found = await scrape(sources)
        assert total(found, "rails_tripped", rail="invariant") == 1
        assert total(found, "paused") == 3
        assert total(found, "writes_enabled") == 0

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_a_feed_that_is_read_in_vain_grows_old() -> None:
    async def scene(stage: Stage) -> None:
        daemon, feed = stage.built.daemon, FeedName("extensiv.stock")
        await anyio.sleep(60)
        before = await scrape(sources_of(stage.built))
        now = stage.clock()
        failed = SweepRead(feed, now, after(now, 5), False, 3, 0, "cut")
        await daemon.desk.take((failed,))
        again = await scrape(sources_of(stage.built))
        name = "feed_last_complete_timestamp_seconds"
        assert total(again, name, source="extensiv", feed="stock") == total(
            before, name, source="extensiv", feed="stock"
        )
        assert daemon.health.stale() == {}
        await anyio.lowlevel.checkpoint()
        daemon.desk.book.sweeps[feed] = replace(daemon.desk.book.sweeps[feed], began=Instant(1))
        assert list(daemon.health.stale()) == [feed]

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)


def test_in_observe_nothing_is_enabled_and_nothing_is_paused() -> None:
    async def scene(stage: Stage) -> None:
        found = await scrape(sources_of(stage.built))
        assert (total(found, "writes_enabled"), total(found, "paused")) == (0, 0)

    play(small_world(WorldConfig(), split=True), policy(split=True, mode=Mode.OBSERVE), scene)


def test_a_backup_is_told_only_once_there_is_one(tmp_path: Path) -> None:
    async def scene(stage: Stage) -> None:
        ledger = tmp_path / "ledger.db"
        ledger.write_bytes(b"12345")
        sources = sources_of(stage.built, ledger)
        assert "last_backup" not in (await text(sources)).decode()
        found = await scrape(with_backup(sources, Instant(5_000)))
        assert total(found, "last_backup_timestamp_seconds") == 5
        assert (total(found, "db_size_bytes"), total(found, "wal_size_bytes")) == (5, 0)

    play(small_world(WorldConfig(), split=True), policy(split=True), scene)
