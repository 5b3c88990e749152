"""A full poll over real HTTP on loopback: how close to the rate limit, and how often over it.

The bound of one system is the least time in which its requests can pass a bucket of 10 a second that holds 10,
plus one answer's latency. Extensiv's list takes 100 pages and an empty one twice; a store's cursor 223 pages.
What is measured is a poll like all but the first: the first after a start reads the list of stock once more, since
nobody could miss a bin that moved out of sight meanwhile.
"""

import subprocess
import sys
from collections.abc import Sequence

import anyio
import httpx

from reconcilerd.assemble import SHOPIFY_TOKEN, Endpoint, client_of
from reconcilerd.config.secret import Secret
from reconcilerd.connectors.extensiv.client import Extensiv
from reconcilerd.connectors.extensiv.walk import PAGINGS, STOCK
from reconcilerd.connectors.port import Page, Source
from reconcilerd.connectors.shopify.client import PAGE, Shopify
from reconcilerd.connectors.shopify.graphql import LANE
from reconcilerd.domain.names import ChannelName, FeedName, SlotKey
from reconcilerd.transport.client import Client
from reconcilerd.transport.credentials import TokenHeader, TokenRequest
from reconcilerd.transport.lane import LaneSpec
from reconcilerd.transport.pool import network_transport
from tests.bench.poll_server import BURST, LATENCY_S, RATE_PER_S, SKUS, wall_clock
from tests.bench.ratio import Ratio
from tests.world.stage import STORES

OURS = BURST - 1
"""Our bucket is one smaller than theirs: what they count and what we count never agree to the millisecond."""


def ratios() -> Sequence[Ratio]:
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.poll_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        return anyio.run(_measure, int(server.stdout.readline()))
    finally:
        assert server.stdin is not None
        server.stdin.close()
        server.wait(20)


async def _measure(port: int) -> Sequence[Ratio]:
    base = f"http://127.0.0.1:{port}"
    sources = _sources(base)
    for source in sources:
        await _warm_up(source)
    await anyio.sleep(2 * BURST / RATE_PER_S)
    before = await _counts(base)
    took: dict[str, float] = {}
    async with anyio.create_task_group() as group:
        for source, feed in sources.items():
            group.start_soon(_sweep, source, feed, took)
    after = await _counts(base)
    sent = {name: after[name][0] - before[name][0] for name in after}
    refused = sum(after[name][1] - before[name][1] for name in after)
    bounds = {name: _bound(name) for name in took}
    worst = max(took, key=lambda name: took[name] / bounds[name])
    detail = f"{worst}: {took[worst]:.2f} s of {bounds[worst]:.2f} s, {sent[worst]} requests"
    return (
        Ratio("poll.efficiency", took[worst] / bounds[worst], 1.05, detail),
        Ratio("poll.throttled", refused / sum(sent.values()), 0.001, f"{refused} of {sum(sent.values())}"),
    )


def _bound(name: str) -> float:
    requests = -(-SKUS // PAGINGS[STOCK].limit) + 2 if name == "extensiv" else -(-SKUS // PAGE)
    return (requests - BURST) / RATE_PER_S + LATENCY_S


async def _warm_up(source: Source) -> None:
    """A token, a connection, the bins there are and, for a store, what a page costs."""
    if isinstance(source, Extensiv):
        await source.sweep(STOCK, "", _drop)
    elif isinstance(source, Shopify):
        ids = range(10_100_001, 10_100_001 + PAGE)
        channel = ChannelName(source.name)
        slots = [SlotKey(channel, f"gid://shopify/InventoryItem/{number}") for number in ids]
        await source.read_slots(slots, _drop)


async def _sweep(source: Source, feed: FeedName, took: dict[str, float]) -> None:
    began = anyio.current_time()
    sweep = await source.sweep(feed, "", _drop)
    took[source.name] = anyio.current_time() - began
    assert sweep.complete, sweep.why
    assert sweep.rows == SKUS, f"{source.name} read {sweep.rows} of {SKUS} rows"


async def _drop(_page: Page) -> None:
    pass


async def _counts(base: str) -> dict[str, list[int]]:
    async with httpx.AsyncClient(trust_env=False) as client:
        counts: dict[str, list[int]] = (await client.get(f"{base}/counts")).json()
        return counts


def _sources(base: str) -> dict[Source, FeedName]:
    lane = LaneSpec("read", RATE_PER_S, OURS)
    extensiv = _client("extensiv", f"{base}/extensiv", "oauth/token", lane, TokenHeader())
    found: dict[Source, FeedName] = {Extensiv(extensiv, wall_clock, channels={}): STOCK}
    for name, _, _ in STORES:
        client = _client(name, f"{base}/shopify/{name}", "admin/oauth/access_token", LANE, SHOPIFY_TOKEN)
        store = Shopify(client, wall_clock, name=ChannelName(name), places=[])
        found[store] = store.slots_feed
    return found


def _client(name: str, base: str, token: str, lane: LaneSpec, header: TokenHeader) -> Client:
    grant = TokenRequest(
        f"{base}/{token}", Secret("simulator", public=True), Secret("simulator-secret"), "post"
    )
    endpoint = Endpoint(base, grant)
    return client_of(name, endpoint, [lane], header, transport=network_transport(), clock=wall_clock)
